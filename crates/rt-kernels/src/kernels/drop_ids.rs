//! Dropout of whole ids: what a row of a table says is left out for a step by looking up row 0, which is zero.

use super::cells::{PHILOX, dispatch};
use crate::philox::draws;
use crate::simd::vectorize;
use crate::{Cost, CpuIo, Dispatch, Kernel, Made, Operands, Signature, Slot};

/// `out[i] = ids[i]` where draw i of the step and stream is below `keep_threshold`, else 0: ids, out `[n, 1]` u32. Moves
/// `2 * n` words; a Philox round serves four.
#[derive(Debug, Clone, PartialEq)]
pub struct DropIds {
    /// Ids.
    pub n: usize,
    /// Probability of keeping an id, times 2^32.
    pub keep_threshold: u32,
    /// Stream of the draws.
    pub stream: u32,
}

impl Kernel for DropIds {
    fn name(&self) -> &'static str {
        "drop_ids"
    }

    fn signature(&self) -> Signature {
        Signature { reads: vec![Slot::u32("ids", self.n, 1)], writes: vec![Slot::u32("out", self.n, 1)] }
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 8.0 * self.n as f64, flops: 0.0 }
    }

    fn made(&self, write: usize, reads: &[Option<[usize; 2]>]) -> Option<Made> {
        let _ = (write, reads);
        Some(Made::passed(&[0]))
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        const RUN: usize = 64;
        let (ids, step) = (io.read(0), *io.step);
        io.write(0).par_blocks(8192, |first, mut out| {
            vectorize(
                #[inline(always)]
                || {
                    let mut words = [0; RUN];
                    for r in (0..out.rows).step_by(RUN) {
                        let words = &mut words[..RUN.min(out.rows - r)];
                        draws([step.seed_lo, step.seed_hi], step.step, self.stream, (first + r) as u32, words);
                        for (i, word) in words.iter().enumerate() {
                            let id = ids.id(first + r + i);
                            out.row_u32(r + i)[0] = if *word < self.keep_threshold { id } else { 0 };
                        }
                    }
                },
            );
        });
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.n as u32, self.keep_threshold, self.stream];
        // An invocation draws four words: those of one counter.
        let mut d =
            dispatch("drop_ids", &attributes, &operands.reads, &operands.writes, self.n.div_ceil(4)).looping(PHILOX);
        d.step = true;
        vec![d]
    }
}
