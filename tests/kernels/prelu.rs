//! PReLU and its gradients.

use rt_kernels::Step;
use rt_kernels::kernels::{Prelu, PreluBackward};
use rt_tests::{LAYS, Want, f, hold, out_f, uniform};

#[test]
fn forward_and_backward() {
    for (what, rows, cols) in
        [("one cell", 1, 1), ("one over a workgroup", 65, 1), ("nothing divides", 257, 33), ("threads", 900, 64)]
    {
        let (x, dy, slope) = (uniform(rows * cols, 1), uniform(rows * cols, 2), uniform(cols, 3));
        let step = Step::default();
        let low = |i: usize| slope[i % cols];
        let y = x.iter().enumerate().map(|(i, x)| if *x > 0.0 { *x } else { low(i) * x });
        let reads = [f(&x, rows, cols), f(&slope, 1, cols)];
        hold(what, &Prelu { rows, cols }, &step, LAYS, &reads, &[out_f(rows, cols)], &[Want::floats(y)]);

        let reads = [f(&x, rows, cols), f(&slope, 1, cols), f(&dy, rows, cols)];
        let dx = Want::floats((0..x.len()).map(|i| if x[i] > 0.0 { dy[i] } else { low(i) * dy[i] }));
        let cells = Want::floats((0..x.len()).map(|i| if x[i] > 0.0 { 0.0 } else { x[i] * dy[i] }));
        let kernel = PreluBackward { rows, cols };
        hold(what, &kernel, &step, LAYS, &reads, &[out_f(rows, cols), out_f(rows, cols)], &[dx.clone(), cells]);
        hold(what, &kernel, &step, LAYS, &reads, &[out_f(rows, cols), None], &[dx, Want::Nothing]);
    }
}
