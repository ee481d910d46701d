//! Dot products of rows with their groups, and their gradients.

use rt_kernels::Step;
use rt_kernels::kernels::{GroupDot, GroupDotBackward};
use rt_tests::{EPS, LAYS, Want, f, hold, out_f, uniform};

/// A sum with the bound of its rounding in any order.
fn sum(terms: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut n, mut total, mut size) = (0.0, 0.0, 0.0);
    for t in terms {
        (n, total, size) = (n + 1.0, total + t, size + t.abs());
    }
    (total, (n + 4.0) * EPS * size + 1e-12)
}

#[test]
fn products_and_gradients() {
    for (what, rows, group, dim) in [
        ("one cell", 1, 1, 1),
        ("pairs of rows", 257, 1, 33),
        ("one positive and three negatives", 65, 4, 64),
        ("more columns than lanes", 33, 3, 130),
        ("several threads", 600, 5, 48),
    ] {
        let (u, v, dz) = (uniform(rows * dim, 1), uniform(rows * group * dim, 2), uniform(rows * group, 3));
        let (step, scale) = (Step::default(), 2.5f32);
        let at = |m: &[f32], r: usize, c: usize| f64::from(m[r * dim + c]);
        let s = f64::from(scale);
        let z = (0..rows * group).map(|j| sum((0..dim).map(|c| s * at(&u, j / group, c) * at(&v, j, c)))).collect();
        let reads = [f(&u, rows, dim), f(&v, rows * group, dim)];
        let kernel = GroupDot { rows, group, dim, scale };
        hold(what, &kernel, &step, LAYS, &reads, &[out_f(rows, group)], &[Want::Close(z)]);

        let g = |j: usize| s * f64::from(dz[j]);
        let cell = |i: usize| {
            let (r, c) = (i / dim, i % dim);
            sum((r * group..(r + 1) * group).map(|j| g(j) * at(&v, j, c)))
        };
        let du = Want::Close((0..rows * dim).map(cell).collect());
        let cell = |i: usize| sum(std::iter::once(g(i / dim) * at(&u, i / dim / group, i % dim)));
        let dv = Want::Close((0..rows * group * dim).map(cell).collect());
        let reads = [f(&u, rows, dim), f(&v, rows * group, dim), f(&dz, rows, group)];
        let kernel = GroupDotBackward { rows, group, dim, scale };
        let (out_u, out_v) = (out_f(rows, dim), out_f(rows * group, dim));
        hold(what, &kernel, &step, LAYS, &reads, &[out_u.clone(), out_v.clone()], &[du.clone(), dv.clone()]);
        hold(what, &kernel, &step, LAYS, &reads, &[out_u, None], &[du, Want::Nothing]);
        hold(what, &kernel, &step, LAYS, &reads, &[None, out_v], &[Want::Nothing, dv]);
    }
}
