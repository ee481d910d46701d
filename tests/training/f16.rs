//! Training with products in f16: nearly the losses of f32, and the same bits twice.

use super::{config, fit};
use rt_models::ModelKind;
use rt_tests::{devices, f16_devices};

/// Mean of the last quarter of the losses.
fn end(loss: &[f32]) -> f64 {
    let last = &loss[loss.len() - loss.len() / 4..];
    last.iter().map(|x| f64::from(*x)).sum::<f64>() / last.len() as f64
}

#[test]
fn training_reaches_nearly_the_loss_of_f32() {
    for device in f16_devices() {
        let plain = devices().iter().find(|d| device.name().starts_with(&d.name())).expect("the same device in f32");
        for (kind, loss) in [(ModelKind::Dssm, "loss=in-batch"), (ModelKind::YoutubeDnn, "loss=full")] {
            let config = config(kind, &[loss, "epochs=4", "user_hidden=32,32"]);
            let (model, half) = fit(&device, &config, 3);
            let (_, full) = fit(plain, &config, 3);
            assert!(half.launches.contains(&"gemm_f16"), "{:?}", half.launches);
            assert!(!full.launches.contains(&"gemm_f16"), "{:?}", full.launches);
            let (first, a, b) = (f64::from(full.loss[0]), end(&full.loss), end(&half.loss));
            eprintln!("{loss}: {first} to {a} in f32, to {b} in f16");
            assert!(a < 0.97 * first, "{loss}: f32 learned too little to compare: {first} to {a}");
            assert!((a - b).abs() <= 0.02 * (first - a), "{loss}: {first} to {a} in f32, to {b} in f16, {device:?}");
            assert_eq!(model.sha256().unwrap(), fit(&device, &config, 3).0.sha256().unwrap(), "{loss}, {device:?}");
        }
    }
}
