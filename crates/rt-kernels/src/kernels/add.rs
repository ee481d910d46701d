//! Element-wise arithmetic and copies.

use super::cells::{dispatch, each_row};
use crate::{Cost, CpuIo, Dispatch, Kernel, Made, Operands, Signature, Slot};

/// `out = a + b`, all `[rows, cols]`. Moves `3 * rows * cols` words.
#[derive(Debug, Clone, PartialEq)]
pub struct Add {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

/// `out = a * b`, cell by cell, all `[rows, cols]`. Moves `3 * rows * cols` words.
#[derive(Debug, Clone, PartialEq)]
pub struct Mul {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

/// `out = factor * a`, both `[rows, cols]`. Moves `2 * rows * cols` words.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// The factor.
    pub factor: f32,
}

/// `out = a`, both `[rows, cols]`, words of either type, strides free. Moves `2 * rows * cols` words.
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

/// An operand whose words are moved alone.
fn words(name: &'static str, rows: usize, cols: usize) -> Slot {
    Slot::f32(name, rows, cols).either()
}

/// A kernel of `out = f(a, b)` or `out = f(a)`.
macro_rules! cellwise {
    ($kernel:ident, $name:literal, $of:expr, [$($slot:literal),+], $flops:literal, |$self:ident, $io:ident| $row:expr, $attribute:expr) => {
        impl Kernel for $kernel {
            fn name(&self) -> &'static str {
                $name
            }

            fn signature(&self) -> Signature {
                Signature {
                    reads: vec![$($of($slot, self.rows, self.cols)),+],
                    writes: vec![$of("out", self.rows, self.cols)],
                }
            }

            fn cost(&self) -> Cost {
                let operands = [$($slot),+].len() + 1;
                let cells = (self.rows * self.cols) as f64;
                Cost { bytes: 4.0 * operands as f64 * cells, flops: $flops * cells }
            }

            fn made(&self, _: usize, _: &[Option<[usize; 2]>]) -> Option<Made> {
                // The one of them that moves words of either type.
                ($name == "copy").then(|| Made::rows(0))
            }

            fn run(&self, io: &mut CpuIo<'_>) {
                let out = io.write(0);
                let ($self, $io) = (self, io);
                each_row(out, $row);
            }

            fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
                let attribute: fn(&Self) -> Option<u32> = $attribute;
                let mut attributes = vec![self.rows as u32, self.cols as u32];
                attributes.extend(attribute(self));
                vec![dispatch($name, &attributes, &operands.reads, &operands.writes, self.rows * self.cols)]
            }
        }
    };
}

cellwise!(
    Add,
    "add",
    Slot::f32,
    ["a", "b"],
    1.0,
    |_this, io| {
        let (a, b) = (io.read(0), io.read(1));
        #[inline(always)]
        move |r, out: &mut [f32]| {
            for ((out, a), b) in out.iter_mut().zip(a.row(r)).zip(b.row(r)) {
                *out = a + b;
            }
        }
    },
    |_| None
);

cellwise!(
    Mul,
    "mul",
    Slot::f32,
    ["a", "b"],
    1.0,
    |_this, io| {
        let (a, b) = (io.read(0), io.read(1));
        #[inline(always)]
        move |r, out: &mut [f32]| {
            for ((out, a), b) in out.iter_mut().zip(a.row(r)).zip(b.row(r)) {
                *out = a * b;
            }
        }
    },
    |_| None
);

cellwise!(
    Scale,
    "scale",
    Slot::f32,
    ["a"],
    1.0,
    |this, io| {
        let (a, factor) = (io.read(0), this.factor);
        #[inline(always)]
        move |r, out: &mut [f32]| {
            for (out, a) in out.iter_mut().zip(a.row(r)) {
                *out = factor * a;
            }
        }
    },
    |this| Some(this.factor.to_bits())
);

cellwise!(
    Copy,
    "copy",
    words,
    ["a"],
    0.0,
    |_this, io| {
        let a = io.read(0);
        #[inline(always)]
        move |r, out: &mut [f32]| out.copy_from_slice(a.row(r))
    },
    |_| None
);
