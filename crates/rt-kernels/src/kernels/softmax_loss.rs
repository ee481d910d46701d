//! Softmax cross-entropy of user vectors against candidates, with its gradients.

mod cpu;
mod gpu;
mod products;

use super::fit;
use crate::{Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot, Target, Variant};

/// Which candidate is a row's positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positive {
    /// Row i's is candidate i; there may be more candidates than rows.
    Diagonal,
    /// Row i's is candidate `label[i]`.
    Label,
    /// Row i's is a vector of its own; all candidates are negatives.
    Own,
}

/// `loss_i = weight_i * (logsumexp_j z_ij - z_i,pos)` with `z_ij = scale * u_i . v_j - logq_j`, and its gradients, in tiles:
/// nothing of size rows x candidates is stored but, on the CPU, panels of bounded size.
///
/// With `smoothing` e the target is no longer the positive alone but (1 - e) on it plus e spread evenly over the M_i candidates
/// that are not left out, the positive among them: `loss_i = weight_i * (logsumexp_j z_ij - (1 - e) z_i,pos - e mean_j z_ij)`
/// (label smoothing, Szegedy et al. 2016).
///
/// Reads u `[rows, dim]`, v `[candidates, dim]`, weight `[rows, 1]`, logq `[candidates, 1]` or none, candidate_ids `[candidates,
/// 1]` u32 and target_ids `[rows, 1]` u32 (both for `mask_hits`), label `[rows, 1]` u32 (for [`Positive::Label`]), own `[rows,
/// dim]` and own_logq `[rows, 1]` (for [`Positive::Own`]), and mask `[rows, ceil(candidates / 32)]` u32, bit j % 32 of word j / 32
/// set where row i leaves candidate j out (the positive stays whatever its bit says), or none. Writes loss `[rows, 1]`, and, of those that are given, du, dv and
/// down: the gradients of the sum of all losses for u, v and own.
///
/// Order: scale, then logQ, then masks. The positive's logit is corrected only with `correct_positive`. A candidate has
/// probability exactly 0 where its logq is 1e29 or more (padding), or, with `mask_hits`, where it has the target's id and is
/// not the positive; the positive is never masked. A row whose label is past the candidates has weight 0. Sources: Bengio and Senecal 2008, Yi et al. 2019.
///
/// `6 rows candidates dim` operations on the CPU (logits are kept in a panel), 8 on the GPU (made again in backward).
#[derive(Debug, Clone, PartialEq)]
pub struct SoftmaxLoss {
    /// Rows.
    pub rows: usize,
    /// Candidates.
    pub candidates: usize,
    /// Width of the vectors.
    pub dim: usize,
    /// 1 / temperature.
    pub scale: f32,
    /// The positive.
    pub positive: Positive,
    /// Is logQ taken off the positive's logit too?
    pub correct_positive: bool,
    /// Are candidates with the target's id masked?
    pub mask_hits: bool,
    /// Share of the target that is spread evenly over the candidates, 0 to 1.
    pub smoothing: f32,
}

/// From here on a logq means that the candidate is left out.
const LEFT_OUT: f32 = 1e29;

impl Kernel for SoftmaxLoss {
    fn name(&self) -> &'static str {
        "softmax_loss"
    }

    fn signature(&self) -> Signature {
        let (rows, candidates, dim) = (self.rows, self.candidates, self.dim);
        let needed = |slot: Slot, needed: bool| if needed { slot } else { slot.optional() };
        Signature {
            reads: vec![
                Slot::f32("u", rows, dim),
                Slot::f32("v", candidates, dim),
                Slot::f32("weight", rows, 1),
                Slot::f32("logq", candidates, 1).optional(),
                needed(Slot::u32("candidate_ids", candidates, 1), self.mask_hits),
                needed(Slot::u32("target_ids", rows, 1), self.mask_hits),
                needed(Slot::u32("label", rows, 1), self.positive == Positive::Label),
                needed(Slot::f32("own", rows, dim), self.positive == Positive::Own),
                Slot::f32("own_logq", rows, 1).optional(),
                Slot::u32("mask", rows, candidates.div_ceil(32)).optional(),
            ],
            writes: vec![
                Slot::f32("loss", rows, 1),
                Slot::f32("du", rows, dim).optional(),
                Slot::f32("dv", candidates, dim).optional(),
                Slot::f32("down", rows, dim).optional(),
            ],
        }
    }

    fn mismatch(&self, _: &Operands) -> Option<String> {
        match self.positive {
            Positive::Diagonal => fit::diagonal(self.rows, self.candidates),
            Positive::Label => fit::diagonal(self.rows.min(1), self.candidates),
            Positive::Own => None,
        }
    }

    fn cost(&self) -> Cost {
        let (rows, candidates, dim) = (self.rows as f64, self.candidates as f64, self.dim as f64);
        Cost {
            bytes: 4.0 * (2.0 * (rows + candidates) * dim + 2.0 * candidates + 4.0 * rows),
            flops: rows * candidates * (6.0 * dim + 8.0),
        }
    }

    fn scratch(&self, target: Target) -> Vec<usize> {
        match target {
            Target::Cpu => self.cpu_scratch(),
            Target::Gpu => self.gpu_scratch(),
        }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        self.run_cpu(io);
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::softmax_loss(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        self.gpu_dispatches(operands, Variant::Portable)
    }

    fn variants(&self) -> Vec<Variant> {
        self.gpu_variants()
    }

    fn dispatches_as(&self, operands: &Operands, variant: Variant) -> Vec<Dispatch> {
        self.gpu_dispatches(operands, variant)
    }
}
