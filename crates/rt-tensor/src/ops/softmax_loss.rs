//! Softmax cross-entropy of user vectors against candidates: in the batch, sampled and shared, or the whole catalogue.
//!
//! Order: scale (1 / temperature), then logQ, then masks. The kernel makes loss and gradients together, in tiles; nothing
//! of size rows x candidates is ever stored on a GPU, and panels of bounded size on the CPU. logQ: Bengio and Senecal
//! 2008, Yi et al. 2019 (sampling-bias-corrected neural modeling).

use super::{Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::{Positive, SoftmaxLoss};

/// Which candidate is a row's positive.
#[derive(Debug, Clone, Copy)]
pub enum PositiveVar {
    /// Row i's is candidate i: in-batch negatives, with further candidates after them or none.
    Diagonal,
    /// Row i's is candidate `label[i]`, `[n, 1]`: the whole catalogue.
    Label(Var),
    /// Row i's is a vector of its own, row i of `[n, dim]`; all candidates are negatives shared by the batch.
    Own {
        /// The positives' vectors.
        vectors: Var,
        /// ln q of the positives, for `correct_positive`.
        logq: Option<Var>,
    },
}

/// The candidates and what is known of them.
#[derive(Debug, Clone, Copy)]
pub struct Negatives {
    /// Vectors `[candidates, dim]`.
    pub vectors: Var,
    /// ln of how often each is expected among the negatives, `[candidates, 1]`, taken off its logit; 1e30 leaves a
    /// candidate out (padding).
    pub logq: Option<Var>,
    /// Ids `[candidates, 1]`, for the mask of accidental hits.
    pub ids: Option<Var>,
}

/// A softmax loss.
#[derive(Debug, Clone, Copy)]
pub struct SoftmaxSpec {
    /// User vectors `[n, dim]`.
    pub users: Var,
    /// Weight of each row's loss `[n, 1]`: 1 / n for a mean, 0 for padding.
    pub weight: Var,
    /// The candidates.
    pub candidates: Negatives,
    /// The positive of each row.
    pub positive: PositiveVar,
    /// Ids of the rows' targets `[n, 1]`: candidates with the same id, but for the positive, are masked.
    pub mask_hits: Option<Var>,
    /// 1 / temperature.
    pub scale: f32,
    /// Is logQ taken off the positive's logit too? (`logq = "all"`.)
    pub correct_positive: bool,
    /// Share of the target that is spread evenly over the candidates that are not left out, 0 to 1 (label smoothing).
    pub smoothing: f32,
    /// Bits of candidates that a row leaves out `[n, ceil(candidates / 32)]`, u32; never the positive.
    pub mask: Option<Var>,
}

#[derive(Debug, Clone)]
pub(crate) struct SoftmaxLossOp {
    spec: SoftmaxSpec,
    du: Var,
    dv: Var,
    d_own: Option<Var>,
}

impl Tape {
    /// Records `weight_i * (logsumexp_j z_ij - (1 - e) z_i,positive - e mean_j z_ij)` for each row, with the smoothing e, `[n, 1]`:
    /// sum it for the loss.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit, or the smoothing is not in 0 to 1.
    pub fn softmax_loss(&mut self, spec: &SoftmaxSpec) -> Result<Var> {
        let ([rows, dim], [candidates, _]) = (self.shape(spec.users), self.shape(spec.candidates.vectors));
        let (positive, label, own, own_logq) = match spec.positive {
            PositiveVar::Diagonal if rows > candidates => {
                let what = format!("the diagonal of {rows} rows and {candidates} candidates: each row needs its own");
                return Err(crate::error::shape("softmax_loss", what));
            }
            PositiveVar::Diagonal => (Positive::Diagonal, None, None, None),
            PositiveVar::Label(label) => {
                let label = self.ids_below("softmax_loss", "labels", label, candidates, u32::MAX)?;
                (Positive::Label, Some(label), None, None)
            }
            PositiveVar::Own { vectors, logq } => (Positive::Own, None, Some(vectors), logq),
        };
        if spec.mask_hits.is_some() && spec.candidates.ids.is_none() {
            return Err(crate::error::shape("softmax_loss", "masking accidental hits needs the candidates' ids"));
        }
        super::check_smoothing("softmax_loss", spec.smoothing)?;
        let kernel = SoftmaxLoss {
            rows,
            candidates,
            dim,
            scale: spec.scale,
            positive,
            correct_positive: spec.correct_positive,
            mask_hits: spec.mask_hits.is_some(),
            smoothing: spec.smoothing,
        };
        let ids = spec.candidates.ids.filter(|_| spec.mask_hits.is_some());
        let loss = self.temp(rows, 1);
        let (du, dv) = (self.temp(rows, dim), self.temp(candidates, dim));
        let d_own = own.map(|_| self.temp(rows, dim));
        let reads = vec![
            Some(spec.users),
            Some(spec.candidates.vectors),
            Some(spec.weight),
            spec.candidates.logq,
            ids,
            spec.mask_hits,
            label,
            own,
            own_logq,
            spec.mask,
        ];
        let op = Op::SoftmaxLoss(SoftmaxLossOp { spec: *spec, du, dv, d_own });
        self.push(kernel, reads, vec![Some(loss), Some(du), Some(dv), d_own], Some(op))?;
        Ok(loss)
    }
}

impl SoftmaxLossOp {
    /// The kernel made the gradients with the loss; outputs that nobody reads are not computed.
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, needs: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let own = match self.spec.positive {
            PositiveVar::Own { vectors, .. } => Some(vectors),
            PositiveVar::Diagonal | PositiveVar::Label(_) => None,
        };
        let made = [
            (Some(self.spec.users), Some(self.du)),
            (Some(self.spec.candidates.vectors), Some(self.dv)),
            (own, self.d_own),
        ];
        for (v, grad) in made {
            if let (Some(v), Some(grad)) = (v, grad)
                && needs(v)
            {
                let grad = tape.scaled("softmax_loss", grad, out)?;
                grads.add(v, Grad::Dense(grad));
            }
        }
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let s = &self.spec;
        let ([rows, dim], [candidates, _]) = (env.shape(s.users), env.shape(s.candidates.vectors));
        let (u, v, weight) = (env.f(s.users), env.f(s.candidates.vectors), env.f(s.weight));
        let scale = f64::from(s.scale);
        let dot =
            |i: usize, b: &[f64], j: usize| scale * (0..dim).map(|c| u[i * dim + c] * b[j * dim + c]).sum::<f64>();
        // Looked up once: there are rows x candidates of these.
        let logq = s.candidates.logq.map(|q| env.f(q));
        let logq = |j: usize| logq.map_or(0.0, |q| q[j]);
        let hits = s.mask_hits.zip(s.candidates.ids).map(|(targets, ids)| (env.u(targets), env.u(ids)));
        let (mask, words) = (s.mask.map(|m| env.u(m)), candidates.div_ceil(32));
        let mut out = Vec::with_capacity(rows);
        for i in 0..rows {
            let (positive, mut z_positive) = match s.positive {
                PositiveVar::Diagonal => (Some(i), dot(i, v, i)),
                PositiveVar::Label(l) => (Some(env.u(l)[i] as usize), dot(i, v, env.u(l)[i] as usize)),
                PositiveVar::Own { vectors, .. } => (None, dot(i, env.f(vectors), i)),
            };
            if s.correct_positive {
                z_positive -= match (positive, s.positive) {
                    (Some(j), _) if logq(j) < 1e29 => logq(j),
                    (None, PositiveVar::Own { logq: Some(q), .. }) => env.f(q)[i],
                    _ => 0.0,
                };
            }
            let mut z = vec![z_positive];
            for j in (0..candidates).filter(|j| Some(*j) != positive && logq(*j) < 1e29) {
                let hit = hits.is_some_and(|(targets, ids)| targets[i] == ids[j]);
                let masked = mask.is_some_and(|m| m[i * words + j / 32] >> (j % 32) & 1 != 0);
                if !hit && !masked {
                    z.push(dot(i, v, j) - logq(j));
                }
            }
            let max = z.iter().copied().fold(f64::MIN, f64::max);
            let lse = max + z.iter().map(|z| (z - max).exp()).sum::<f64>().ln();
            let e = f64::from(s.smoothing);
            let mean = z.iter().sum::<f64>() / z.len() as f64;
            out.push(weight[i] * (lse - (1.0 - e) * z_positive - e * mean));
        }
        out
    }
}
