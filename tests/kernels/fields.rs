//! Sums and factors of fields of different widths.

use rt_kernels::Step;
use rt_kernels::kernels::{FieldDot, FieldScale};
use rt_tests::{EPS, LAYS, Want, f, hold, out_f, u, uniform};

#[test]
fn dot_mean_and_scale() {
    for (what, rows, widths) in [
        ("one field of one column", 1, vec![1usize]),
        ("widths that differ", 65, vec![8, 1, 64, 3]),
        ("threads", 900, vec![16, 16, 33]),
        ("many fields", 70, vec![2; 40]),
    ] {
        let fields = widths.len();
        let mut starts = vec![0u32];
        widths.iter().for_each(|w| starts.push(starts.last().expect("the first") + *w as u32));
        let cols = *starts.last().expect("the last") as usize;
        let (x, y, a) = (uniform(rows * cols, 1), uniform(rows * cols, 2), uniform(rows * fields, 3));
        let step = Step::default();
        let field = |c: usize| starts.iter().rposition(|s| *s as usize <= c).expect("the first is 0");
        let (mut dot, mut mean) = (vec![0.0; rows * fields], vec![0.0; rows * fields]);
        for i in 0..rows * cols {
            let at = i / cols * fields + field(i % cols);
            dot[at] += f64::from(x[i]) * f64::from(y[i]);
            mean[at] += f64::from(x[i]) / widths[field(i % cols)] as f64;
        }
        let bound = 70.0 * 70.0 * EPS;
        let kernel = FieldDot { rows, cols, fields };
        let (x, y, starts_in) = (f(&x, rows, cols), f(&y, rows, cols), u(&starts, 1, fields + 1));
        let reads = [x.clone(), y, starts_in.clone()];
        hold(what, &kernel, &step, LAYS, &reads, &[out_f(rows, fields)], &[Want::within(dot, bound)]);
        let reads = [x.clone(), None, starts_in.clone()];
        hold(what, &kernel, &step, LAYS, &reads, &[out_f(rows, fields)], &[Want::within(mean, bound)]);

        let kernel = FieldScale { rows, cols, fields };
        let factor = |i: usize| f64::from(a[i / cols * fields + field(i % cols)]);
        let cells = uniform(rows * cols, 1);
        let scaled = (0..rows * cols).map(|i| factor(i) * f64::from(cells[i]));
        let reads = [f(&a, rows, fields), x, starts_in.clone()];
        hold(what, &kernel, &step, LAYS, &reads, &[out_f(rows, cols)], &[Want::within(scaled, 2.0 * EPS)]);
        let spread = (0..rows * cols).map(|i| factor(i) / widths[field(i % cols)] as f64);
        let reads = [f(&a, rows, fields), None, starts_in];
        hold(what, &kernel, &step, LAYS, &reads, &[out_f(rows, cols)], &[Want::within(spread, 4.0 * EPS)]);
    }
}

/// Garbage in `starts`: of a field the columns that are there count, and each column has one field.
#[test]
fn starts_that_neither_ascend_nor_end_at_the_columns() {
    let (rows, cols, fields) = (3, 8, 3);
    let (x, y, a) = (uniform(rows * cols, 1), uniform(rows * cols, 2), uniform(rows * fields, 3));
    // starts, columns of each field's sum, field of each column
    #[rustfmt::skip] // a table
    let cases = [
        ([5, 2, 900, 3],               [0..0, 2..8, 0..0], [0, 0, 1, 1, 1, 1, 1, 1]),
        ([0, 3, 3, 3],                 [0..3, 0..0, 0..0], [0, 0, 0, 2, 2, 2, 2, 2]),
        ([u32::MAX, u32::MAX, 4, 1],   [0..0, 0..0, 0..0], [0; 8]),
        ([2, 4, 6, u32::MAX],          [2..4, 4..6, 6..8], [0, 0, 0, 0, 1, 1, 2, 2]),
    ];
    for (starts, columns, of) in cases {
        let (what, step) = (format!("{starts:?}"), Step::default());
        let dot = (0..rows).flat_map(|r| columns.iter().map(move |own| (r, own.clone())));
        let cell = |i: usize| f64::from(x[i]) * f64::from(y[i]);
        let dot = dot.map(|(r, own)| own.map(|c| cell(r * cols + c)).sum::<f64>());
        let starts_in = u(&starts, 1, fields + 1);
        let reads = [f(&x, rows, cols), f(&y, rows, cols), starts_in.clone()];
        let want = [Want::within(dot, 64.0 * EPS)];
        hold(&what, &FieldDot { rows, cols, fields }, &step, LAYS, &reads, &[out_f(rows, fields)], &want);
        let scaled = (0..rows * cols).map(|i| f64::from(a[i / cols * fields + of[i % cols]]) * f64::from(x[i]));
        let reads = [f(&a, rows, fields), f(&x, rows, cols), starts_in];
        let want = [Want::within(scaled, 2.0 * EPS)];
        hold(&what, &FieldScale { rows, cols, fields }, &step, LAYS, &reads, &[out_f(rows, cols)], &want);
    }
}
