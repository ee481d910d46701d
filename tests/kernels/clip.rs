//! The pieces of clipping by the global norm.

use rt_kernels::Step;
use rt_kernels::kernels::{ClipFactor, NORM_PARTS, ScaleBy, SquaredNorm};
use rt_tests::{EPS, LAYS, Want, f, hold, out_f, u, uniform};

#[test]
fn squares_are_summed_in_parts_over_the_rows_that_count() {
    #[rustfmt::skip] // a table
    let cases = [
        // rows, cols, distinct ids of the table
        (1,      1,    None),
        (40_001, 1,    None),       // dense parameters
        (300,    33,   None),
        (300,    33,   Some(0)),
        (300,    33,   Some(7)),
        (700,    64,   Some(650)),
        (10,     5,    Some(90)),   // more than the matrix has
    ];
    for (rows, cols, distinct) in cases {
        let x = uniform(rows * cols, 1);
        let counted = distinct.unwrap_or(rows).min(rows);
        let run = rows.div_ceil(NORM_PARTS);
        let want = (0..NORM_PARTS).map(|p| {
            let part = &x[(p * run).min(counted) * cols..((p + 1) * run).min(counted) * cols];
            let sum: f64 = part.iter().map(|x| f64::from(*x).powi(2)).sum();
            (sum, (part.len() as f64 + 2.0) * EPS * sum)
        });
        let kernel = SquaredNorm { rows, cols, table: 1, tables: 2 };
        let first = distinct.and_then(|n| u(&[0, 11, 11 + n as u32], 3, 1));
        let what = format!("{rows} x {cols}, {distinct:?}");
        let want = [Want::Close(want.collect())];
        hold(&what, &kernel, &Step::default(), LAYS, &[f(&x, rows, cols), first], &[out_f(NORM_PARTS, 1)], &want);
    }
}

#[test]
fn the_factor_brings_the_norm_to_the_clip_and_leaves_small_ones() {
    let parts: Vec<f32> = uniform(192, 4).iter().map(|x| x.abs()).collect();
    let norm = parts.iter().map(|x| f64::from(*x)).sum::<f64>().sqrt();
    for (clip, want) in [(0.5f32, 0.5 / norm), (norm as f32 * 0.99, 0.99), (norm as f32 * 1.01, 1.0), (1e9, 1.0)] {
        let bound = if want == 1.0 { 0.0 } else { 200.0 * EPS };
        let kernel = ClipFactor { n: 192, clip };
        let want = [Want::Close(vec![(want, bound)])];
        hold("factor", &kernel, &Step::default(), LAYS, &[f(&parts, 192, 1)], &[out_f(1, 1)], &want);
    }
    let none = [Want::Close(vec![(1.0, 0.0)])];
    let kernel = ClipFactor { n: 64, clip: 0.1 };
    hold("no gradient", &kernel, &Step::default(), LAYS, &[f(&[0.0; 64], 64, 1)], &[out_f(1, 1)], &none);
}

#[test]
fn matrices_times_a_factor_of_the_device() {
    for (rows, cols) in [(1, 1), (65, 33), (40_001, 1)] {
        let x = uniform(rows * cols, 1);
        let want = [Want::floats(x.iter().map(|x| 0.375 * x))];
        let reads = [f(&x, rows, cols), f(&[0.375], 1, 1)];
        hold("scale_by", &ScaleBy { rows, cols }, &Step::default(), LAYS, &reads, &[out_f(rows, cols)], &want);
    }
}
