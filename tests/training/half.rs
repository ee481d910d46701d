//! Training with products of 16 bits: nearly the losses of f32, and the same bits twice.

use super::{config, fit};
use approx::abs_diff_eq;
use rt_models::ModelKind;
use rt_tests::{bf16_devices, devices, f16_devices};

/// Mean of the last quarter of the losses.
fn end(loss: &[f32]) -> f64 {
    let last = &loss[loss.len() - loss.len() / 4..];
    last.iter().map(|x| f64::from(*x)).sum::<f64>() / last.len() as f64
}

#[test]
fn training_reaches_nearly_the_loss_of_f32() {
    let on_gpus = f16_devices().into_iter().map(|d| (d, true));
    // One thread and three: the same bits.
    let on_cpu = bf16_devices().into_iter().map(|d| (d, false));
    let mut bits: Vec<(bool, &str, String)> = Vec::new();
    for (device, f16) in on_gpus.chain(on_cpu) {
        let same = |d: &&rt_models::Device| device.name().starts_with(&d.name());
        let plain = if f16 { devices().iter().find(same).expect("the same device in f32") } else { &devices()[0] };
        for (kind, loss) in [(ModelKind::Dssm, "loss=in-batch"), (ModelKind::YoutubeDnn, "loss=full")] {
            let config = config(kind, &[loss, "epochs=4", "user_hidden=32,32"]);
            let (model, half) = fit(&device, &config, 3);
            let (_, full) = fit(plain, &config, 3);
            assert_eq!(half.launches.contains(&"gemm_f16"), f16, "{:?}", half.launches);
            assert!(!full.launches.contains(&"gemm_f16"), "{:?}", full.launches);
            let (first, a, b) = (f64::from(full.loss[0]), end(&full.loss), end(&half.loss));
            eprintln!("{loss}: {first} to {a} in f32, to {b} on {device:?}");
            assert!(a < 0.97 * first, "{loss}: f32 learned too little to compare: {first} to {a}");
            assert!(
                abs_diff_eq!(a, b, epsilon = 0.02 * (first - a)),
                "{loss}: {first} to {a} in f32, to {b} on {device:?}"
            );
            let sha256 = model.sha256().unwrap();
            assert_eq!(sha256, fit(&device, &config, 3).0.sha256().unwrap(), "{loss}, {device:?}");
            let other = bits.iter().find(|(on_gpu, l, _)| !f16 && !on_gpu && *l == loss);
            assert!(other.is_none_or(|(.., other)| *other == sha256), "{loss}: the number of threads changes bits");
            bits.push((f16, loss, sha256));
        }
    }
}
