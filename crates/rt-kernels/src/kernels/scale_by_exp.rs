//! Scaling by a learned factor, and the limit of a parameter.

use super::cells::{dispatch, each_row};
use crate::{Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// `y = exp(s) x`: x, y `[rows, cols]`, s `[1, 1]`. Moves `2 * rows * cols` words. The learned temperature of CLIP (Radford et
/// al. 2021) is this with s = ln(1 / temperature).
#[derive(Debug, Clone, PartialEq)]
pub struct ScaleByExp {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

/// `x = min(x, most)` in place: x `[rows, cols]`. Moves `2 * rows * cols` words.
#[derive(Debug, Clone, PartialEq)]
pub struct ClampTop {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// The largest value that stays.
    pub most: f32,
}

impl Kernel for ScaleByExp {
    fn name(&self) -> &'static str {
        "scale_by_exp"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![Slot::f32("x", self.rows, self.cols), Slot::f32("s", 1, 1)],
            writes: vec![Slot::f32("y", self.rows, self.cols)],
        }
    }

    fn cost(&self) -> Cost {
        let cells = (self.rows * self.cols) as f64;
        Cost { bytes: 8.0 * cells + 4.0, flops: cells }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (x, factor) = (io.read(0), io.read(1).row(0)[0].exp());
        each_row(
            io.write(0),
            #[inline(always)]
            |r, y| {
                for (y, x) in y.iter_mut().zip(x.row(r)) {
                    *y = factor * x;
                }
            },
        );
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.cols as u32];
        vec![dispatch("scale_by_exp", &attributes, &operands.reads, &operands.writes, self.rows * self.cols)]
    }
}

impl Kernel for ClampTop {
    fn name(&self) -> &'static str {
        "clamp_top"
    }

    fn signature(&self) -> Signature {
        Signature { reads: Vec::new(), writes: vec![Slot::f32("x", self.rows, self.cols).in_place()] }
    }

    fn cost(&self) -> Cost {
        let cells = (self.rows * self.cols) as f64;
        Cost { bytes: 8.0 * cells, flops: cells }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let most = self.most;
        each_row(
            io.write(0),
            #[inline(always)]
            |_, x| {
                for x in x.iter_mut() {
                    *x = if *x > most { most } else { *x };
                }
            },
        );
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.cols as u32, self.most.to_bits()];
        vec![dispatch("clamp_top", &attributes, &operands.reads, &operands.writes, self.rows * self.cols)]
    }
}
