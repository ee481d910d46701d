//! How often each candidate of a mixed pool is expected among the negatives, as a logarithm.

use super::cells::{cell_or_zero, dispatch};
use crate::{Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// Logit of a candidate that is left out: larger than any logarithm, so that kernels know padding by it.
const LEFT_OUT: f32 = 1e30;

/// ln of the expected number of each candidate among the negatives of a row, for candidates that are the batch's own targets,
/// then `drawn` items drawn uniformly from a catalogue of N items, then `queued` targets of earlier batches. With T = valid + the
/// filled places of the queue (id not 0), D = drawn and p_j the share of training targets, an item has probability q_j = (T p_j +
/// D / N) / (T + D) and is expected (T + D - 1) q_j times (Yang et al. 2020, "Mixed negative sampling for learning two-tower
/// neural networks in recommendations"; T + D - 1 because the positive is no negative, 1 at least). 1e30 (left out) for rows of
/// the batch from `valid` on, for empty places of the queue and for ids past the table, which fill no place; without `corrected` 0
/// elsewhere.
///
/// Reads table `[any, 1]` of p and ids `[batch + drawn + queued, 1]` u32; writes out of that shape. Moves 3 words a candidate, and
/// the queue's ids once more.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateLogQ {
    /// Targets of the batch, padding included.
    pub batch: usize,
    /// Items drawn uniformly.
    pub drawn: usize,
    /// Places of the queue.
    pub queued: usize,
    /// N, the items that are drawn from.
    pub catalogue: usize,
    /// Are logits corrected, or candidates left out alone?
    pub corrected: bool,
    /// The batch's first example in the step; not 0 where a step has several. `valid` counts from there.
    pub first: usize,
}

impl CandidateLogQ {
    fn n(&self) -> usize {
        self.batch.saturating_add(self.drawn).saturating_add(self.queued)
    }
}

impl Kernel for CandidateLogQ {
    fn name(&self) -> &'static str {
        "candidate_logq"
    }

    fn signature(&self) -> Signature {
        let n = self.n();
        Signature {
            reads: vec![Slot::f32("table", None, 1), Slot::u32("ids", n, 1)],
            writes: vec![Slot::f32("out", n, 1)],
        }
    }

    fn cost(&self) -> Cost {
        Cost { bytes: (12 * self.n() + 4 * self.queued) as f64, flops: 4.0 * self.n() as f64 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (table, ids, step) = (io.read(0), io.read(1), *io.step);
        let mut out = io.write(0);
        let queue = self.batch + self.drawn..self.n();
        let filled = queue.clone().filter(|i| ids.id(*i) != 0 && (ids.id(*i) as usize) < table.rows).count();
        let (valid, _) = step.part(self.first, self.batch);
        let targets = (valid + filled) as f32;
        let drawn = self.drawn as f32;
        let uniform = drawn / self.catalogue.max(1) as f32;
        let constant = ((targets + drawn - 1.0).max(1.0) / (targets + drawn).max(1.0)).ln();
        for i in 0..self.n() {
            let id = ids.id(i);
            let padding = (i < self.batch && i >= valid) || id as usize >= table.rows;
            out.row(i)[0] = match () {
                () if padding || (queue.contains(&i) && id == 0) => LEFT_OUT,
                () if self.corrected => (targets * cell_or_zero(&table, id) + uniform).ln() + constant,
                () => 0.0,
            };
        }
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let corrected = usize::from(self.corrected);
        let sizes = [self.batch, self.drawn, self.queued, self.catalogue, corrected, self.first, operands.read(0).rows];
        let attributes = sizes.map(|x| x as u32);
        let mut d = dispatch("candidate_logq", &attributes, &operands.reads, &operands.writes, self.n())
            .looping(self.queued.div_ceil(64) + 8);
        d.step = true;
        vec![d]
    }
}
