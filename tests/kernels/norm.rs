//! Layer and batch normalisation, and their gradients.

use rt_kernels::Step;
use rt_kernels::kernels::{
    BatchNorm, BatchNormBackward, BatchNormStats, BatchNormSums, LayerNorm, LayerNormBackward, NORM_EPS,
};
use rt_tests::{EPS, LAYS, Want, f, hold, out_f, uniform};

#[rustfmt::skip] // a table
const SIZES: &[(&str, usize, usize)] = &[
    ("one cell",                 1,   1),
    ("fewer columns than lanes", 65,  3),
    ("nothing divides",         257, 33),
    ("threads",                 700, 64),
    ("more than lanes",          63, 130),
];

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}

/// Mean, variance.
fn moments(x: &[f64]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    (mean, x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n)
}

fn rstd(variance: f64) -> f64 {
    1.0 / (variance + f64::from(NORM_EPS)).sqrt()
}

#[test]
fn layer_norm_forward_and_backward() {
    for &(what, rows, dim) in SIZES {
        let mut x: Vec<f32> = uniform(rows * dim, 1).iter().map(|x| 3.0 * x + 0.5).collect();
        if rows > 2 {
            x[dim..2 * dim].fill(0.75); // no spread at all
        }
        let (gain, bias, dy) = (uniform(dim, 2), uniform(dim, 3), uniform(rows * dim, 4));
        let step = Step::default();
        let n = dim as f64;
        // Rounding of the mean moves a row by (n + 4) eps of its size, 3.5, times rstd.
        let bound = |rstd: f64| (n + 16.0) * EPS * 4.0 * rstd;
        let (mut y, mut stats, mut given, mut dx, mut cells) = (vec![], vec![], vec![], vec![], vec![]);
        for (row, dy) in wide(&x).chunks(dim).zip(wide(&dy).chunks(dim)) {
            let (mean, variance) = moments(row);
            let r = rstd(variance);
            stats.extend([(mean, bound(1.0)), (r, bound(r) * r * r.max(1.0))]);
            given.extend([mean as f32, r as f32]);
            let (mean, r32) = (f64::from(mean as f32), f64::from(r as f32)); // what backward is given
            let h: Vec<f64> = row.iter().map(|x| (x - mean) * r32).collect();
            let g: Vec<f64> = dy.iter().zip(&gain).map(|(d, g)| d * f64::from(*g)).collect();
            let level = g.iter().sum::<f64>() / n;
            let along = g.iter().zip(&h).map(|(g, h)| g * h).sum::<f64>() / n;
            for c in 0..dim {
                y.push((f64::from(gain[c]) * (row[c] - mean) * r + f64::from(bias[c]), bound(r) * (1.0 + h[c].abs())));
                dx.push((r32 * (g[c] - level - h[c] * along), bound(r) * (2.0 + h[c].abs()) * (1.0 + h[c].abs())));
                cells.push((dy[c] * h[c], bound(r)));
            }
        }
        let reads = [f(&x, rows, dim), f(&gain, 1, dim), f(&bias, 1, dim)];
        let want = [Want::Close(y), Want::Close(stats)];
        hold(what, &LayerNorm { rows, dim }, &step, LAYS, &reads, &[out_f(rows, dim), out_f(rows, 2)], &want);
        let reads = [f(&x, rows, dim), f(&given, rows, 2), f(&gain, 1, dim), f(&dy, rows, dim)];
        let kernel = LayerNormBackward { rows, dim };
        let (dx, cells) = (Want::Close(dx), Want::Close(cells));
        hold(what, &kernel, &step, LAYS, &reads, &[out_f(rows, dim), out_f(rows, dim)], &[dx.clone(), cells]);
        hold(what, &kernel, &step, LAYS, &reads, &[out_f(rows, dim), None], &[dx, Want::Nothing]);
    }
}

