//! Rows scaled to length one.

use super::cells::{dispatch, each_block, each_block_of_both};
use crate::simd::{dot, vectorize};
use crate::{Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// Rows shorter than this count as this long, so that a row of zeros stays zero.
const LEAST: f32 = 1e-12;

/// `y_i = x_i / norm_i`, `norm_i = max(|x_i|, 1e-12)`: x, y `[rows, dim]`, norm `[rows, 1]` or none. The sum of squares
/// has fixed partial sums. Moves `2 * rows * dim + rows` words.
#[derive(Debug, Clone, PartialEq)]
pub struct L2Normalize {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub dim: usize,
}

/// `dx_i = (dy_i - y_i (y_i . dy_i)) / norm_i`: y, dy, dx `[rows, dim]`, norm `[rows, 1]`. A row that is no longer than 1e-12 has
/// no direction; its gradient is taken to be 0, not 1e12 times what comes from above. Moves `3 * rows * dim + rows` words.
#[derive(Debug, Clone, PartialEq)]
pub struct L2NormalizeBackward {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub dim: usize,
}

impl Kernel for L2Normalize {
    fn name(&self) -> &'static str {
        "l2_normalize"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![Slot::f32("x", self.rows, self.dim)],
            writes: vec![Slot::f32("y", self.rows, self.dim), Slot::f32("norm", self.rows, 1).optional()],
        }
    }

    fn cost(&self) -> Cost {
        let cells = (self.rows * self.dim) as f64;
        Cost { bytes: 8.0 * cells + 4.0 * self.rows as f64, flops: 3.0 * cells }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let x = io.read(0);
        each_block_of_both(io.write(0), io.write_opt(1), &|first, mut y, norm| {
            vectorize(
                #[inline(always)]
                || {
                    for r in 0..y.rows {
                        let x = x.row(first + r);
                        let scale = 1.0 / length(x);
                        for (y, x) in y.row(r).iter_mut().zip(x) {
                            *y = x * scale;
                        }
                    }
                    // Again, from the cache.
                    if let Some(mut norm) = norm {
                        for r in 0..norm.rows {
                            norm.row(r)[0] = length(x.row(first + r));
                        }
                    }
                },
            );
        });
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::l2_normalize(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.dim as u32, u32::from(operands.writes[1].is_some())];
        vec![
            dispatch("l2_normalize", &attributes, &operands.reads, &operands.writes, self.rows * 64)
                .looping(2 * self.dim.div_ceil(64) + 9),
        ]
    }
}

#[inline(always)]
fn length(x: &[f32]) -> f32 {
    let length = dot(x, x).sqrt();
    // Not the other way round: NaN goes through.
    if length < LEAST { LEAST } else { length }
}

impl Kernel for L2NormalizeBackward {
    fn name(&self) -> &'static str {
        "l2_normalize_backward"
    }

    fn signature(&self) -> Signature {
        let rows = |name| Slot::f32(name, self.rows, self.dim);
        Signature { reads: vec![rows("y"), Slot::f32("norm", self.rows, 1), rows("dy")], writes: vec![rows("dx")] }
    }

    fn cost(&self) -> Cost {
        let cells = (self.rows * self.dim) as f64;
        Cost { bytes: 12.0 * cells + 4.0 * self.rows as f64, flops: 5.0 * cells }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (y, norm, dy) = (io.read(0), io.read(1), io.read(2));
        each_block(io.write(0), |first, mut dx| {
            vectorize(
                #[inline(always)]
                || {
                    for r in 0..dx.rows {
                        let (y, dy) = (y.row(first + r), dy.row(first + r));
                        let along = dot(y, dy);
                        let norm = norm.row(first + r)[0];
                        let scale = if norm <= LEAST { 0.0 } else { 1.0 / norm }; // NaN goes through
                        for ((dx, y), dy) in dx.row(r).iter_mut().zip(y).zip(dy) {
                            *dx = (dy - y * along) * scale;
                        }
                    }
                },
            );
        });
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::l2_normalize_backward(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.dim as u32];
        vec![
            dispatch("l2_normalize_backward", &attributes, &operands.reads, &operands.writes, self.rows * 64)
                .looping(2 * self.dim.div_ceil(64) + 9),
        ]
    }
}
