//! GELU and its gradient, held against the tanh form that the paper writes.

use rt_kernels::Step;
use rt_kernels::kernels::{Gelu, GeluBackward};
use rt_tests::{EPS, LAYS, Want, f, hold, out_f, uniform};

fn gelu(x: f64) -> f64 {
    x / 2.0 * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
}

#[test]
fn forward_and_backward() {
    for (what, rows, cols) in
        [("one cell", 1, 1), ("one over a workgroup", 65, 1), ("nothing divides", 257, 33), ("threads", 900, 64)]
    {
        // From -12 to 12: both tails, where the cube is large, and the minimum near -0.75.
        let x: Vec<f32> = uniform(rows * cols, 1).iter().map(|x| 12.0 * x * x * x).collect();
        let dy = uniform(rows * cols, 2);
        let step = Step::default();
        let size = |x: f64| (32.0 + 8.0 * x.abs().powi(3)).min(400.0) * EPS * (1.0 + x.abs());
        let y = x.iter().map(|x| (gelu(f64::from(*x)), size(f64::from(*x)))).collect();
        hold(what, &Gelu { rows, cols }, &step, LAYS, &[f(&x, rows, cols)], &[out_f(rows, cols)], &[Want::Close(y)]);
        let slope = |x: f64| (gelu(x + 1e-6) - gelu(x - 1e-6)) / 2e-6;
        let dx = x.iter().zip(&dy).map(|(x, dy)| {
            let x = f64::from(*x);
            (f64::from(*dy) * slope(x), 8.0 * size(x) + 1e-8)
        });
        let reads = [f(&x, rows, cols), f(&dy, rows, cols)];
        let want = [Want::Close(dx.collect())];
        hold(what, &GeluBackward { rows, cols }, &step, LAYS, &reads, &[out_f(rows, cols)], &want);
    }
}
