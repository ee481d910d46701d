//! Normalisation, reweighting of fields as plain loops on one thread: the ones to read first.

use crate::CpuIo;
use crate::kernels::{BatchNormStats, BatchNormSums, FieldDot, FieldScale, LayerNorm, LayerNormBackward, NORM_EPS};

pub(crate) fn layer_norm(k: &LayerNorm, io: &mut CpuIo<'_>) {
    let (x, gain, bias) = (io.read(0), io.read(1).row(0), io.read(2).row(0));
    let (mut y, mut stats) = (io.write(0), io.write(1));
    for r in 0..k.rows {
        let x = x.row(r);
        let mean = x.iter().sum::<f32>() / k.dim as f32;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / k.dim as f32;
        let rstd = 1.0 / (variance + NORM_EPS).sqrt();
        stats.row(r).copy_from_slice(&[mean, rstd]);
        for (c, y) in y.row(r).iter_mut().enumerate() {
            *y = gain[c] * (x[c] - mean) * rstd + bias[c];
        }
    }
}

pub(crate) fn layer_norm_backward(k: &LayerNormBackward, io: &mut CpuIo<'_>) {
    let (x, stats, gain, dy) = (io.read(0), io.read(1), io.read(2).row(0), io.read(3));
    let (mut dx, mut cells) = (io.write(0), io.write_opt(1));
    let n = k.dim as f32;
    for r in 0..k.rows {
        let (mean, rstd, dy) = (stats.row(r)[0], stats.row(r)[1], dy.row(r));
        let h: Vec<f32> = x.row(r).iter().map(|x| (x - mean) * rstd).collect();
        let level = (0..k.dim).map(|c| gain[c] * dy[c]).sum::<f32>() / n;
        let along = (0..k.dim).map(|c| gain[c] * dy[c] * h[c]).sum::<f32>() / n;
        for (c, dx) in dx.row(r).iter_mut().enumerate() {
            *dx = rstd * (gain[c] * dy[c] - level - h[c] * along);
        }
        if let Some(cells) = &mut cells {
            cells.row(r).iter_mut().enumerate().for_each(|(c, cell)| *cell = dy[c] * h[c]);
        }
    }
}

pub(crate) fn batch_norm_stats(k: &BatchNormStats, io: &mut CpuIo<'_>) {
    let (x, weight, mut stats) = (io.read(0), io.read(1), io.write(0));
    let (mut running_mean, mut running_variance) = (io.write(1), io.write(2));
    let counts: Vec<usize> = (0..k.rows).filter(|r| weight.row(*r)[0] > 0.0).collect();
    let n = counts.len().max(1) as f32;
    for c in 0..k.cols {
        let cells = || counts.iter().map(|r| f64::from(x.row(*r)[c]));
        let mean = (cells().sum::<f64>() / f64::from(n)) as f32;
        let variance = (cells().map(|x| (x - f64::from(mean)).powi(2)).sum::<f64>() / f64::from(n)) as f32;
        stats.row(0)[c] = mean;
        stats.row(1)[c] = variance;
        stats.row(2)[c] = 1.0 / n;
        running_mean.row(0)[c] += k.momentum * (mean - running_mean.row(0)[c]);
        let unbiased = variance * n / (n - 1.0).max(1.0);
        running_variance.row(0)[c] += k.momentum * (unbiased - running_variance.row(0)[c]);
    }
}

pub(crate) fn batch_norm_sums(k: &BatchNormSums, io: &mut CpuIo<'_>) {
    let (x, stats, dy, mut sums) = (io.read(0), io.read(1), io.read(2), io.write(0));
    for c in 0..k.cols {
        let rstd = 1.0 / (stats.row(1)[c] + NORM_EPS).sqrt();
        let mean = stats.row(0)[c];
        let along = |r: usize| f64::from(dy.row(r)[c] * (x.row(r)[c] - mean) * rstd);
        sums.row(0)[c] = (0..k.rows).map(along).sum::<f64>() as f32;
        sums.row(1)[c] = (0..k.rows).map(|r| f64::from(dy.row(r)[c])).sum::<f64>() as f32;
    }
}

pub(crate) fn field_dot(k: &FieldDot, io: &mut CpuIo<'_>) {
    let (x, other, starts, mut out) = (io.read(0), io.read_opt(1), io.read(2).row_u32(0), io.write(0));
    for r in 0..k.rows {
        for f in 0..k.fields {
            let columns = (starts[f] as usize)..(starts[f + 1] as usize).min(k.cols);
            let width = columns.len() as f32;
            let sum: f32 = columns.map(|c| x.row(r)[c] * other.map_or(1.0, |y| y.row(r)[c])).sum();
            out.row(r)[f] = if other.is_some() { sum } else { sum / width };
        }
    }
}

pub(crate) fn field_scale(k: &FieldScale, io: &mut CpuIo<'_>) {
    let (a, x, starts, mut out) = (io.read(0), io.read_opt(1), io.read(2).row_u32(0), io.write(0));
    for r in 0..k.rows {
        for c in 0..k.cols {
            let ends = |f: &usize| f + 1 == k.fields || starts[f + 1] as usize > c;
            let Some(f) = (0..k.fields).find(ends) else { continue };
            let width = starts[f + 1].wrapping_sub(starts[f]) as f32;
            out.row(r)[c] = a.row(r)[f] * x.map_or(1.0 / width, |x| x.row(r)[c]);
        }
    }
}
