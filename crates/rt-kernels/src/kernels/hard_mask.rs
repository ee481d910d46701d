//! Which candidates are not among a row's hardest.

use super::fit;
use super::{Activation, Gemm, Positive};
use crate::kernels::cells::places;
use crate::matmul::{Tile, View, multiply};
use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, Mat, Operand, Operands, Signature, Slot, Target, Variant};

/// Bits of the candidates that a row leaves out so that of its negatives the `count` from rank `from` on stay: rank 1 is the
/// largest logit, ties go to the lower index, NaN ranks before all numbers, so that the loss sees it, and only candidates that
/// logq (1e29 and more is left out), `mask_hits` and the given mask leave are ranked. The bit of the positive is 0. `count` with `from` 1 is `num_hard_negatives` of TensorFlow
/// Recommenders; a later `from` is the semi-hard choice by rank of Huang et al. 2020 (101 to 500).
///
/// Reads u `[rows, dim]`, v `[candidates, dim]`, logq `[candidates, 1]` or none, candidate_ids `[candidates, 1]` u32 and target_ids
/// `[rows, 1]` u32 (both for `mask_hits`), label `[rows, 1]` u32 (for [`Positive::Label`]) and mask `[rows, ceil(candidates /
/// 32)]` u32 or none, as [`super::SoftmaxLoss`]; writes such a mask, bits past the last candidate set. The logits are those of the
/// loss, `scale u . v - logq`. `2 rows candidates dim` operations; logits are kept for a tile of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct HardMask {
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
    /// Are candidates with the target's id left out before?
    pub mask_hits: bool,
    /// First rank that stays, from 1.
    pub from: usize,
    /// Negatives that stay.
    pub count: usize,
    /// Logits that a GPU keeps at a time, in words; rows are taken in tiles of so many.
    pub tile: usize,
}

/// Words of the logits that are kept at a time on a GPU by default: 64 MiB.
pub const HARD_MASK_TILE: usize = 1 << 24;
/// Logits that a thread keeps at a time.
const PANEL: usize = 1 << 18;

impl HardMask {
    /// Rows whose logits are kept at a time on a GPU.
    fn tile(&self) -> usize {
        (self.tile / self.candidates.max(1)).clamp(1, self.rows.max(1))
    }

    fn product(&self, rows: usize) -> Gemm {
        let (n, k) = (self.candidates, self.dim);
        Gemm { m: rows, n, k, trans_a: false, trans_b: true, activation: Activation::None }
    }

    /// First rank that stays and first that does not, from 0.
    fn ranks(&self) -> (usize, usize) {
        let skipped = self.from.saturating_sub(1);
        (skipped, skipped.saturating_add(self.count))
    }
}

/// What tells whether a candidate is ranked.
pub(crate) struct Ranked<'a> {
    kernel: &'a HardMask,
    logq: Option<Mat<'a>>,
    ids: Option<Mat<'a>>,
    targets: Option<Mat<'a>>,
    label: Option<Mat<'a>>,
    mask: Option<Mat<'a>>,
}

impl<'a> Ranked<'a> {
    pub(crate) fn new(kernel: &'a HardMask, io: &CpuIo<'a>) -> Self {
        let [logq, ids, targets, label, mask] = [2, 3, 4, 5, 6].map(|i| io.read_opt(i));
        Self { kernel, logq, ids, targets, label, mask }
    }

    /// None of a label past the candidates, as in the loss: of such a row all are negatives.
    pub(crate) fn positive(&self, i: usize) -> Option<usize> {
        match self.kernel.positive {
            Positive::Diagonal => Some(i),
            Positive::Label => self.label.map(|m| m.id(i) as usize).filter(|j| *j < self.kernel.candidates),
            Positive::Own => None,
        }
    }

    /// The logit of candidate j in row i from their scaled product; none where it is left out or the positive.
    pub(crate) fn logit(&self, i: usize, j: usize, product: f32) -> Option<f32> {
        let q = self.logq.map_or(0.0, |m| m.row(j)[0]);
        let hit = match (self.kernel.mask_hits, self.ids, self.targets) {
            (true, Some(ids), Some(targets)) => ids.id(j) == targets.id(i),
            _ => false,
        };
        let masked = self.mask.is_some_and(|m| m.row_u32(i)[j / 32] >> (j % 32) & 1 != 0);
        let z = product - q;
        // Minus zero ranks as zero.
        let z = if z == 0.0 { 0.0 } else { z };
        (q < 1e29 && !hit && !masked && self.positive(i) != Some(j)).then_some(z)
    }
}

/// A logit as an integer of the same order. NaN is the hardest of all: to leave it out would hide it from the loss.
pub(crate) fn hardness(z: f32) -> u32 {
    let bits = z.to_bits();
    match bits >> 31 {
        _ if z.is_nan() => u32::MAX,
        0 => bits | 1 << 31,
        _ => !bits,
    }
}

