//! The pieces of clipping by the global norm.

use approx::abs_diff_eq;
use rt_kernels::kernels::{ClipFactor, GradientNorm, NORM_PARTS, ScaleBy, SquaredNorm};
use rt_kernels::{Device, Kernel, Operands, Step};
use rt_tests::{EPS, LAYS, Lay, Want, devices_with_checks, f, floats, hold, out_f, run, u, uniform};

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
        let want = (0..NORM_PARTS).flat_map(|p| {
            let part = &x[(p * run).min(counted) * cols..((p + 1) * run).min(counted) * cols];
            let sum: f64 = part.iter().map(|x| f64::from(*x).powi(2)).sum();
            let bound = (part.len() as f64 + 2.0) * EPS * sum;
            // The second column is the same, 2^160 times smaller.
            [(sum, bound), (sum * 0.5f64.powi(160), (bound + 4.0 * EPS * sum) * 0.5f64.powi(160) + 1e-44)]
        });
        let kernel = SquaredNorm { rows, cols, table: 1, tables: 2 };
        let first = distinct.and_then(|n| u(&[0, 11, 11 + n as u32], 3, 1));
        let what = format!("{rows} x {cols}, {distinct:?}");
        let want = [Want::Close(want.collect())];
        hold(&what, &kernel, &Step::default(), LAYS, &[f(&x, rows, cols), first], &[out_f(NORM_PARTS, 2)], &want);
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
        hold("factor", &kernel, &Step::default(), LAYS, &[f(&scaled(&parts), 192, 2)], &[out_f(1, 1)], &want);
    }
    let none = [Want::Close(vec![(1.0, 0.0)])];
    let kernel = ClipFactor { n: 64, clip: 0.1 };
    hold("no gradient", &kernel, &Step::default(), LAYS, &[f(&[0.0; 128], 64, 2)], &[out_f(1, 1)], &none);
}

/// The parts and, 2^160 times smaller, once more.
fn scaled(parts: &[f32]) -> Vec<f32> {
    parts.iter().flat_map(|x| [*x, x * 0.5f32.powi(80) * 0.5f32.powi(80)]).collect()
}

/// Squares overflow, the norm does not; what is no number stays none.
#[test]
fn norms_whose_squares_overflow_have_their_factor_and_nan_has_none() {
    let (rows, cols, clip) = (300, 33, 2.0f32);
    let plain = uniform(rows * cols, 5);
    for (what, large) in [("1e19", 1e19f32), ("1e25", 1e25), ("1e30", 1e30), ("half the largest", f32::MAX / 2.0)] {
        let mut x = plain.clone();
        (x[0], x[700]) = (large, -large);
        let norm = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let want = f64::from(clip) / norm;
        for device in devices_with_checks() {
            let factor = factor_of(device, &x, rows, cols, clip);
            let close = abs_diff_eq!(f64::from(factor), want, epsilon = 1e-5 * want + 1e-38);
            assert!(close, "{what}, {device:?}: {factor:e}, not {want:e}");
        }
    }
    for odd in [f32::NAN, -f32::NAN] {
        let mut x = plain.clone();
        x[9_000] = odd;
        for device in devices_with_checks() {
            let factor = factor_of(device, &x, rows, cols, clip);
            assert!(factor.is_nan(), "{device:?}: the factor of {odd} is {factor}");
        }
    }
}

