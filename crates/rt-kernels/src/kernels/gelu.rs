//! GELU (Hendrycks, Gimpel 2016) in its tanh form. It is not monotone, so backward needs x: it is no
//! [`super::Activation`], whose gradients follow from y.

use super::activation::sigmoid;
use super::cells::{dispatch, each_row};
use crate::{Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// 2 sqrt(2 / pi).
const SLOPE: f32 = 1.595_769;
const CUBE: f32 = 0.044_715;

/// `y = x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`, cell by cell: x, y `[rows, cols]`. Computed as
/// `x sigmoid(2 sqrt(2 / pi) (...))`, which is the same. Moves `2 * rows * cols` words.
#[derive(Debug, Clone, PartialEq)]
pub struct Gelu {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

/// `dx = dy f'(x)` of [`Gelu`]: x, dy, dx `[rows, cols]`. Moves `3 * rows * cols` words.
#[derive(Debug, Clone, PartialEq)]
pub struct GeluBackward {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

impl Kernel for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn signature(&self) -> Signature {
        let cells = |name| Slot::f32(name, self.rows, self.cols);
        Signature { reads: vec![cells("x")], writes: vec![cells("y")] }
    }

    fn cost(&self) -> Cost {
        let cells = (self.rows * self.cols) as f64;
        Cost { bytes: 8.0 * cells, flops: 8.0 * cells }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let x = io.read(0);
        each_row(
            io.write(0),
            #[inline(always)]
            |r, y| {
                for (y, x) in y.iter_mut().zip(x.row(r)) {
                    *y = x * sigmoid(SLOPE * (x + CUBE * x * x * x));
                }
            },
        );
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.cols as u32];
        vec![dispatch("gelu", &attributes, &operands.reads, &operands.writes, self.rows * self.cols)]
    }
}

impl Kernel for GeluBackward {
    fn name(&self) -> &'static str {
        "gelu_backward"
    }

    fn signature(&self) -> Signature {
        let cells = |name| Slot::f32(name, self.rows, self.cols);
        Signature { reads: vec![cells("x"), cells("dy")], writes: vec![cells("dx")] }
    }

    fn cost(&self) -> Cost {
        let cells = (self.rows * self.cols) as f64;
        Cost { bytes: 12.0 * cells, flops: 16.0 * cells }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (x, dy) = (io.read(0), io.read(1));
        each_row(
            io.write(0),
            #[inline(always)]
            |r, dx| {
                for ((dx, x), dy) in dx.iter_mut().zip(x.row(r)).zip(dy.row(r)) {
                    let s = sigmoid(SLOPE * (x + CUBE * x * x * x));
                    *dx = dy * (s + x * s * (1.0 - s) * SLOPE * (1.0 + 3.0 * CUBE * x * x));
                }
            },
        );
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.cols as u32];
        vec![dispatch("gelu_backward", &attributes, &operands.reads, &operands.writes, self.rows * self.cols)]
    }
}