impl Kernel for HardMask {
    fn name(&self) -> &'static str {
        "hard_mask"
    }

    fn signature(&self) -> Signature {
        let (rows, candidates) = (self.rows, self.candidates);
        let needed = |slot: Slot, needed: bool| if needed { slot } else { slot.optional() };
        let bits = |name| Slot::u32(name, rows, candidates.div_ceil(32));
        Signature {
            reads: vec![
                Slot::f32("u", rows, self.dim),
                Slot::f32("v", candidates, self.dim),
                Slot::f32("logq", candidates, 1).optional(),
                needed(Slot::u32("candidate_ids", candidates, 1), self.mask_hits),
                needed(Slot::u32("target_ids", rows, 1), self.mask_hits),
                needed(Slot::u32("label", rows, 1), self.positive == Positive::Label),
                bits("mask").optional(),
            ],
            writes: vec![bits("hard")],
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
            bytes: 4.0 * ((rows + candidates) * dim + rows * candidates / 32.0),
            // The product, and the passes of the selection over each row's logits.
            flops: 2.0 * rows * candidates * (dim + 32.0),
        }
    }

    fn scratch(&self, target: Target) -> Vec<usize> {
        match target {
            Target::Cpu => Vec::new(),
            Target::Gpu => {
                let mut words = vec![self.tile().saturating_mul(self.candidates)];
                words.extend(self.product(self.tile()).scratch(target));
                let rest = self.rows % self.tile();
                if rest > 0 {
                    let of_rest = self.product(rest).scratch(target);
                    words.resize(words.len().max(1 + of_rest.len()), 0);
                    words[1..].iter_mut().zip(of_rest).for_each(|(all, of)| *all = (*all).max(of));
                }
                words
            }
        }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (u, v, ranked) = (View::from(io.read(0)), View::from(io.read(1)), Ranked::new(self, io));
        let (skipped, end) = self.ranks();
        // No power of two between rows: they would meet in the same lines of the cache.
        let stride = self.candidates.next_multiple_of(16) + 16;
        io.write(0).par_blocks((PANEL / stride).clamp(1, 64), |first, mut hard| {
            let mut panel = vec![0.0f32; hard.rows * stride];
            let mut logits = Tile::new(&mut panel, hard.rows, self.candidates, stride);
            multiply(&mut logits, u.rows(first, hard.rows), v.transposed(), self.scale, false);
            // Larger is harder: the logit's order, then the lower index.
            let mut keys: Vec<u64> = Vec::with_capacity(self.candidates);
            for (r, z) in panel.chunks(stride).enumerate() {
                let key = |(j, z): (usize, &f32)| {
                    let z = ranked.logit(first + r, j, *z)?;
                    Some(u64::from(hardness(z)) << 32 | u64::from(u32::MAX - j as u32))
                };
                keys.clear();
                keys.extend(z[..self.candidates].iter().enumerate().filter_map(key));
                let down = |a: &u64, b: &u64| b.cmp(a);
                if end < keys.len() {
                    keys.select_nth_unstable_by(end, down);
                    keys.truncate(end);
                }
                if skipped > 0 && skipped < keys.len() {
                    keys.select_nth_unstable_by(skipped - 1, down);
                }
                let bits = hard.row_u32(r);
                bits.fill(u32::MAX);
                let kept = keys.iter().skip(skipped).map(|key| u32::MAX as usize - *key as u32 as usize);
                for j in kept.chain(ranked.positive(first + r)) {
                    bits[j / 32] &= !(1 << (j % 32));
                }
            }
        });
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::hard_mask(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        self.dispatches_as(operands, Variant::Portable)
    }

    fn variants(&self) -> Vec<Variant> {
        let whole = self.product(self.tile()).variants();
        match self.rows % self.tile() {
            0 => whole,
            rest => whole.into_iter().filter(|v| self.product(rest).variants().contains(v)).collect(),
        }
    }

    fn dispatches_as(&self, operands: &Operands, variant: Variant) -> Vec<Dispatch> {
        let [u, v, logq, ids, targets, label, mask] = [0, 1, 2, 3, 4, 5, 6].map(|i| operands.reads[i]);
        let out = operands.write(0);
        let masked = self.mask_hits && ids.is_some() && targets.is_some();
        let (ids, targets) = if masked { (ids, targets) } else { (None, None) };
        let flags = u32::from(logq.is_some()) | u32::from(masked) << 1 | u32::from(mask.is_some()) << 2;
        let kind = match self.positive {
            Positive::Diagonal => 0.0,
            Positive::Label => 1.0,
            Positive::Own => 2.0,
        };
        let most = |x: usize| u32::try_from(x).unwrap_or(u32::MAX);
        let (skipped, end) = self.ranks();
        let keys = self.candidates.div_ceil(256);
        let mut list = Vec::new();
        for first in (0..self.rows).step_by(self.tile()) {
            let rows = self.tile().min(self.rows - first);
            let scores = Operand::dense(operands.scratch[0].buffer, rows, self.candidates);
            let part = u.map(|u| Operand { offset: u.offset + first * u.stride, rows, ..u });
            let product = Operands {
                reads: vec![part, v, None, None],
                writes: vec![Some(scores)],
                scratch: operands.scratch[1..].to_vec(),
            };
            list.extend(self.product(rows).dispatches_as(&product, variant));
            let sizes = [rows as u32, self.candidates as u32, first as u32, self.scale.to_bits(), flags];
            let reads = [logq, ids, targets, label, mask];
            let mut bindings = vec![Binding::Read(scores.buffer)];
            bindings.extend(reads.map(Binding::read));
            bindings.push(Binding::Write(out.buffer));
            let mut params = sizes.to_vec();
            params.extend([most(skipped), most(end)]);
            params.extend(places(&reads));
            params.extend(places(&[Some(out)]));
            list.push(Dispatch {
                shader: "hard_mask",
                constants: vec![("POSITIVE", kind)],
                params,
                step: false,
                bindings,
                workgroups: rows,
                iterations: 2 * (2 + 4 * (2 + keys + 257)) + keys * 10 + 8,
            });
        }
        list
    }
}
