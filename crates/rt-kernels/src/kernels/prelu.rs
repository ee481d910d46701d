//! PReLU (He et al. 2015, "Delving deep into rectifiers"), a slope for each column.

use super::cells::{dispatch, each_row};
use crate::{Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// `y = max(x, 0) + slope * min(x, 0)`: x, y `[rows, cols]`, slope `[1, cols]`. Moves `2 * rows * cols + cols` words.
#[derive(Debug, Clone, PartialEq)]
pub struct Prelu {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

/// `dx = dy` where x > 0, else `slope * dy`; and, for the slope's gradient, `dslope_cells = dy * min(x, 0)`, to be summed
/// by column. Moves up to `4 * rows * cols + cols` words.
#[derive(Debug, Clone, PartialEq)]
pub struct PreluBackward {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

impl Kernel for Prelu {
    fn name(&self) -> &'static str {
        "prelu"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![Slot::f32("x", self.rows, self.cols), Slot::f32("slope", 1, self.cols)],
            writes: vec![Slot::f32("y", self.rows, self.cols)],
        }
    }

    fn cost(&self) -> Cost {
        let cells = (self.rows * self.cols) as f64;
        Cost { bytes: 8.0 * cells + 4.0 * self.cols as f64, flops: cells }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (x, slope) = (io.read(0), io.read(1).row(0));
        each_row(
            io.write(0),
            #[inline(always)]
            |r, y| {
                for ((y, x), slope) in y.iter_mut().zip(x.row(r)).zip(slope) {
                    *y = if *x > 0.0 { *x } else { slope * x };
                }
            },
        );
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.cols as u32];
        vec![dispatch("prelu", &attributes, &operands.reads, &operands.writes, self.rows * self.cols)]
    }
}

impl Kernel for PreluBackward {
    fn name(&self) -> &'static str {
        "prelu_backward"
    }

    fn signature(&self) -> Signature {
        let cells = |name| Slot::f32(name, self.rows, self.cols);
        Signature {
            reads: vec![cells("x"), Slot::f32("slope", 1, self.cols), cells("dy")],
            writes: vec![cells("dx"), cells("dslope_cells").optional()],
        }
    }

    fn cost(&self) -> Cost {
        let cells = (self.rows * self.cols) as f64;
        Cost { bytes: 16.0 * cells + 4.0 * self.cols as f64, flops: 2.0 * cells }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (x, slope, dy) = (io.read(0), io.read(1).row(0), io.read(2));
        each_row(
            io.write(0),
            #[inline(always)]
            |r, dx| {
                for (((dx, x), slope), dy) in dx.iter_mut().zip(x.row(r)).zip(slope).zip(dy.row(r)) {
                    *dx = if *x > 0.0 { *dy } else { slope * dy };
                }
            },
        );
        if let Some(cells) = io.write_opt(1) {
            each_row(
                cells,
                #[inline(always)]
                |r, cells| {
                    for ((cell, x), dy) in cells.iter_mut().zip(x.row(r)).zip(dy.row(r)) {
                        *cell = if *x > 0.0 { 0.0 } else { x * dy };
                    }
                },
            );
        }
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let wanted = u32::from(operands.writes[1].is_some());
        let attributes = [self.rows as u32, self.cols as u32, wanted];
        vec![dispatch("prelu_backward", &attributes, &operands.reads, &operands.writes, self.rows * self.cols)]
    }
}
