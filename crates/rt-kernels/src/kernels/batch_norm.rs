//! Batch normalisation (Ioffe, Szegedy 2015): statistics of a step's rows, their use, and the gradient through both.

use super::cells::{dispatch, each_row};
use super::layer_norm::NORM_EPS;
use super::sums::Order;
use crate::parallel::chunks_f32;
use crate::simd::vectorize;
use crate::{Cost, CpuIo, Dispatch, Kernel, MatMut, Operands, Signature, Slot, Target};

/// Over the rows whose weight is above 0, n of them: stats `[3, cols]` = mean, variance (divided by n) and 1 / n of each
/// column; and `running_mean += momentum (mean - running_mean)`, the same for the variance, which is divided by n - 1
/// there. x `[rows, cols]`, weight `[rows, 1]`, the running ones `[1, cols]`. Reads `2 * rows * cols + rows` words.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNormStats {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Share of this step in the running statistics.
    pub momentum: f32,
}

/// `y = gain (x - mean) / sqrt(variance + 1e-5) + bias`: x, y `[rows, cols]`, the others `[1, cols]`. Moves
/// `2 * rows * cols + 4 * cols` words.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNorm {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

/// With `h = (x - mean) / sqrt(variance + 1e-5)`: sums `[2, cols]` = sum(dy h), the gradient of the gain, and sum(dy), that
/// of the bias, over all rows. x, dy `[rows, cols]`, stats `[3, cols]`. Reads `2 * rows * cols` words.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNormSums {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

/// `dx = gain / sqrt(variance + 1e-5) (dy - [weight > 0] / n (sums[1] + h sums[0]))`: what reaches x itself and, for rows
/// that count, through mean and variance. x, dy, dx `[rows, cols]`, weight `[rows, 1]`, stats `[3, cols]`, gain `[1, cols]`,
/// sums `[2, cols]`. Moves `3 * rows * cols` words.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNormBackward {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

/// Columns that the CPU sums together.
const BLOCK: usize = 16;

/// What each block of columns gives, two values a column, into rows 0 and 1 of `out`. A block has one writer and takes
/// its rows in ascending order, so threads change nothing.
fn by_column(
    io: &mut CpuIo<'_>,
    (rows, cols): (usize, usize),
    out: &mut MatMut<'_>,
    f: impl Fn(usize, usize) -> [[f64; BLOCK]; 2] + Sync,
) {
    let words = cols.div_ceil(BLOCK) * BLOCK * 2;
    let mut local;
    let scratch: &mut [f32] = if io.scratch.is_empty() {
        local = vec![0.0; words]; // outside a program
        &mut local
    } else {
        io.scratch(0).into_f32()
    };
    let block = |b: usize, cells: &mut [f32]| {
        let first = b * BLOCK;
        let values = vectorize(
            #[inline(always)]
            || f(first, BLOCK.min(cols - first)),
        );
        for (cell, value) in cells.iter_mut().zip(values.iter().flatten()) {
            *cell = *value as f32;
        }
    };
    let scratch = &mut scratch[..words];
    if rows * cols < 1 << 14 {
        scratch.chunks_mut(BLOCK * 2).enumerate().for_each(|(b, cells)| block(b, cells));
    } else {
        chunks_f32(scratch, BLOCK * 2, &block);
    }
    for k in 0..2 {
        for (c, out) in out.row(k).iter_mut().enumerate() {
            *out = scratch[c / BLOCK * BLOCK * 2 + k * BLOCK + c % BLOCK];
        }
    }
}

/// The order of a sum on the GPU. (The CPU sums in f64.)
fn gpu_order(rows: usize) -> Order {
    Order::new(rows, 32)
}

/// Rows of a part, and of a block of a long one: single rows, not groups of eight.
fn gpu_run(order: &Order) -> [u32; 2] {
    [order.run as u32, if order.is_long() { order.run.isqrt() as u32 } else { 0 }]
}

/// A dispatch of a workgroup for each eight columns.
fn by_columns(dispatch: Dispatch, rows: usize, cols: usize) -> Dispatch {
    let order = gpu_order(rows);
    let constants = if order.is_long() { vec![("PARTS", order.parts as f64)] } else { vec![] };
    Dispatch { workgroups: cols.div_ceil(8), constants, ..dispatch }
}

