//! Maxima over history positions, column by column.

use super::bag::window_ends;
use super::cells::{dispatch, each_row};
use super::fit;
use super::history_ids::each_history;
use crate::simd::vectorize;
use crate::{Cost, CpuIo, Dispatch, Kernel, Mat, MatMut, Operands, Signature, Slot};

/// The place of a maximum over nothing.
pub(crate) const NONE: u32 = u32::MAX;
/// Columns of a running maximum on the stack.
const TILE: usize = 64;

/// For each window w of a row's positions, the largest value of each column:
/// `y[i, w * dim + c] = max of x[i * history + k, c]` over the positions k < `windows[w]` (k = 0 is the newest) whose id is
/// not 0; 0 if there is none. `place[i, w * dim + c]` is the k of the maximum (of equal ones the newest), `u32::MAX` for
/// none. NaN is more than every number, so that it goes through. With `zones` window w holds the positions from `windows[w - 1]` on alone.
///
/// Reads `x` `[rows * history, dim]`, `ids` `[rows * history, 1]` u32; writes `y` `[rows, windows * dim]`, `place`
/// `[rows, windows * dim]` u32. One pass over x, whatever the number of windows: `rows * history * (dim + 1)` words read,
/// `2 * rows * windows * dim` written.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxPool {
    /// Rows of the batch.
    pub rows: usize,
    /// Positions of a row.
    pub history: usize,
    /// Columns.
    pub dim: usize,
    /// Window lengths, ascending; the last may be 0 or `usize::MAX`: everything.
    pub windows: Vec<usize>,
    /// The zones between the windows' ends instead of nested windows.
    pub zones: bool,
}

/// Gradient of [`MaxPool`]: `dx[i * history + k, c] = sum of dy[i, w * dim + c]` over the windows w, ascending, whose maximum
/// stood at k.
///
/// Reads `place` `[rows, windows * dim]` u32, `dy` `[rows, windows * dim]`; writes `dx` `[rows * history, dim]`.
/// Cost: `rows * (2 * windows + history) * dim` words.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxPoolBackward {
    /// Rows of the batch.
    pub rows: usize,
    /// Positions of a row.
    pub history: usize,
    /// Columns.
    pub dim: usize,
    /// Number of windows.
    pub windows: usize,
}

impl Kernel for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn signature(&self) -> Signature {
        let positions = self.rows.saturating_mul(self.history);
        let cols = self.windows.len().saturating_mul(self.dim);
        Signature {
            reads: vec![Slot::f32("x", positions, self.dim), Slot::u32("ids", positions, 1)],
            writes: vec![Slot::f32("y", self.rows, cols), Slot::u32("place", self.rows, cols)],
        }
    }

    fn mismatch(&self, _: &Operands) -> Option<String> {
        fit::windows(&self.windows)
    }

    fn cost(&self) -> Cost {
        let read = self.history * (self.dim + 1);
        Cost {
            bytes: 4.0 * (self.rows * (read + 2 * self.windows.len() * self.dim)) as f64,
            flops: (self.rows * self.history * self.dim) as f64,
        }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (x, ids, y, place) = (io.read(0), io.read(1), io.write(0), io.write(1));
        let (history, dim) = (self.history, self.dim);
        let (rows, cols, stride) = (place.rows, place.cols, place.stride);
        let words = place.into_u32();
        let block = (16_384 / history.saturating_mul(dim).max(1)).max(1);
        MatMut::new(&mut *words, rows, cols, stride).par_blocks(block, |first, mut place| {
            vectorize(
                #[inline(always)]
                || {
                    for r in 0..place.rows {
                        self.places(&x, &ids, first + r, place.row_u32(r));
                    }
                },
            );
        });
        // What stands at a place is the maximum.
        let place = Mat::new(words, rows, cols, stride);
        each_row(
            y,
            #[inline(always)]
            |i, y| {
                for (c, (y, k)) in y.iter_mut().zip(place.row_u32(i)).enumerate() {
                    *y = if *k == NONE { 0.0 } else { x.row(i * history + *k as usize)[c % dim] };
                }
            },
        );
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::history::max_pool(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let mut params = vec![self.rows as u32, self.history as u32, self.dim as u32, self.windows.len() as u32];
        params.extend([u32::from(self.zones), 0, 0, 0]); // windows start on 16 bytes
        params.extend(window_ends(&self.windows));
        let cells = self.rows * self.dim;
        vec![
            dispatch("max_pool", &params, &operands.reads, &operands.writes, cells)
                .looping(2 * self.windows.len() + self.history + 1),
        ]
    }
}

impl MaxPool {
    /// The places of row `i`.
    #[inline(always)]
    fn places(&self, x: &Mat<'_>, ids: &Mat<'_>, i: usize, place: &mut [u32]) {
        let (history, dim) = (self.history, self.dim);
        let ends = window_ends(&self.windows);
        for c in (0..dim).step_by(TILE) {
            let n = TILE.min(dim - c);
            let (mut best, mut at) = ([0.0f32; TILE], [NONE; TILE]);
            let mut k = 0;
            for (w, end) in ends[..self.windows.len()].iter().enumerate() {
                if self.zones {
                    at = [NONE; TILE];
                }
                while k < history && (k as u64) < u64::from(*end) {
                    if ids.id(i * history + k) != 0 {
                        let x = &x.row(i * history + k)[c..][..n];
                        for ((x, best), at) in x.iter().zip(&mut best).zip(&mut at) {
                            let better = *at == NONE || *x > *best || (x.is_nan() && !best.is_nan());
                            *best = if better { *x } else { *best };
                            *at = if better { k as u32 } else { *at };
                        }
                    }
                    k += 1;
                }
                place[w * dim + c..][..n].copy_from_slice(&at[..n]);
            }
        }
    }
}

impl Kernel for MaxPoolBackward {
    fn name(&self) -> &'static str {
        "max_pool_backward"
    }

    fn signature(&self) -> Signature {
        let cols = self.windows.saturating_mul(self.dim);
        Signature {
            reads: vec![Slot::u32("place", self.rows, cols), Slot::f32("dy", self.rows, cols)],
            writes: vec![Slot::f32("dx", self.rows.saturating_mul(self.history), self.dim)],
        }
    }

    fn cost(&self) -> Cost {
        let cells = self.rows * self.windows * self.dim;
        let written = self.rows * self.history * self.dim;
        Cost { bytes: 4.0 * (2 * cells + written) as f64, flops: cells as f64 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (place, dy, history, dim) = (io.read(0), io.read(1), self.history, self.dim);
        each_history(io.write(0), history, |first, mut dx| {
            for r in 0..dx.rows {
                dx.row(r).fill(0.0);
            }
            for r in 0..dx.rows / history {
                let (place, dy) = (place.row_u32(first + r), dy.row(first + r));
                for (c, (k, dy)) in place.iter().zip(dy).enumerate() {
                    // None, or garbage.
                    if (*k as usize) < history {
                        dx.row(r * history + *k as usize)[c % dim] += dy;
                    }
                }
            }
        });
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::history::max_pool_backward(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.history as u32, self.dim as u32, self.windows as u32];
        let cells = self.rows * self.history * self.dim;
        vec![
            dispatch("max_pool_backward", &attributes, &operands.reads, &operands.writes, cells)
                .looping(self.windows + 1),
        ]
    }
}
