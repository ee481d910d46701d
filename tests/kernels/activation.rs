//! Activations and their derivatives.

use rt_kernels::Step;
use rt_kernels::kernels::{Activation, ActivationBackward, ActivationForward};
use rt_tests::{EPS, LAYS, Want, f, hold, out_f, uniform};

#[rustfmt::skip] // a table
const SIZES: &[(&str, usize, usize)] = &[
    ("one cell",                  1,   1),
    ("one short of a workgroup", 63,   1),
    ("one over a workgroup",     65,   1),
    ("nothing divides",         257,  33),
    ("several threads",        1000,  64),
];

const ALL: [Activation; 4] = [Activation::None, Activation::Relu, Activation::Tanh, Activation::Sigmoid];

fn oracle(f: Activation, x: f64) -> f64 {
    match f {
        Activation::None => x,
        Activation::Relu => x.max(0.0),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
    }
}

#[test]
fn forward() {
    for &(what, rows, cols) in SIZES {
        // From deep in saturation to near zero.
        let mut x: Vec<f32> = uniform(rows * cols, 3).iter().map(|x| x * x * x * 30.0).collect();
        x[0] = -100.0;
        for activation in ALL {
            let exact = matches!(activation, Activation::None | Activation::Relu);
            // WGSL's exp is good to 3 + 2|x| units; saturated cells are small or near one.
            let bound = |x: f64| if exact { 0.0 } else { 4e-6 * oracle(activation, x).abs() + 1e-9 };
            let want = x.iter().map(|x| (oracle(activation, f64::from(*x)), bound(f64::from(*x)))).collect();
            let kernel = ActivationForward { rows, cols, activation };
            let what = format!("{activation:?}, {what}");
            hold(
                &what,
                &kernel,
                &Step::default(),
                LAYS,
                &[f(&x, rows, cols)],
                &[out_f(rows, cols)],
                &[Want::Close(want)],
            );
        }
    }
}

#[test]
fn backward_is_the_derivative_by_central_differences() {
    for &(what, rows, cols) in SIZES {
        let x: Vec<f32> = uniform(rows * cols, 4).iter().map(|x| x * 4.0).collect();
        let dy = uniform(rows * cols, 5);
        for activation in ALL {
            let y: Vec<f32> = x.iter().map(|x| oracle(activation, f64::from(*x)) as f32).collect();
            let cell = |(x, dy): (&f32, &f32)| {
                let (x, h) = (f64::from(*x), 1e-6);
                let slope = (oracle(activation, x + h) - oracle(activation, x - h)) / (2.0 * h);
                // y is rounded, and the derivative is made from y.
                (f64::from(*dy) * slope, f64::from(dy.abs()) * 8.0 * EPS + 1e-8)
            };
            let want = x.iter().zip(&dy).map(cell).collect();
            let kernel = ActivationBackward { rows, cols, activation };
            let reads = [f(&y, rows, cols), f(&dy, rows, cols)];
            let what = format!("{activation:?}, {what}");
            hold(&what, &kernel, &Step::default(), LAYS, &reads, &[out_f(rows, cols)], &[Want::Close(want)]);
        }
    }
}