fn column(name: &'static str, cols: usize) -> Slot {
    Slot::f32(name, 1, cols)
}

impl Kernel for BatchNormStats {
    fn name(&self) -> &'static str {
        "batch_norm_stats"
    }

    fn signature(&self) -> Signature {
        let cols = self.cols;
        Signature {
            reads: vec![Slot::f32("x", self.rows, cols), Slot::f32("weight", self.rows, 1)],
            writes: vec![
                Slot::f32("stats", 3, cols),
                column("running_mean", cols).in_place(),
                column("running_variance", cols).in_place(),
            ],
        }
    }

    fn cost(&self) -> Cost {
        let (rows, cols) = (self.rows as f64, self.cols as f64);
        Cost { bytes: 4.0 * (2.0 * rows * cols + rows + 7.0 * cols), flops: 4.0 * rows * cols }
    }

    fn scratch(&self, target: Target) -> Vec<usize> {
        match target {
            Target::Cpu => vec![self.cols.div_ceil(BLOCK) * BLOCK * 2],
            Target::Gpu => Vec::new(),
        }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (x, weight) = (io.read(0), io.read(1));
        let n = (0..self.rows).filter(|r| weight.row(*r)[0] > 0.0).count().max(1) as f64;
        let mut stats = io.write(0);
        by_column(io, (self.rows, self.cols), &mut stats, |first, width| {
            let (mut mean, mut variance) = ([0.0; BLOCK], [0.0; BLOCK]);
            for r in (0..self.rows).filter(|r| weight.row(*r)[0] > 0.0) {
                for (sum, x) in mean.iter_mut().zip(&x.row(r)[first..first + width]) {
                    *sum += f64::from(*x);
                }
            }
            mean.iter_mut().for_each(|m| *m /= n);
            for r in (0..self.rows).filter(|r| weight.row(*r)[0] > 0.0) {
                for ((sum, m), x) in variance.iter_mut().zip(&mean).zip(&x.row(r)[first..first + width]) {
                    let off = f64::from(*x) - m;
                    *sum += off * off;
                }
            }
            variance.iter_mut().for_each(|v| *v /= n);
            [mean, variance]
        });
        stats.row(2).fill((1.0 / n) as f32);
        for (k, factor) in [(0, 1.0), (1, (n / (n - 1.0).max(1.0)) as f32)] {
            let mut running = io.write(1 + k);
            for (running, new) in running.row(0).iter_mut().zip(stats.row(k)) {
                *running += self.momentum * (*new * factor - *running);
            }
        }
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive_norm::batch_norm_stats(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let [run, block] = gpu_run(&gpu_order(self.rows));
        let attributes = [self.rows as u32, self.cols as u32, self.momentum.to_bits(), run, block];
        let d = dispatch("batch_norm_stats", &attributes, &operands.reads, &operands.writes, 0)
            .looping(2 * gpu_order(self.rows).run + 64);
        vec![by_columns(d, self.rows, self.cols)]
    }
}

impl Kernel for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn signature(&self) -> Signature {
        let (cells, cols) = (|name| Slot::f32(name, self.rows, self.cols), self.cols);
        let columns = ["mean", "variance", "gain", "bias"].map(|name| column(name, cols));
        Signature { reads: [vec![cells("x")], columns.to_vec()].concat(), writes: vec![cells("y")] }
    }

    fn cost(&self) -> Cost {
        let (rows, cols) = (self.rows as f64, self.cols as f64);
        Cost { bytes: 4.0 * (2.0 * rows * cols + 4.0 * cols), flops: 4.0 * rows * cols }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (x, [mean, variance, gain, bias]) = (io.read(0), [1, 2, 3, 4].map(|i| io.read(i).row(0)));
        each_row(
            io.write(0),
            #[inline(always)]
            |r, y| {
                let x = x.row(r);
                for c in 0..y.len() {
                    y[c] = gain[c] * ((x[c] - mean[c]) / (variance[c] + NORM_EPS).sqrt()) + bias[c];
                }
            },
        );
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.cols as u32];
        vec![dispatch("batch_norm", &attributes, &operands.reads, &operands.writes, self.rows * self.cols)]
    }
}

