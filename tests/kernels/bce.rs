//! Binary cross-entropy with logits.

use rt_kernels::Step;
use rt_kernels::kernels::BceWithLogits;
use rt_tests::{LAYS, Want, f, hold, ids, out_f, u, uniform};

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
        let list = ids(rows * n, 6, 4);
        for (given, masked) in [(false, false), (true, false), (false, true)] {
            let counts = |k: usize| !masked || k.is_multiple_of(n) || list[k] != list[k / n * n];
            let label = |k: usize| if given { f64::from(labels[k]) } else { f64::from(u8::from(k.is_multiple_of(n))) };
            let (mut loss, mut dz) = (Vec::new(), Vec::new());
            for i in 0..rows {
                let number = (i * n..(i + 1) * n).filter(|k| counts(*k)).count();
                let w = f64::from(weight[i]) / number as f64;
                let terms = (i * n..(i + 1) * n).filter(|k| counts(*k)).map(|k| {
                    let z = f64::from(z[k]);
                    z.max(0.0) - z * label(k) + (-z.abs()).exp().ln_1p()
                });
                let total: f64 = terms.sum();
                loss.push((w * total, w * n as f64 * (1e-6 * f64::from(size) + 1e-6)));
                for k in i * n..(i + 1) * n {
                    let slope = 1.0 / (1.0 + (-f64::from(z[k])).exp()) - label(k);
                    dz.push((if counts(k) { w * slope } else { 0.0 }, w * 2e-6));
                }
            }
            let labels = if given { f(&labels, rows, n) } else { None };
            let reads = [f(&z, rows, n), f(&weight, rows, 1), labels, if masked { u(&list, rows, n) } else { None }];
            let kernel = BceWithLogits { rows, n };
            let (step, loss, dz) = (Step::default(), Want::Close(loss), Want::Close(dz));
            hold(what, &kernel, &step, LAYS, &reads, &[out_f(rows, 1), out_f(rows, n)], &[loss.clone(), dz]);
            hold(what, &kernel, &step, LAYS, &reads, &[out_f(rows, 1), None], &[loss, Want::Nothing]);
        }
    }
}
