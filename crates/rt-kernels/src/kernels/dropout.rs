//! Dropout by counter.

use super::cells::{dispatch, each_block};
use crate::philox::draws;
use crate::simd::vectorize;
use crate::{Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// `y = x * scale` where draw `r * cols + c` of the step and stream is below `keep_threshold`, else 0: x, y
/// `[rows, cols]`. Backward is the same kernel on dy: the mask is drawn again, none is stored. Moves `2 * rows * cols`
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
        let (x, step) = (io.read(0), *io.step);
        let (cols, scale, threshold) = (self.cols, self.scale, self.keep_threshold);
        each_block(io.write(0), |first, mut y| {
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
                    }
                },
            );
        });
    }

    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::dropout(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.cols as u32, self.keep_threshold, self.scale.to_bits(), self.stream];
        // An invocation draws four words: those of one counter.
        let counters = (self.rows * self.cols).div_ceil(4);
        let mut d = dispatch("dropout", &attributes, &operands.reads, &operands.writes, counters);
        d.step = true;
        vec![d]
    }
}
