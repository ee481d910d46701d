//! Sums of columns.

use rt_kernels::Step;
use rt_kernels::kernels::ColumnSum;
use rt_tests::{EPS, LAYS, Want, f, hold, out_f, uniform};

#[test]
fn every_column() {
    for (what, rows, cols) in [
        ("one cell", 1, 1),
        ("fewer rows than parts", 7, 9),
        ("one over a workgroup's columns", 65, 9),
        ("nothing divides", 1001, 67),
        ("a batch on several threads", 4096, 128),
    ] {
        let x = uniform(rows * cols, 1);
        let column = |c: usize| x.iter().skip(c).step_by(cols).map(|x| f64::from(*x));
        let want = (0..cols).map(|c| {
            let size: f64 = column(c).map(f64::abs).sum();
            (column(c).sum(), rows as f64 * EPS * size + 1e-12)
        });
        let want = [Want::Close(want.collect())];
        hold(what, &ColumnSum { rows, cols }, &Step::default(), LAYS, &[f(&x, rows, cols)], &[out_f(1, cols)], &want);
    }
}
