//! Sums of a column in a ring.

use rt_kernels::Step;
use rt_kernels::kernels::Sum;
use rt_tests::{EPS, LAYS, Lay, Want, f, hold, out_f, uniform};

#[test]
fn the_step_picks_the_place_and_the_others_stay() {
    for (what, rows) in
        [("one", 1), ("fewer than parts", 7), ("parts and one", 9), ("a batch", 1024), ("nothing divides", 10_007)]
    {
        let x = uniform(rows, 1);
        let total: f64 = x.iter().map(|x| f64::from(*x)).sum();
        let size: f64 = x.iter().map(|x| f64::from(x.abs())).sum();
        for (ring, step) in [(1, 5), (4, 5), (4, 8)] {
            let before = uniform(ring, 9);
            let mut want: Vec<(f64, f64)> = before.iter().map(|x| (f64::from(*x), 0.0)).collect();
            want[step as usize % ring] = (total, rows as f64 * EPS * size + 1e-12);
            let kernel = Sum { rows, ring };
            let step = Step::new(step, 1, 0, 1);
            hold(what, &kernel, &step, LAYS, &[f(&x, rows, 1)], &[f(&before, ring, 1)], &[Want::Close(want)]);
        }
    }
}

/// One f32 that takes all of them is 0.4 % off, eight are not better: see `sums.rs`.
#[test]
fn millions_of_cells_lose_no_digits() {
    for (what, rows) in [("the first long one", 16_385), ("four million", 4_000_000)] {
        let x = vec![0.1f32; rows];
        let total = f64::from(0.1f32) * rows as f64;
        let want = [Want::Close(vec![(total, 1e-6 * total)])];
        hold(what, &Sum { rows, ring: 1 }, &Step::default(), &[Lay::Dense], &[f(&x, rows, 1)], &[out_f(1, 1)], &want);
    }
    // Every cell once, in the last groups too: each counts as a power of its own would.
    for rows in [16_385, 20_001, 100_003] {
        let x: Vec<f32> = (0..rows).map(|i| (i % 64) as f32).collect();
        let total: f64 = x.iter().map(|x| f64::from(*x)).sum();
        let want = [Want::Close(vec![(total, 0.0)])];
        hold("whole numbers", &Sum { rows, ring: 1 }, &Step::default(), LAYS, &[f(&x, rows, 1)], &[out_f(1, 1)], &want);
    }
}

/// Sums of a batch keep the order that trained models have.
#[test]
fn short_sums_are_eight_runs_in_order() {
    for rows in [1, 1024, 16_384] {
        let x = uniform(rows, 3);
        let run = rows.div_ceil(8);
        let part = |p: usize| x[(p * run).min(rows)..((p + 1) * run).min(rows)].iter().fold(0.0f32, |sum, x| sum + x);
        let want = [Want::floats([(0..8).fold(0.0f32, |sum, p| sum + part(p))])];
        hold("short", &Sum { rows, ring: 1 }, &Step::default(), LAYS, &[f(&x, rows, 1)], &[out_f(1, 1)], &want);
    }
}
