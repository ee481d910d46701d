//! Updates of dense parameters by each rule.

use rt_kernels::Step;
use rt_kernels::kernels::{DenseRule, UpdateDense};
use rt_tests::{LAYS, Want, f, hold, uniform};

#[test]
fn each_rule_with_and_without_decay() {
    let adam = DenseRule::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
    for rule in [DenseRule::Sgd, DenseRule::Adagrad { eps: 1e-8 }, adam] {
        for (what, n) in [("one", 1), ("one over a workgroup", 65), ("several chunks of threads", 40_001)] {
            for weight_decay in [0.0f32, 0.1] {
                let (g, w) = (uniform(n, 1), uniform(n, 2));
                let (m, v) = (uniform(n, 3), uniform(n, 4).iter().map(|v| v.abs()).collect::<Vec<_>>());
                let step = Step::new(7, 1, 0, 1).with_rates(0.01, 0.5, 0.9, 0.999);
                let (lr, decay) = (f64::from(step.lr), f64::from(weight_decay));
                let (mut new_w, mut new_1, mut new_2) = (Vec::new(), Vec::new(), Vec::new());
                for i in 0..n {
                    let (g, w) = (f64::from(g[i]), f64::from(w[i]) * (1.0 - lr * decay));
                    // Adagrad's state is a sum of squares: the absolute values serve as one.
                    let (first, second) = (f64::from(m[i]), f64::from(v[i]));
                    let moved = match rule {
                        DenseRule::Sgd => g,
                        DenseRule::Adagrad { eps } => {
                            let a = first.abs() + g * g;
                            new_1.push((a, 1e-6));
                            g / (a.sqrt() + f64::from(eps))
                        }
                        DenseRule::Adam { beta1, beta2, eps } => {
                            let (b1, b2) = (f64::from(beta1), f64::from(beta2));
                            let (m, v) = (b1 * first + (1.0 - b1) * g, b2 * second + (1.0 - b2) * g * g);
                            new_1.push((m, 1e-6));
                            new_2.push((v, 1e-6));
                            let corrected = m / (1.0 - b1.powi(7));
                            corrected / ((v / (1.0 - b2.powi(7))).sqrt() + f64::from(eps))
                        }
                    };
                    new_w.push((w - lr * moved, 2e-6 * (1.0 + lr * moved.abs())));
                }
                let states = match rule {
                    DenseRule::Sgd => [None, None],
                    DenseRule::Adagrad { .. } => [f(&m.iter().map(|m| m.abs()).collect::<Vec<_>>(), n, 1), None],
                    DenseRule::Adam { .. } => [f(&m, n, 1), f(&v, n, 1)],
                };
                let want = |cells: Vec<(f64, f64)>| if cells.is_empty() { Want::Nothing } else { Want::Close(cells) };
                let [first, second] = states;
                let kernel = UpdateDense { rule, n, weight_decay, average: None };
                let writes = [f(&w, n, 1), first, second, None];
                let want = [want(new_w), want(new_1), want(new_2), Want::Nothing];
                hold(&format!("{rule:?}, {what}"), &kernel, &step, LAYS, &[f(&g, n, 1)], &writes, &want);
            }
        }
    }
}
