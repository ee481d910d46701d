//! Which history positions a step keeps.

use super::cells::{PHILOX, dispatch};
use crate::philox::draws;
use crate::simd::vectorize;
use crate::{Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// Bit k % 32 of word k / 32 of row i is set where draw `i * words * 32 + k` of the step and stream is below
/// `keep_threshold`; k = 0 is the newest item: mask `[rows, words]` u32. Writes `rows * words` words, eight counters each.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryMask {
    /// Rows.
    pub rows: usize,
    /// Words of 32 positions.
    pub words: usize,
    /// Probability of keeping a position, times 2^32.
    pub keep_threshold: u32,
    /// Stream of the draws.
    pub stream: u32,
}

impl Kernel for HistoryMask {
    fn name(&self) -> &'static str {
        "history_mask"
    }

    fn signature(&self) -> Signature {
        Signature { reads: Vec::new(), writes: vec![Slot::u32("mask", self.rows, self.words)] }
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 4.0 * (self.rows * self.words) as f64, flops: 0.0 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (step, width) = (*io.step, self.words);
        // 32 draws a word: fewer rows than the cells of other kernels are worth a thread.
        let block = (1024 / width.max(1)).max(1);
        io.write(0).par_blocks(block, |first, mut mask| {
            vectorize(
                #[inline(always)]
                || {
                    let mut words = [0; 32];
                    for r in 0..mask.rows {
                        for (w, bits) in mask.row_u32(r).iter_mut().enumerate() {
                            let index = (((first + r) * width + w) * 32) as u32;
                            draws([step.seed_lo, step.seed_hi], step.step, self.stream, index, &mut words);
                            let kept = |(k, word): (usize, &u32)| u32::from(*word < self.keep_threshold) << k;
                            *bits = words.iter().enumerate().map(kept).sum();
                        }
                    }
                },
            );
        });
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.words as u32, self.keep_threshold, self.stream];
        let mut d = dispatch("history_mask", &attributes, &[], &operands.writes, self.rows * self.words)
            .looping(8 * (1 + PHILOX) + 1);
        d.step = true;
        vec![d]
    }
}
