//! Softmax over a row's own list.

use rt_kernels::Step;
use rt_kernels::kernels::ListSoftmax;
use rt_tests::{LAYS, Want, f, hold, ids, out_f, u, uniform};

#[test]
fn loss_and_gradient() {
    for (what, rows, n, size) in [
        ("the positive alone", 3, 1, 1.0),
        ("one and three", 257, 4, 3.0),
        ("one over a workgroup", 65, 21, 10.0),
        ("logits that overflow exp", 40, 9, 200.0),
    ] {
        let z: Vec<f32> = uniform(rows * n, 1).iter().map(|z| z * size).collect();
        let weight: Vec<f32> = uniform(rows, 2).iter().map(|w| w.abs()).collect();
        let (list, logq) = (ids(rows * n, 6, 3), uniform(rows * n, 4));
        for (mask_hits, with_logq, correct_positive, smoothing) in [
            (false, false, false, 0.0),
            (true, false, false, 0.0),
            (true, true, false, 0.2),
            (false, true, true, 0.0),
            (true, true, true, 1.0),
        ] {
            let logit = |i: usize, j: usize| {
                let q = if with_logq && (j > 0 || correct_positive) { f64::from(logq[i * n + j]) } else { 0.0 };
                let hit = mask_hits && j > 0 && list[i * n + j] == list[i * n];
                (!hit).then(|| f64::from(z[i * n + j]) - q)
            };
            let (mut loss, mut dz) = (Vec::new(), Vec::new());
            for i in 0..rows {
                let w = f64::from(weight[i]);
                let top = (0..n).filter_map(|j| logit(i, j)).fold(f64::MIN, f64::max);
                let total: f64 = (0..n).filter_map(|j| logit(i, j)).map(|z| (z - top).exp()).sum();
                let lse = top + total.ln();
                let kept: Vec<f64> = (0..n).filter_map(|j| logit(i, j)).collect();
                let (e, count) = (f64::from(smoothing), kept.len() as f64);
                let mean = kept.iter().sum::<f64>() / count;
                let cost = lse - (1.0 - e) * logit(i, 0).unwrap() - e * mean;
                loss.push((w * cost, w * (2e-6 * (f64::from(size) + 8.0))));
                for j in 0..n {
                    let p = logit(i, j).map_or(0.0, |z| (z - lse).exp());
                    let spread = if logit(i, j).is_some() { e / count } else { 0.0 };
                    let target = spread + if j == 0 { 1.0 - e } else { 0.0 };
                    dz.push((w * (p - target), w * (1e-5 * f64::from(size).max(1.0)).min(1e-3)));
                }
            }
            let reads = [
                f(&z, rows, n),
                f(&weight, rows, 1),
                if mask_hits { u(&list, rows, n) } else { None },
                if with_logq { f(&logq, rows, n) } else { None },
            ];
            let kernel = ListSoftmax { rows, n, mask_hits, correct_positive, smoothing };
            let (step, loss, dz) = (Step::default(), Want::Close(loss), Want::Close(dz));
            hold(what, &kernel, &step, LAYS, &reads, &[out_f(rows, 1), out_f(rows, n)], &[loss.clone(), dz]);
            hold(what, &kernel, &step, LAYS, &reads, &[out_f(rows, 1), None], &[loss, Want::Nothing]);
        }
    }
}
