//! Softmax cross-entropy over a row's own list: the positive in column 0, negatives after it.

use super::cells::dispatch;
use super::fit;
use crate::simd::{exp, vectorize};
use crate::{Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// `loss_i = weight_i * (logsumexp_j z'_ij - z'_i0)`, `dz_ij = weight_i * (p_ij - [j = 0])`, where `z' = z - logq` (for the
/// positive only with `correct_positive`) and, with `mask_hits`, negatives with the positive's id have probability 0: z
/// `[rows, n]`, weight `[rows, 1]`, ids `[rows, n]` u32 or none, logq `[rows, n]` or none; loss `[rows, 1]`, dz `[rows, n]` or
/// none. With `smoothing` e the target is (1 - e) on the positive plus e spread evenly over the candidates that are not masked, as
/// in [`super::SoftmaxLoss`]. Sums run over j ascending.
#[derive(Debug, Clone, PartialEq)]
pub struct ListSoftmax {
    /// Rows.
    pub rows: usize,
    /// Candidates of a row, the positive included.
    pub n: usize,
    /// Are negatives that equal the positive masked?
    pub mask_hits: bool,
    /// Is logq taken off the positive too?
    pub correct_positive: bool,
    /// Share of the target that is spread evenly over the candidates, 0 to 1.
    pub smoothing: f32,
}

/// Logit of a masked candidate.
const MASKED: f32 = -1e30;

impl Kernel for ListSoftmax {
    fn name(&self) -> &'static str {
        "list_softmax"
    }

    fn signature(&self) -> Signature {
        let (rows, n) = (self.rows, self.n);
        Signature {
            reads: vec![
                Slot::f32("z", rows, n),
                Slot::f32("weight", rows, 1),
                Slot::u32("ids", rows, n).optional(),
                Slot::f32("logq", rows, n).optional(),
            ],
            writes: vec![Slot::f32("loss", rows, 1), Slot::f32("dz", rows, n).optional()],
        }
    }

    fn mismatch(&self, _: &Operands) -> Option<String> {
        fit::unless(self.n > 0 || self.rows == 0, || {
            format!("{} rows of no logit: the first is the positive", self.rows)
        })
    }

    fn cost(&self) -> Cost {
        let cells = (self.rows * self.n) as f64;
        Cost { bytes: 16.0 * cells + 8.0 * self.rows as f64, flops: 6.0 * cells }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (z, weight, ids, logq) = (io.read(0), io.read(1), io.read_opt(2), io.read_opt(3));
        let (mut loss, mut dz) = (io.write(0), io.write_opt(1));
        vectorize(
            #[inline(always)]
            || {
                for i in 0..self.rows {
                    let z = z.row(i);
                    let logit = |j: usize| {
                        let hit = self.mask_hits && j > 0 && ids.is_some_and(|m| m.row_u32(i)[j] == m.row_u32(i)[0]);
                        let corrected = j > 0 || self.correct_positive;
                        let taken = logq.filter(|_| corrected).map_or(0.0, |q| q.row(i)[j]);
                        if hit { MASKED } else { z[j] - taken }
                    };
                    let max = (0..z.len()).map(logit).fold(MASKED, |a, b| if b > a { b } else { a });
                    let sum: f32 = (0..z.len()).map(|j| exp(logit(j) - max)).sum();
                    let w = weight.row(i)[0];
                    let (mut kept, mut spread, mut mean) = (1.0, 0.0, 0.0);
                    if self.smoothing > 0.0 {
                        let counted = || (0..z.len()).map(logit).filter(|z| *z > MASKED);
                        let (total, count) = counted().fold((0.0, 0.0), |(t, c), z| (t + z, c + 1.0));
                        (kept, spread, mean) = (1.0 - self.smoothing, self.smoothing / count, total / count);
                    }
                    loss.row(i)[0] = w * (max + sum.ln() - kept * logit(0) - self.smoothing * mean);
                    if let Some(dz) = &mut dz {
                        for (j, dz) in dz.row(i).iter_mut().enumerate() {
                            let z = logit(j);
                            let target = if z > MASKED { spread } else { 0.0 } + if j == 0 { kept } else { 0.0 };
                            *dz = w * (exp(z - max) / sum - target);
                        }
                    }
                }
            },
        );
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let flags = u32::from(self.mask_hits && operands.reads[2].is_some())
            | u32::from(operands.reads[3].is_some()) << 1
            | u32::from(self.correct_positive) << 2
            | u32::from(operands.writes[1].is_some()) << 3;
        let attributes = [self.rows as u32, self.n as u32, flags, self.smoothing.to_bits()];
        vec![
            dispatch("list_softmax", &attributes, &operands.reads, &operands.writes, self.rows).looping(4 * self.n + 4),
        ]
    }
}
