//! Weighted sums over history positions, one for each head.

use super::cells::{dispatch, each_row};
use super::history_ids::each_history;
use crate::simd::{axpy, dot, vectorize};
use crate::{Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// `y[i, h * dim + c] = sum over k of w[i, h * history + k] x[i * history + k, c]`, k ascending.
///
/// Reads `x` `[rows * history, dim]`, `w` `[rows, heads * history]`; writes `y` `[rows, heads * dim]`. Moves
/// `rows * (history * (dim + heads) + heads * dim)` words.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedPool {
    /// Rows of the batch.
    pub rows: usize,
    /// Positions of a row.
    pub history: usize,
    /// Heads.
    pub heads: usize,
    /// Columns of x.
    pub dim: usize,
}

/// Gradients of [`WeightedPool`]; either may be left out:
/// `dx[i * history + k, c] = sum over h of w[i, h * history + k] dy[i, h * dim + c]`, h ascending, and
/// `dw[i, h * history + k] = sum over c of x[i * history + k, c] dy[i, h * dim + c]`, in fixed partial sums.
///
/// Reads `x` `[rows * history, dim]`, `w` `[rows, heads * history]`, `dy` `[rows, heads * dim]`; writes `dx`
/// `[rows * history, dim]`, `dw` `[rows, heads * history]`.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedPoolBackward {
    /// Rows of the batch.
    pub rows: usize,
    /// Positions of a row.
    pub history: usize,
    /// Heads.
    pub heads: usize,
    /// Columns of x.
    pub dim: usize,
}

impl Kernel for WeightedPool {
    fn name(&self) -> &'static str {
        "weighted_pool"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![
                Slot::f32("x", self.rows.saturating_mul(self.history), self.dim),
                Slot::f32("w", self.rows, self.heads.saturating_mul(self.history)),
            ],
            writes: vec![Slot::f32("y", self.rows, self.heads.saturating_mul(self.dim))],
        }
    }

    fn cost(&self) -> Cost {
        let (history, heads, dim) = (self.history, self.heads, self.dim);
        let words = history * (dim + heads) + heads * dim;
        Cost { bytes: 4.0 * (self.rows * words) as f64, flops: 2.0 * (self.rows * history * heads * dim) as f64 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (x, w, history, dim) = (io.read(0), io.read(1), self.history, self.dim);
        let block = (16_384 / (history * dim).max(1)).max(1); // rows that read some 64 KiB
        io.write(0).par_blocks(block, |first, mut y| {
            vectorize(
                #[inline(always)]
                || {
                    for r in 0..y.rows {
                        let i = first + r;
                        for (h, y) in y.row(r).chunks_mut(dim.max(1)).enumerate() {
                            y.fill(0.0);
                            for (k, w) in w.row(i)[h * history..][..history].iter().enumerate() {
                                axpy(*w, x.row(i * history + k), y);
                            }
                        }
                    }
                },
            );
        });
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::history::weighted_pool(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.history as u32, self.heads as u32, self.dim as u32];
        let cells = self.rows * self.heads * self.dim;
        vec![dispatch("weighted_pool", &attributes, &operands.reads, &operands.writes, cells).looping(self.history + 1)]
    }
}

impl Kernel for WeightedPoolBackward {
    fn name(&self) -> &'static str {
        "weighted_pool_backward"
    }

    fn signature(&self) -> Signature {
        let (positions, cols) = (self.rows.saturating_mul(self.history), self.heads.saturating_mul(self.history));
        Signature {
            reads: vec![
                Slot::f32("x", positions, self.dim),
                Slot::f32("w", self.rows, cols),
                Slot::f32("dy", self.rows, self.heads.saturating_mul(self.dim)),
            ],
            writes: vec![Slot::f32("dx", positions, self.dim).optional(), Slot::f32("dw", self.rows, cols).optional()],
        }
    }

    fn cost(&self) -> Cost {
        let (history, heads, dim) = (self.history, self.heads, self.dim);
        let words = 2 * history * (dim + heads) + heads * dim;
        Cost { bytes: 4.0 * (self.rows * words) as f64, flops: 4.0 * (self.rows * history * heads * dim) as f64 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (x, w, dy) = (io.read(0), io.read(1), io.read(2));
        let (history, heads, dim) = (self.history, self.heads, self.dim);
        if let Some(dx) = io.write_opt(0) {
            each_history(dx, history, |first, mut dx| {
                vectorize(
                    #[inline(always)]
                    || {
                        for r in 0..dx.rows {
                            let (i, k) = (first + r / history, r % history);
                            let dx = dx.row(r);
                            dx.fill(0.0);
                            for h in 0..heads {
                                axpy(w.row(i)[h * history + k], &dy.row(i)[h * dim..][..dim], dx);
                            }
                        }
                    },
                );
            });
        }
        if let Some(dw) = io.write_opt(1) {
            each_row(
                dw,
                #[inline(always)]
                |i, dw| {
                    for (cell, dw) in dw.iter_mut().enumerate() {
                        let (h, k) = (cell / history, cell % history);
                        *dw = dot(x.row(i * history + k), &dy.row(i)[h * dim..][..dim]);
                    }
                },
            );
        }
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::history::weighted_pool_backward(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.history as u32, self.heads as u32, self.dim as u32];
        let (x, w, dy) = (operands.reads[0], operands.reads[1], operands.reads[2]);
        let mut list = Vec::new();
        if operands.writes[0].is_some() {
            let cells = self.rows * self.history * self.dim;
            list.push(
                dispatch("weighted_pool_dx", &attributes, &[w, dy], &operands.writes[..1], cells)
                    .looping(self.heads + 1),
            );
        }
        if operands.writes[1].is_some() {
            let cells = self.rows * self.history * self.heads;
            list.push(
                dispatch("weighted_pool_dw", &attributes, &[x, dy], &operands.writes[1..], cells).looping(self.dim + 1),
            );
        }
        list
    }
}
