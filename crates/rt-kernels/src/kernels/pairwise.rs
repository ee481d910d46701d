//! Losses over pairs of a positive and a negative of a row's own.

use super::activation::sigmoid;
use super::cells::dispatch;
use super::fit;
use crate::simd::{exp, vectorize};
use crate::{Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// What a pair costs, by the difference d = z_negative - z_positive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PairRule {
    /// `-ln sigmoid(-d)`, Bayesian personalised ranking (Rendle et al., UAI 2009).
    Bpr,
    /// `max(0, margin + d)`, the triplet loss of embedding-based retrieval (Huang et al., KDD 2020).
    Hinge {
        /// The margin, in units of z.
        margin: f32,
    },
}

impl PairRule {
    /// A pair's loss and its derivative by d; stable for any d.
    #[inline(always)]
    fn pair(self, d: f32) -> (f32, f32) {
        match self {
            Self::Bpr => {
                let (high, magnitude) = if d > 0.0 { (d, d) } else { (0.0, -d) };
                (high + exp(-magnitude).ln_1p(), sigmoid(d))
            }
            Self::Hinge { margin } if margin + d <= 0.0 => (0.0, 0.0),
            // NaN goes through to both.
            Self::Hinge { margin } if d.is_nan() => (margin + d, d),
            Self::Hinge { margin } => (margin + d, 1.0),
        }
    }
}

/// `loss_i = weight_i * mean_j rule(z_ij - z_i0)` over the negatives j >= 1 that count: z `[rows, n]`, weight `[rows, 1]`,
/// ids `[rows, n]` u32 or none; loss `[rows, 1]`, dz `[rows, n]` or none. With ids a negative that has the positive's id
/// does not count, and the mean is over the others; a row without any has loss 0. Sums run over j ascending.
#[derive(Debug, Clone, PartialEq)]
pub struct Pairwise {
    /// Rows.
    pub rows: usize,
    /// Logits of a row, the positive's first.
    pub n: usize,
    /// What a pair costs.
    pub rule: PairRule,
}

impl Kernel for Pairwise {
    fn name(&self) -> &'static str {
        match self.rule {
            PairRule::Bpr => "pairwise_bpr",
            PairRule::Hinge { .. } => "pairwise_hinge",
        }
    }

    fn signature(&self) -> Signature {
        let (rows, n) = (self.rows, self.n);
        Signature {
            reads: vec![Slot::f32("z", rows, n), Slot::f32("weight", rows, 1), Slot::u32("ids", rows, n).optional()],
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
        Cost { bytes: 12.0 * cells + 8.0 * self.rows as f64, flops: 8.0 * cells }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (z, weight, ids) = (io.read(0), io.read(1), io.read_opt(2));
        let (mut loss, mut dz) = (io.write(0), io.write_opt(1));
        vectorize(
            #[inline(always)]
            || {
                for i in 0..self.rows {
                    let z = z.row(i);
                    let counts = |j: usize| j > 0 && ids.is_none_or(|m| m.row_u32(i)[j] != m.row_u32(i)[0]);
                    let number = (0..z.len()).filter(|j| counts(*j)).count().max(1);
                    let w = weight.row(i)[0] / number as f32;
                    let (mut sum, mut slope) = (0.0, 0.0);
                    for j in (1..z.len()).filter(|j| counts(*j)) {
                        let (value, derivative) = self.rule.pair(z[j] - z[0]);
                        sum += value;
                        slope += derivative;
                    }
                    loss.row(i)[0] = w * sum;
                    if let Some(dz) = &mut dz {
                        let dz = dz.row(i);
                        for (j, cell) in dz.iter_mut().enumerate() {
                            *cell = if counts(j) { w * self.rule.pair(z[j] - z[0]).1 } else { 0.0 };
                        }
                        dz[0] = -w * slope;
                    }
                }
            },
        );
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let flags = u32::from(operands.reads[2].is_some()) | u32::from(operands.writes[1].is_some()) << 1;
        let (hinge, margin) = match self.rule {
            PairRule::Bpr => (0, 0.0f32),
            PairRule::Hinge { margin } => (1, margin),
        };
        let attributes = [self.rows as u32, self.n as u32, flags | hinge << 2, margin.to_bits()];
        vec![dispatch("pairwise", &attributes, &operands.reads, &operands.writes, self.rows).looping(2 * self.n + 2)]
    }
}
