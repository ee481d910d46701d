//! Sums of a column in a ring.

use rt_kernels::Step;
use rt_kernels::kernels::Sum;
use rt_tests::{EPS, LAYS, Want, f, hold, uniform};

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
