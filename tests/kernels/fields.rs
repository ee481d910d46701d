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
