//! Layer normalisation (Ba, Kiros, Hinton 2016), forward and backward, each one kernel.

use super::cells::{dispatch, each_row};
use crate::simd::vectorize;
use crate::{Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// Added to every variance before its root, in layer and batch normalisation.
pub const NORM_EPS: f32 = 1e-5;

/// `y = gain (x - mean) rstd + bias`, mean and variance over each row, `rstd = 1 / sqrt(variance + 1e-5)`: x, y
/// `[rows, dim]`, gain, bias `[1, dim]`, stats `[rows, 2]` = (mean, rstd). Moves `2 * rows * dim + 2 * rows + 2 * dim` words.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNorm {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub dim: usize,
}

/// With `h = (x - mean) rstd` and `g = gain dy`: `dx = rstd (g - mean(g) - h mean(g h))`, and, for the gain's gradient,
/// `cells = dy h`, to be summed by column. x, dy, dx, cells `[rows, dim]`. Moves up to `4 * rows * dim + 2 * rows + dim`
/// words.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNormBackward {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub dim: usize,
}

/// Partial sums of a row: a fixed number, so that the order of additions follows from the shape alone.
const LANES: usize = 16;

/// The sum of `f(c)` over the columns: lane l takes columns l, l + 16, ...; lanes are added in order.
#[inline(always)]
fn sum(n: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let whole = n / LANES * LANES;
    for first in (0..whole).step_by(LANES) {
        for (l, lane) in lanes.iter_mut().enumerate() {
            *lane += f(first + l);
        }
    }
    for (c, lane) in (whole..n).zip(&mut lanes) {
        *lane += f(c);
    }
    lanes.iter().sum()
}

/// Mean and 1 / deviation of a row.
#[inline(always)]
fn moments(x: &[f32]) -> [f32; 2] {
    let n = x.len() as f32;
    let mean = sum(x.len(), |c| x[c]) / n;
    let variance = sum(x.len(), |c| (x[c] - mean) * (x[c] - mean)) / n;
    [mean, 1.0 / (variance + NORM_EPS).sqrt()]
}

impl Kernel for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn signature(&self) -> Signature {
        let (rows, column) = (|name| Slot::f32(name, self.rows, self.dim), |name| Slot::f32(name, 1, self.dim));
        Signature {
            reads: vec![rows("x"), column("gain"), column("bias")],
            writes: vec![rows("y"), Slot::f32("stats", self.rows, 2)],
        }
    }

    fn cost(&self) -> Cost {
        let (rows, dim) = (self.rows as f64, self.dim as f64);
        Cost { bytes: 4.0 * (2.0 * rows * dim + 2.0 * rows + 2.0 * dim), flops: 7.0 * rows * dim }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (x, gain, bias) = (io.read(0), io.read(1).row(0), io.read(2).row(0));
        // A row of two statistics costs the reading of a whole row.
        let block = (1 << 14) / self.dim.max(1);
        io.write(1).par_blocks(block.max(1), |first, mut stats| {
            vectorize(
                #[inline(always)]
                || (0..stats.rows).for_each(|r| stats.row(r).copy_from_slice(&moments(x.row(first + r)))),
            );
        });
        each_row(
            io.write(0),
            #[inline(always)]
            |r, y| {
                let x = x.row(r);
                let [mean, rstd] = moments(x);
                for (((y, x), gain), bias) in y.iter_mut().zip(x).zip(gain).zip(bias) {
                    *y = gain * ((x - mean) * rstd) + bias;
                }
            },
        );
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive_norm::layer_norm(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.dim as u32];
        vec![
            dispatch("layer_norm", &attributes, &operands.reads, &operands.writes, self.rows * 64)
                .looping(3 * self.dim.div_ceil(64) + 24),
        ]
    }
}

impl Kernel for LayerNormBackward {
    fn name(&self) -> &'static str {
        "layer_norm_backward"
    }

    fn signature(&self) -> Signature {
        let rows = |name| Slot::f32(name, self.rows, self.dim);
        Signature {
            reads: vec![rows("x"), Slot::f32("stats", self.rows, 2), Slot::f32("gain", 1, self.dim), rows("dy")],
            writes: vec![rows("dx"), rows("cells").optional()],
        }
    }

    fn cost(&self) -> Cost {
        let (rows, dim) = (self.rows as f64, self.dim as f64);
        Cost { bytes: 4.0 * (4.0 * rows * dim + 2.0 * rows + dim), flops: 12.0 * rows * dim }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (x, stats, gain, dy) = (io.read(0), io.read(1), io.read(2).row(0), io.read(3));
        let n = self.dim as f32;
        each_row(
            io.write(0),
            #[inline(always)]
            |r, dx| {
                let (x, dy, [mean, rstd]) = (x.row(r), dy.row(r), [stats.row(r)[0], stats.row(r)[1]]);
                let h = |c: usize| (x[c] - mean) * rstd;
                let level = sum(dx.len(), |c| gain[c] * dy[c]) / n;
                let along = sum(dx.len(), |c| gain[c] * dy[c] * h(c)) / n;
                for (c, dx) in dx.iter_mut().enumerate() {
                    *dx = rstd * (gain[c] * dy[c] - level - h(c) * along);
                }
            },
        );
        if let Some(cells) = io.write_opt(1) {
            each_row(
                cells,
                #[inline(always)]
                |r, cells| {
                    let (mean, rstd) = (stats.row(r)[0], stats.row(r)[1]);
                    for ((cell, x), dy) in cells.iter_mut().zip(x.row(r)).zip(dy.row(r)) {
                        *cell = dy * ((x - mean) * rstd);
                    }
                },
            );
        }
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive_norm::layer_norm_backward(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.dim as u32, u32::from(operands.writes[1].is_some())];
        vec![
            dispatch("layer_norm_backward", &attributes, &operands.reads, &operands.writes, self.rows * 64)
                .looping(3 * self.dim.div_ceil(64) + 24),
        ]
    }
}
