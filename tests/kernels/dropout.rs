//! Dropout: which cells are kept is the generator's word, on every device.

use approx::abs_diff_eq;
use rt_kernels::kernels::{Activation, ActivationBackward, Dropout, DropoutBackward};
use rt_kernels::{Step, philox};
use rt_tests::{LAYS, Lay, Want, devices_with_checks, f, hold, out_f, run, uniform};

#[test]
fn kept_cells_are_scaled_and_the_rest_are_zero() {
    for (what, rows, cols) in
        [("one cell", 1, 1), ("a counter is shared by rows", 7, 3), ("nothing divides", 257, 33), ("threads", 1000, 70)]
    {
        let x = uniform(rows * cols, 1);
        let step = Step::new(3, 0x1234_5678_9abc_def0, 0, 1);
        let kernel = Dropout { rows, cols, keep_threshold: 3 << 30, scale: 4.0 / 3.0, stream: 77 };
        let kept = |i: usize| philox::draw([step.seed_lo, step.seed_hi], 3, 77, i as u32) < 3 << 30;
        let want = Want::floats(x.iter().enumerate().map(|(i, x)| if kept(i) { x * kernel.scale } else { 0.0 }));
        hold(what, &kernel, &step, LAYS, &[f(&x, rows, cols)], &[out_f(rows, cols)], &[want]);
        let share = (0..x.len()).filter(|i| kept(*i)).count() as f64 / x.len() as f64;
        assert!(x.len() < 1000 || abs_diff_eq!(share, 0.75, epsilon = 0.02), "{what}: {share} of the cells are kept");
    }
}

/// Held against the two kernels that it stands for: the dropout on dy, then the activation's derivative.
#[test]
fn backward_of_a_layer_has_the_bits_of_dropout_then_activation() {
    for (what, rows, cols) in [("one cell", 1, 1), ("a counter is shared by rows", 7, 3), ("threads", 1000, 70)] {
        let (y, dy) = (uniform(rows * cols, 1), uniform(rows * cols, 2));
        let step = Step::new(3, 0x1234_5678_9abc_def0, 0, 1);
        let dropout = Dropout { rows, cols, keep_threshold: 3 << 30, scale: 4.0 / 3.0, stream: 77 };
        for activation in [Activation::None, Activation::Relu, Activation::Tanh, Activation::Sigmoid] {
            let both = DropoutBackward { dropout: dropout.clone(), activation };
            for device in devices_with_checks() {
                for lay in [Lay::Dense, Lay::Strided] {
                    let out = [out_f(rows, cols)];
                    let dropped = run(device, dropout.clone(), &step, lay, &[f(&dy, rows, cols)], &out);
                    let dropped = f(&rt_tests::floats(&dropped[0]), rows, cols);
                    let alone = ActivationBackward { rows, cols, activation };
                    let want = run(device, alone, &step, lay, &[f(&y, rows, cols), dropped], &out);
                    let got = run(device, both.clone(), &step, lay, &[f(&y, rows, cols), f(&dy, rows, cols)], &out);
                    assert!(got == want, "{what}, {activation:?}, {device:?}, {lay:?}");
                }
            }
        }
    }
}
