//! Element-wise arithmetic and copies: one rounding, so every bit must agree.

use rt_kernels::Step;
use rt_kernels::kernels::{Add, Copy, Mul, Scale};
use rt_tests::{LAYS, Want, f, hold, ids, out_f, out_u, u, uniform};

#[rustfmt::skip] // a table
const SIZES: &[(&str, usize, usize)] = &[
    ("one cell",                   1,   1),
    ("one short of a workgroup",  63,   1),
    ("one over a workgroup",       1,  65),
    ("nothing divides",          257,  33),
    ("several threads",         1000,  70),
    ("past 65 535 workgroups", 70_000, 64),
];

#[test]
fn every_bit_of_sums_products_and_copies() {
    for &(what, rows, cols) in SIZES {
        let (a, b) = (uniform(rows * cols, 1), uniform(rows * cols, 2));
        let (x, y) = (f(&a, rows, cols), f(&b, rows, cols));
        let (step, out) = (Step::default(), [out_f(rows, cols)]);
        let both = |f: fn(f32, f32) -> f32| [Want::floats(a.iter().zip(&b).map(|(a, b)| f(*a, *b)))];
        let two = [x.clone(), y];
        hold(what, &Add { rows, cols }, &step, LAYS, &two, &out, &both(|a, b| a + b));
        hold(what, &Mul { rows, cols }, &step, LAYS, &two, &out, &both(|a, b| a * b));
        let scaled = [Want::floats(a.iter().map(|a| -1.7 * a))];
        hold(what, &Scale { rows, cols, factor: -1.7 }, &step, LAYS, &[x], &out, &scaled);
        // Words that are no floats have to survive a copy: NaNs with a payload among them.
        let words: Vec<u32> = ids(rows * cols, u32::MAX, 3).iter().map(|w| w | 0x7f80_0001).collect();
        let copied = [Want::Exact(words.clone())];
        hold(what, &Copy { rows, cols }, &step, LAYS, &[u(&words, rows, cols)], &[out_u(rows, cols)], &copied);
    }
}
