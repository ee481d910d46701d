//! Losses over pairs.

use rt_kernels::Step;
use rt_kernels::kernels::{PairRule, Pairwise};
use rt_tests::{LAYS, Want, f, hold, ids, out_f, u, uniform};

#[test]
fn loss_and_gradient_at_any_logit() {
    for (what, rows, n, size) in [
        ("the positive alone", 3, 1, 1.0),
        ("one pair, one over a workgroup", 65, 2, 4.0),
        ("one and three", 257, 4, 12.0),
        ("differences that overflow exp", 100, 6, 200.0),
    ] {
        let z: Vec<f32> = uniform(rows * n, 1).iter().map(|z| z * size).collect();
        let weight: Vec<f32> = uniform(rows, 2).iter().map(|w| w.abs()).collect();
        // Few ids: rows where some, and where all, negatives are the positive.
        let list = ids(rows * n, 3, 3);
        for rule in [PairRule::Bpr, PairRule::Hinge { margin: 0.7 }] {
            for masked in [false, true] {
                let pair = |d: f64| match rule {
                    PairRule::Bpr => (d.max(0.0) + (-d.abs()).exp().ln_1p(), 1.0 / (1.0 + (-d).exp())),
                    PairRule::Hinge { margin } => {
                        let over = f64::from(margin) + d;
                        if over > 0.0 { (over, 1.0) } else { (0.0, 0.0) }
                    }
                };
                let (mut loss, mut dz) = (Vec::new(), Vec::new());
                for i in 0..rows {
                    let counts = |j: &usize| !masked || list[i * n + j] != list[i * n];
                    let counted: Vec<usize> = (1..n).filter(counts).collect();
                    let w = f64::from(weight[i]) / counted.len().max(1) as f64;
                    // A difference rounds to a unit of its size: half a unit of 2 * size, and so does each term.
                    let at = |j: usize| pair(f64::from(z[i * n + j]) - f64::from(z[i * n]));
                    let total: f64 = counted.iter().map(|j| at(*j).0).sum();
                    let bound = 1e-6 * f64::from(size) + 1e-6;
                    loss.push((w * total, w * n as f64 * bound));
                    let slopes: f64 = counted.iter().map(|j| at(*j).1).sum();
                    dz.push((-w * slopes, w * n as f64 * bound));
                    for j in 1..n {
                        dz.push((if counts(&j) { w * at(j).1 } else { 0.0 }, w * bound));
                    }
                }
                let reads = [f(&z, rows, n), f(&weight, rows, 1), if masked { u(&list, rows, n) } else { None }];
                let kernel = Pairwise { rows, n, rule };
                let (step, loss, dz) = (Step::default(), Want::Close(loss), Want::Close(dz));
                hold(what, &kernel, &step, LAYS, &reads, &[out_f(rows, 1), out_f(rows, n)], &[loss.clone(), dz]);
                hold(what, &kernel, &step, LAYS, &reads, &[out_f(rows, 1), None], &[loss, Want::Nothing]);
            }
        }
    }
}
