//! Rows of length one, and their gradient.

use rt_kernels::Step;
use rt_kernels::kernels::{L2Normalize, L2NormalizeBackward};
use rt_tests::{EPS, LAYS, Want, f, hold, out_f, uniform};

#[rustfmt::skip] // a table
const SIZES: &[(&str, usize, usize)] = &[
    ("one cell",                 1,   1),
    ("fewer columns than lanes", 65,  3),
    ("nothing divides",         257, 33),
    ("the common width",       1000, 64),
    ("more than lanes",          63, 130),
];

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12)
}

fn rows(x: &[f32], dim: usize) -> Vec<Vec<f64>> {
    x.chunks(dim).map(|row| row.iter().map(|x| f64::from(*x)).collect()).collect()
}

#[test]
fn forward_backward_and_a_row_of_zeros() {
    for &(what, n, dim) in SIZES {
        let mut x = uniform(n * dim, 1);
        if n > 2 {
            x[dim..2 * dim].fill(0.0);
        }
        let dy = uniform(n * dim, 2);
        let (step, bound) = (Step::default(), (dim as f64 + 8.0) * EPS);
        let cells = |row: Vec<f64>| row.iter().map(|v| (v / norm(&row), bound)).collect::<Vec<_>>();
        let y = Want::Close(rows(&x, dim).into_iter().flat_map(cells).collect());
        let norms = Want::Close(rows(&x, dim).iter().map(|r| (norm(r), bound * norm(r))).collect());
        let kernel = L2Normalize { rows: n, dim };
        let reads = [f(&x, n, dim)];
        hold(what, &kernel, &step, LAYS, &reads, &[out_f(n, dim), out_f(n, 1)], &[y.clone(), norms]);
        hold(what, &kernel, &step, LAYS, &reads, &[out_f(n, dim), None], &[y, Want::Nothing]);

        // Backward from rounded y and norm, against central differences of forward in f64.
        let (mut y, mut lengths, mut want) = (Vec::new(), Vec::new(), Vec::new());
        for (row, dy) in rows(&x, dim).iter().zip(rows(&dy, dim)) {
            let length = norm(row);
            y.extend(row.iter().map(|v| (v / length) as f32));
            lengths.push(length as f32);
            let size: f64 = dy.iter().map(|d| d.abs()).sum();
            for c in 0..dim {
                let h = 1e-6 * length;
                let value = |shift: f64| {
                    let mut moved = row.clone();
                    moved[c] += shift;
                    let length = norm(&moved);
                    moved.iter().zip(&dy).map(|(m, d)| m / length * d).sum::<f64>()
                };
                // A row of zeros has no direction, and no gradient by definition.
                let slope = (value(h) - value(-h)) / (2.0 * h);
                let none = length <= 1e-12;
                want.push(if none { (0.0, 0.0) } else { (slope, (bound * 4.0 + 1e-8) * size / length) });
            }
        }
        let reads = [f(&y, n, dim), f(&lengths, n, 1), f(&dy, n, dim)];
        let kernel = L2NormalizeBackward { rows: n, dim };
        hold(what, &kernel, &step, LAYS, &reads, &[out_f(n, dim)], &[Want::Close(want)]);
    }
}
