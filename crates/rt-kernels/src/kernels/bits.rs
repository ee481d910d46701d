//! Raw draws, for tests and benches of the generator.

use super::cells::{PHILOX, dispatch, each_block};
use crate::philox::draws;
use crate::simd::vectorize;
use crate::{Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// `out[i]` = draw i of the step and stream: out `[n, 1]` u32. Writes n words.
#[derive(Debug, Clone, PartialEq)]
pub struct Bits {
    /// Draws.
    pub n: usize,
    /// Stream of the draws.
    pub stream: u32,
}

impl Kernel for Bits {
    fn name(&self) -> &'static str {
        "bits"
    }

    fn signature(&self) -> Signature {
        Signature { reads: Vec::new(), writes: vec![Slot::u32("out", self.n, 1)] }
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 4.0 * self.n as f64, flops: 0.0 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let step = *io.step;
        each_block(io.write(0), |first, mut out| {
            vectorize(
                #[inline(always)]
                || {
                    let mut words = [0; 64];
                    let mut r = 0;
                    while r < out.rows {
                        let words = &mut words[..64.min(out.rows - r)];
                        draws([step.seed_lo, step.seed_hi], step.step, self.stream, (first + r) as u32, words);
                        for word in words.iter() {
                            out.row_u32(r)[0] = *word;
                            r += 1;
                        }
                    }
                },
            );
        });
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.n as u32, self.stream];
        let mut d = dispatch("bits", &attributes, &[], &operands.writes, self.n).looping(PHILOX);
        d.step = true;
        vec![d]
    }
}