#[test]
fn batch_norm_leaves_out_rows_without_weight() {
    for &(what, rows, cols) in SIZES {
        // Every fifth row is padding, and far away: one that leaks into the statistics is seen.
        let counts = |r: usize| r % 5 != 4;
        let cell = |(i, x): (usize, &f32)| if counts(i / cols) { 2.0 * x + 0.25 } else { 1e4 };
        let x: Vec<f32> = uniform(rows * cols, 1).iter().enumerate().map(cell).collect();
        let weight: Vec<f32> = (0..rows).map(|r| if counts(r) { 0.01 } else { 0.0 }).collect();
        let dy: Vec<f32> = uniform(rows * cols, 2);
        let (gain, bias, old) = (uniform(cols, 3), uniform(cols, 4), uniform(cols, 5));
        let (step, momentum) = (Step::default(), 0.25f32);
        let n = (0..rows).filter(|r| counts(*r)).count() as f64;
        let (mut stats, mut running, mut sums, mut given) = (vec![vec![]; 3], vec![vec![]; 2], vec![vec![]; 2], vec![]);
        let bound = (rows as f64 + 16.0) * EPS * 4.0;
        for c in 0..cols {
            let column: Vec<f64> = (0..rows).filter(|r| counts(*r)).map(|r| f64::from(x[r * cols + c])).collect();
            let (mean, variance) = moments(&column);
            given.push([mean as f32, variance as f32, (1.0 / n) as f32]);
            for (k, value) in [mean, variance, 1.0 / n].into_iter().enumerate() {
                stats[k].push((value, 2.0 * bound));
            }
            let before = f64::from(old[c]);
            for (k, new) in [mean, variance * n / (n - 1.0).max(1.0)].into_iter().enumerate() {
                running[k].push((before + f64::from(momentum) * (new - before), 3.0 * bound));
            }
        }
        for c in 0..cols {
            let [mean, variance, _] = given[c].map(f64::from);
            let cells = || (0..rows).map(|r| (f64::from(x[r * cols + c]), f64::from(dy[r * cols + c])));
            let along: f64 = cells().map(|(x, dy)| dy * (x - mean)).sum::<f64>() * rstd(variance);
            let size: f64 = cells().map(|(x, dy)| (dy * (x - mean)).abs()).sum::<f64>() * rstd(variance);
            sums[0].push((along, bound * size));
            sums[1].push((cells().map(|(_, dy)| dy).sum(), bound * rows as f64));
        }
        let reads = [f(&x, rows, cols), f(&weight, rows, 1)];
        let kernel = BatchNormStats { rows, cols, momentum };
        let outs = [out_f(3, cols), f(&old, 1, cols), f(&old, 1, cols)];
        let want = [stats.concat(), running[0].clone(), running[1].clone()].map(Want::Close);
        hold(what, &kernel, &step, LAYS, &reads, &outs, &want);

        let flat = |k: usize| given.iter().map(|g| g[k]).collect::<Vec<f32>>();
        let (mean, variance) = (flat(0), flat(1));
        let packed = [mean.clone(), variance.clone(), flat(2)].concat();
        let reads = [f(&x, rows, cols), f(&packed, 3, cols), f(&dy, rows, cols)];
        let want = Want::Close(sums.concat());
        hold(what, &BatchNormSums { rows, cols }, &step, LAYS, &reads, &[out_f(2, cols)], &[want]);

        let at = |r: usize, c: usize| {
            let [m, v, _] = given[c].map(f64::from);
            (f64::from(x[r * cols + c]) - m) * rstd(v)
        };
        let cells = || (0..rows).flat_map(|r| (0..cols).map(move |c| (r, c)));
        let y = cells().map(|(r, c)| {
            let h = at(r, c);
            (f64::from(gain[c]) * h + f64::from(bias[c]), 16.0 * EPS * (2.0 + h.abs()))
        });
        let reads = [f(&x, rows, cols), f(&mean, 1, cols), f(&variance, 1, cols), f(&gain, 1, cols), f(&bias, 1, cols)];
        hold(what, &BatchNorm { rows, cols }, &step, LAYS, &reads, &[out_f(rows, cols)], &[Want::Close(y.collect())]);

        let taken: Vec<f32> = sums.concat().iter().map(|(s, _)| *s as f32).collect();
        let dx = cells().map(|(r, c)| {
            let (h, scale) = (at(r, c), f64::from(gain[c]) * rstd(f64::from(given[c][1])));
            let (along, level) = (f64::from(taken[c]), f64::from(taken[cols + c]));
            let through = if counts(r) { f64::from(given[c][2]) * (level + h * along) } else { 0.0 };
            let d = f64::from(dy[r * cols + c]);
            (scale * (d - through), 32.0 * EPS * scale.abs() * (d.abs() + through.abs() + 1e-3))
        });
        let dx: Vec<_> = dx.collect();
        let (sums, packed) = (f(&taken, 2, cols), f(&packed, 3, cols));
        let reads = [f(&x, rows, cols), f(&weight, rows, 1), f(&dy, rows, cols), packed, f(&gain, 1, cols), sums];
        let kernel = BatchNormBackward { rows, cols };
        hold(what, &kernel, &step, LAYS, &reads, &[out_f(rows, cols)], &[Want::Close(dx)]);
    }
}
