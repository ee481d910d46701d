//! Element-wise activations.

use super::cells::{dispatch, each_row};
use crate::simd::exp;
use crate::{Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// Activation of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x`.
    None,
    /// 0 if `x < 0`, else `x`: NaN goes through.
    Relu,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

impl Activation {
    /// The number that shaders know it by.
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Relu => 1,
            Self::Tanh => 2,
            Self::Sigmoid => 3,
        }
    }

    /// Applies it to each cell of a row. For use inside [`crate::simd::vectorize`].
    #[inline(always)]
    pub(crate) fn apply(self, row: &mut [f32]) {
        match self {
            Self::None => {}
            Self::Relu => row.iter_mut().for_each(|x| *x = if *x < 0.0 { 0.0 } else { *x }),
            Self::Tanh => row.iter_mut().for_each(|x| *x = tanh(*x)),
            Self::Sigmoid => row.iter_mut().for_each(|x| *x = sigmoid(*x)),
        }
    }

    /// `dx *= f'(x)` from `y = f(x)`, over rows. For use inside [`crate::simd::vectorize`].
    #[inline(always)]
    pub(crate) fn slope(self, y: &[f32], dx: &mut [f32]) {
        let cells = dx.iter_mut().zip(y);
        match self {
            Self::None => {}
            Self::Relu => cells.for_each(|(dx, y)| *dx = if *y <= 0.0 { 0.0 } else { *dx }),
            Self::Tanh => cells.for_each(|(dx, y)| *dx *= 1.0 - y * y),
            Self::Sigmoid => cells.for_each(|(dx, y)| *dx *= y * (1.0 - y)),
        }
    }

    /// `dx = dy f'(x)` from `y = f(x)`, over rows. For use inside [`crate::simd::vectorize`].
    #[inline(always)]
    fn backward(self, y: &[f32], dy: &[f32], dx: &mut [f32]) {
        dx.copy_from_slice(dy);
        self.slope(y, dx);
    }
}

/// Logistic function, stable on both sides.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    let magnitude = if x < 0.0 { x } else { -x };
    let e = exp(magnitude);
    let small = e / (1.0 + e);
    if x < 0.0 { small } else { 1.0 - small }
}

/// tanh through exp(-2|x|); a polynomial near zero, where the quotient would cancel.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let magnitude = if x < 0.0 { -x } else { x };
    let e = exp(-2.0 * magnitude);
    let far = (1.0 - e) / (1.0 + e);
    let s = magnitude * magnitude;
    // Taylor to x^9: relative error below 1e-7 up to 0.3.
    let near = magnitude * (1.0 + s * (-1.0 / 3.0 + s * (2.0 / 15.0 + s * (-17.0 / 315.0 + s * (62.0 / 2835.0)))));
    let value = if magnitude < 0.3 { near } else { far };
    if x < 0.0 { -value } else { value }
}

/// `y = f(x)`, cell by cell: x, y `[rows, cols]`. Moves `2 * rows * cols` words.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivationForward {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// f.
    pub activation: Activation,
}

impl Kernel for ActivationForward {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![Slot::f32("x", self.rows, self.cols)],
            writes: vec![Slot::f32("y", self.rows, self.cols)],
        }
    }

    fn cost(&self) -> Cost {
        let cells = (self.rows * self.cols) as f64;
        Cost { bytes: 8.0 * cells, flops: cells }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (x, activation) = (io.read(0), self.activation);
        each_row(
            io.write(0),
            #[inline(always)]
            |r, y| {
                y.copy_from_slice(x.row(r));
                activation.apply(y);
            },
        );
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.cols as u32];
        let cells = self.rows * self.cols;
        let mut d = dispatch("activation", &attributes, &operands.reads, &operands.writes, cells);
        d.constants = vec![("ACTIVATION", f64::from(self.activation.code()))];
        vec![d]
    }
}

/// `dx = dy f'(x)` with f' from the OUTPUT `y = f(x)`: y, dy, dx `[rows, cols]`. Moves `3 * rows * cols` words.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivationBackward {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// f.
    pub activation: Activation,
}

impl Kernel for ActivationBackward {
    fn name(&self) -> &'static str {
        "activation_backward"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![Slot::f32("y", self.rows, self.cols), Slot::f32("dy", self.rows, self.cols)],
            writes: vec![Slot::f32("dx", self.rows, self.cols)],
        }
    }

    fn cost(&self) -> Cost {
        let cells = (self.rows * self.cols) as f64;
        Cost { bytes: 12.0 * cells, flops: 3.0 * cells }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (y, dy, activation) = (io.read(0), io.read(1), self.activation);
        each_row(
            io.write(0),
            #[inline(always)]
            |r, dx| activation.backward(y.row(r), dy.row(r), dx),
        );
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.cols as u32];
        let cells = self.rows * self.cols;
        let mut d = dispatch("activation_backward", &attributes, &operands.reads, &operands.writes, cells);
        d.constants = vec![("ACTIVATION", f64::from(self.activation.code()))];
        vec![d]
    }
}
