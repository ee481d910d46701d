//! Binary cross-entropy with logits.

use rt_kernels::Step;
use rt_kernels::kernels::BceWithLogits;
use rt_tests::{LAYS, Want, f, hold, out_f, uniform};

#[test]
fn loss_and_gradient_at_any_logit() {
    for (what, rows, n, size) in [
        ("one", 1, 1, 1.0),
        ("one over a workgroup", 65, 1, 4.0),
        ("one positive and three negatives", 257, 4, 12.0),
        ("logits that saturate", 100, 3, 90.0),
    ] {
        let z: Vec<f32> = uniform(rows * n, 1).iter().map(|z| z * size).collect();
        let weight: Vec<f32> = uniform(rows, 2).iter().map(|w| w.abs()).collect();
        let labels: Vec<f32> = uniform(rows * n, 3).iter().map(|l| l.abs()).collect();
        for given in [false, true] {
            let label = |k: usize| if given { f64::from(labels[k]) } else { f64::from(u8::from(k.is_multiple_of(n))) };
            let (mut loss, mut dz) = (Vec::new(), Vec::new());
            for i in 0..rows {
                let w = f64::from(weight[i]) / n as f64;
                let terms = (i * n..(i + 1) * n).map(|k| {
                    let z = f64::from(z[k]);
                    z.max(0.0) - z * label(k) + (-z.abs()).exp().ln_1p()
                });
                let total: f64 = terms.sum();
                loss.push((w * total, w * n as f64 * (1e-6 * f64::from(size) + 1e-6)));
                for k in i * n..(i + 1) * n {
                    dz.push((w * (1.0 / (1.0 + (-f64::from(z[k])).exp()) - label(k)), w * 2e-6));
                }
            }
            let reads = [f(&z, rows, n), f(&weight, rows, 1), if given { f(&labels, rows, n) } else { None }];
            let kernel = BceWithLogits { rows, n };
            let (step, loss, dz) = (Step::default(), Want::Close(loss), Want::Close(dz));
            hold(what, &kernel, &step, LAYS, &reads, &[out_f(rows, 1), out_f(rows, n)], &[loss.clone(), dz]);
            hold(what, &kernel, &step, LAYS, &reads, &[out_f(rows, 1), None], &[loss, Want::Nothing]);
        }
    }
}
