//! Dropout by counter.

use super::Activation;
use super::cells::{PHILOX, dispatch, each_block};
use crate::philox::draws;
use crate::simd::vectorize;
use crate::{Cost, CpuIo, Dispatch, Kernel, Mat, MatMut, Operand, Operands, Signature, Slot, Step};

/// `y = x * scale` where draw `r * cols + c` of the step and stream is below `keep_threshold`, else 0: x, y
/// `[rows, cols]`. Backward is the same kernel on dy: the mask is drawn again, none is stored ([`DropoutBackward`] where an
/// activation is behind it). Moves `2 * rows * cols`
/// words; a Philox round serves four cells.
#[derive(Debug, Clone, PartialEq)]
pub struct Dropout {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Probability of keeping a cell, times 2^32.
    pub keep_threshold: u32,
    /// 1 / that probability.
    pub scale: f32,
    /// Stream of the draws.
    pub stream: u32,
}

/// Backward of a layer's activation and of the dropout after it, at once: `dx = dropped(dy) f'`, where `dropped` is the
/// [`Dropout`] and f' follows from the layer's output `y = f(x)` before it was dropped. y, dy, dx `[rows, cols]`. The bits of the
/// two kernels one after the other; moves `3 * rows * cols` words instead of five.
#[derive(Debug, Clone, PartialEq)]
pub struct DropoutBackward {
    /// The dropout.
    pub dropout: Dropout,
    /// f.
    pub activation: Activation,
}

impl Dropout {
    /// Writes the rows of `x` with their cells kept or dropped, in parallel; `then` works on each row that it made.
    fn each(&self, step: &Step, x: Mat<'_>, out: MatMut<'_>, then: impl Fn(usize, &mut [f32]) + Sync + Send) {
        let (cols, scale, threshold) = (self.cols, self.scale, self.keep_threshold);
        each_block(out, |first, mut y| {
            vectorize(
                #[inline(always)]
                || {
                    let mut words = [0; 256];
                    for r in 0..y.rows {
                        let (x, y) = (x.row(first + r), y.row(r));
                        let mut index = ((first + r) * cols) as u32;
                        for (x, y) in x.chunks(256).zip(y.chunks_mut(256)) {
                            let words = &mut words[..x.len()];
                            draws([step.seed_lo, step.seed_hi], step.step, self.stream, index, words);
                            for ((y, x), word) in y.iter_mut().zip(x).zip(words.iter()) {
                                *y = if *word < threshold { x * scale } else { 0.0 };
                            }
                            index = index.wrapping_add(x.len() as u32);
                        }
                        then(first + r, y);
                    }
                },
            );
        });
    }

    /// `of` is the output of an activation, where its derivative follows.
    fn dispatch(&self, x: Operand, of: Option<Operand>, y: Operand, activation: Activation) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.cols as u32, self.keep_threshold, self.scale.to_bits(), self.stream];
        // An invocation draws four words: those of one counter.
        let counters = (self.rows * self.cols).div_ceil(4);
        let mut d = dispatch("dropout", &attributes, &[Some(x), of], &[Some(y)], counters).looping(PHILOX);
        d.constants = vec![("ACTIVATION", f64::from(activation.code()))];
        d.step = true;
        vec![d]
    }
}

impl Kernel for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
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
        let (step, x) = (io.step, io.read(0));
        self.each(
            step,
            x,
            io.write(0),
            #[inline(always)]
            |_, _| {},
        );
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::dropout(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        self.dispatch(operands.read(0), None, operands.write(0), Activation::None)
    }
}

impl Kernel for DropoutBackward {
    fn name(&self) -> &'static str {
        "dropout_backward"
    }

    fn signature(&self) -> Signature {
        let slot = |name| Slot::f32(name, self.dropout.rows, self.dropout.cols);
        Signature { reads: vec![slot("y"), slot("dy")], writes: vec![slot("dx")] }
    }

    fn cost(&self) -> Cost {
        let cells = (self.dropout.rows * self.dropout.cols) as f64;
        Cost { bytes: 12.0 * cells, flops: 4.0 * cells }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (step, y, dy, activation) = (io.step, io.read(0), io.read(1), self.activation);
        self.dropout.each(
            step,
            dy,
            io.write(0),
            #[inline(always)]
            |r, dx| activation.slope(y.row(r), dx),
        );
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::dropout_backward(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        self.dropout.dispatch(operands.read(1), Some(operands.read(0)), operands.write(0), self.activation)
    }
}
