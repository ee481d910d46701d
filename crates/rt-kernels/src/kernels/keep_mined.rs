//! Which mined negatives a step takes.

use super::cells::{PHILOX, dispatch};
use crate::philox::draws;
use crate::simd::vectorize;
use crate::{Cost, CpuIo, Dispatch, Kernel, Made, Operands, Signature, Slot};

/// `out_ij = mined_ij` where it is no 0 and draw number `i n + j` of the step and stream is below `threshold`, else the
/// row's target, which losses mask as an accidental hit: mined `[rows, n]` u32, target `[rows, 1]` u32, out `[rows, n]` u32.
/// Moves `2 rows n + rows` words.
#[derive(Debug, Clone, PartialEq)]
pub struct KeepMined {
    /// Rows.
    pub rows: usize,
    /// Mined negatives of a row.
    pub n: usize,
    /// Probability of taking one, times 2^32.
    pub threshold: u32,
    /// Stream of the draws.
    pub stream: u32,
}

impl Kernel for KeepMined {
    fn name(&self) -> &'static str {
        "keep_mined"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![Slot::u32("mined", self.rows, self.n), Slot::u32("target", self.rows, 1)],
            writes: vec![Slot::u32("out", self.rows, self.n)],
        }
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 4.0 * (2 * self.rows * self.n + self.rows) as f64, flops: 0.0 }
    }

    fn made(&self, write: usize, reads: &[Option<[usize; 2]>]) -> Option<Made> {
        let _ = (write, reads);
        Some(Made::passed(&[0, 1]))
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (mined, target, step) = (io.read(0), io.read(1), *io.step);
        io.write(0).par_blocks(4096, |first, mut out| {
            vectorize(
                #[inline(always)]
                || {
                    for r in 0..out.rows {
                        let i = first + r;
                        let seed = [step.seed_lo, step.seed_hi];
                        // The draws stand where the ids will.
                        let row = out.row_u32(r);
                        draws(seed, step.step, self.stream, (i * self.n) as u32, row);
                        for (out, id) in row.iter_mut().zip(mined.row_u32(i)) {
                            *out = if *id != 0 && *out < self.threshold { *id } else { target.id(i) };
                        }
                    }
                },
            );
        });
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.n as u32, self.threshold, self.stream];
        let mut d =
            dispatch("keep_mined", &attributes, &operands.reads, &operands.writes, self.rows * self.n).looping(PHILOX);
        d.step = true;
        vec![d]
    }
}