fn factor_of(device: &Device, x: &[f32], rows: usize, cols: usize, clip: f32) -> f32 {
    let kernel = SquaredNorm { rows, cols, table: 0, tables: 1 };
    let reads = [f(x, rows, cols), None];
    let parts = run(device, kernel, &Step::default(), Lay::Strided, &reads, &[out_f(NORM_PARTS, 2)]);
    let parts = f(&floats(&parts[0]), NORM_PARTS, 2);
    let factor = ClipFactor { n: NORM_PARTS, clip };
    floats(&run(device, factor, &Step::default(), Lay::Strided, &[parts], &[out_f(1, 1)])[0])[0]
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

/// More matrices than a dispatch binds; the norm of a step stands in its cell, the next one's is 0, the others stay.
#[test]
fn the_gradients_norm_is_the_largest_cell_and_shows_what_is_no_number() {
    let shapes = [[1, 1], [70, 64], [40_001, 1], [0, 5], [9, 7], [300, 33], [5, 5], [2, 3], [1000, 2]];
    let (ring, step) = (4, Step::new(7, 1, 0, 1));
    let before = [9.0, 8.0, 7.0, 0.0];
    let cells = |at: Option<(usize, usize, f32)>| {
        let data = shapes.iter().zip(1..).map(|([rows, cols], seed)| uniform(rows * cols, seed));
        let mut data: Vec<Vec<f32>> = data.collect();
        if let Some((matrix, cell, x)) = at {
            data[matrix][cell] = x;
        }
        data
    };
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let cases = [
        (None, None),
        (Some((2, 40_000, -3.5)), Some(3.5)),
        (Some((1, 4_479, 1e30)), Some(1e30)),
        (Some((8, 0, -inf)), Some(inf)),
        (Some((0, 0, nan)), Some(nan)),
        (Some((5, 9_899, -nan)), Some(nan)),
    ];
    for (at, want) in cases {
        let data = cells(at);
        let most = data.iter().flatten().fold(0.0f32, |a, b| a.max(b.abs()));
        let reads: Vec<_> = shapes.iter().zip(&data).map(|([rows, cols], x)| f(x, *rows, *cols)).collect();
        let kernel = GradientNorm { list: shapes.to_vec(), ring };
        // Step 7 of a ring of four is row 3, step 8 row 0.
        let want = [Want::floats([0.0, 8.0, 7.0, want.unwrap_or(most).abs()])];
        hold(&format!("{at:?}"), &kernel, &step, LAYS, &reads, &[f(&before, ring, 1)], &want);
    }
}

/// The cell after the last step number's is the next of the ring, not the first.
#[test]
fn the_ring_of_norms_goes_round_at_the_last_step_number() {
    // 2^32 - 1 is a multiple of 3 and of 5, and one less than a multiple of 2 and of 4.
    for (ring, own) in [(3, 0), (5, 0), (2, 1), (4, 3)] {
        let mut before = vec![7.0; ring];
        before[own] = 0.0;
        let mut want = before.clone();
        (want[own], want[(own + 1) % ring]) = (2.5, 0.0);
        let kernel = GradientNorm { list: vec![[1, 2]], ring };
        let (reads, step) = ([f(&[1.0, -2.5], 1, 2)], Step::new(u32::MAX, 1, 0, 1));
        hold(&format!("{ring}"), &kernel, &step, LAYS, &reads, &[f(&before, ring, 1)], &[Want::floats(want)]);
    }
}

#[test]
fn a_ring_of_norms_has_two_places_at_least() {
    let none = Operands { reads: Vec::new(), writes: Vec::new(), scratch: Vec::new() };
    let said = |ring| GradientNorm { list: Vec::new(), ring }.mismatch(&none);
    assert_eq!(said(2), None);
    for ring in [0, 1] {
        assert!(said(ring).is_some_and(|said| said.contains("2 at least")), "{ring}");
    }
}

/// Garbage in `first`, which no grouping writes: a table whose ids end before they begin has none.
#[test]
fn a_table_that_ends_before_it_begins_has_no_rows() {
    let (rows, cols) = (70, 3);
    let kernel = SquaredNorm { rows, cols, table: 0, tables: 1 };
    let want = [Want::floats([0.0; 2 * NORM_PARTS])];
    let reads = [f(&uniform(rows * cols, 1), rows, cols), u(&[9, 2], 2, 1)];
    hold("descending", &kernel, &Step::default(), LAYS, &reads, &[out_f(NORM_PARTS, 2)], &want);
}