impl Kernel for BatchNormSums {
    fn name(&self) -> &'static str {
        "batch_norm_sums"
    }

    fn signature(&self) -> Signature {
        let (cells, cols) = (|name| Slot::f32(name, self.rows, self.cols), self.cols);
        Signature {
            reads: vec![cells("x"), Slot::f32("stats", 3, cols), cells("dy")],
            writes: vec![Slot::f32("sums", 2, cols)],
        }
    }

    fn cost(&self) -> Cost {
        let (rows, cols) = (self.rows as f64, self.cols as f64);
        Cost { bytes: 4.0 * (2.0 * rows * cols + 4.0 * cols), flops: 5.0 * rows * cols }
    }

    fn scratch(&self, target: Target) -> Vec<usize> {
        match target {
            Target::Cpu => vec![self.cols.div_ceil(BLOCK) * BLOCK * 2],
            Target::Gpu => Vec::new(),
        }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (x, stats, dy) = (io.read(0), io.read(1), io.read(2));
        let (mean, variance) = (stats.row(0), stats.row(1));
        let mut sums = io.write(0);
        by_column(io, (self.rows, self.cols), &mut sums, |first, width| {
            let (mut along, mut level) = ([0.0; BLOCK], [0.0; BLOCK]);
            for r in 0..self.rows {
                let (x, dy) = (&x.row(r)[first..first + width], &dy.row(r)[first..first + width]);
                for c in 0..width {
                    along[c] += f64::from(dy[c]) * f64::from(x[c] - mean[first + c]);
                    level[c] += f64::from(dy[c]);
                }
            }
            for c in 0..width {
                along[c] /= f64::from((variance[first + c] + NORM_EPS).sqrt());
            }
            [along, level]
        });
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive_norm::batch_norm_sums(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let [run, block] = gpu_run(&gpu_order(self.rows));
        let attributes = [self.rows as u32, self.cols as u32, run, block];
        let d = dispatch("batch_norm_sums", &attributes, &operands.reads, &operands.writes, 0)
            .looping(gpu_order(self.rows).run + 64);
        vec![by_columns(d, self.rows, self.cols)]
    }
}

impl Kernel for BatchNormBackward {
    fn name(&self) -> &'static str {
        "batch_norm_backward"
    }

    fn signature(&self) -> Signature {
        let (cells, cols) = (|name| Slot::f32(name, self.rows, self.cols), self.cols);
        let (stats, sums) = (Slot::f32("stats", 3, cols), Slot::f32("sums", 2, cols));
        let reads = vec![cells("x"), Slot::f32("weight", self.rows, 1), cells("dy"), stats, column("gain", cols), sums];
        Signature { reads, writes: vec![cells("dx")] }
    }

    fn cost(&self) -> Cost {
        let (rows, cols) = (self.rows as f64, self.cols as f64);
        Cost { bytes: 4.0 * (3.0 * rows * cols + rows + 6.0 * cols), flops: 8.0 * rows * cols }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (x, weight, dy) = (io.read(0), io.read(1), io.read(2));
        let (stats, gain, sums) = (io.read(3), io.read(4).row(0), io.read(5));
        let (mean, variance, share, dgain, dbias) =
            (stats.row(0), stats.row(1), stats.row(2), sums.row(0), sums.row(1));
        each_row(
            io.write(0),
            #[inline(always)]
            |r, dx| {
                let (x, dy) = (x.row(r), dy.row(r));
                let counts = if weight.row(r)[0] > 0.0 { 1.0 } else { 0.0 };
                for c in 0..dx.len() {
                    let rstd = 1.0 / (variance[c] + NORM_EPS).sqrt();
                    let h = (x[c] - mean[c]) * rstd;
                    dx[c] = gain[c] * rstd * (dy[c] - counts * share[c] * (dbias[c] + h * dgain[c]));
                }
            },
        );
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.cols as u32];
        vec![dispatch("batch_norm_backward", &attributes, &operands.reads, &operands.writes, self.rows * self.cols)]
    }
}
