//! List-wise softmax over one positive (column 0) and the row's own negatives, as YoutubeDNN's class in the tutorial.

use super::{Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::ListSoftmax;

#[derive(Debug, Clone)]
pub(crate) struct ListSoftmaxOp {
    z: Var,
    weight: Var,
    ids: Option<Var>,
    logq: Option<Var>,
    correct_positive: bool,
    smoothing: f32,
    dz: Var,
}

impl Tape {
    /// Records `weight_i * (logsumexp_j z_ij - z_i0)` for each row of `z` `[n, 1 + k]`, `[n, 1]`. `ids` `[n, 1 + k]` mask
    /// negatives equal to the positive; `logq` `[n, 1 + k]` is taken off the negatives, and off the positive too with
    /// `correct_positive`; `smoothing` (0 to 1) spreads that share of the target over all candidates of a row.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit, or the smoothing is not in 0 to 1.
    pub fn list_softmax(
        &mut self,
        z: Var,
        weight: Var,
        ids: Option<Var>,
        logq: Option<Var>,
        correct_positive: bool,
        smoothing: f32,
    ) -> Result<Var> {
        super::check_smoothing("list_softmax", smoothing)?;
        let [rows, n] = self.shape(z);
        let (loss, dz) = (self.temp(rows, 1), self.temp(rows, n));
        let kernel = ListSoftmax { rows, n, mask_hits: ids.is_some(), correct_positive, smoothing };
        let op = Op::ListSoftmax(ListSoftmaxOp { z, weight, ids, logq, correct_positive, smoothing, dz });
        self.push(kernel, vec![Some(z), Some(weight), ids, logq], vec![Some(loss), Some(dz)], Some(op))?;
        Ok(loss)
    }
}

impl ListSoftmaxOp {
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, _: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let dz = tape.scaled("list_softmax", self.dz, out)?;
        grads.add(self.z, Grad::Dense(dz));
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let [rows, n] = env.shape(self.z);
        let (z, weight) = (env.f(self.z), env.f(self.weight));
        let mut out = Vec::with_capacity(rows);
        for i in 0..rows {
            let hit = |j: usize| self.ids.is_some_and(|ids| j > 0 && env.u(ids)[i * n + j] == env.u(ids)[i * n]);
            let logit = |j: usize| {
                let corrected = j > 0 || self.correct_positive;
                z[i * n + j] - self.logq.filter(|_| corrected).map_or(0.0, |q| env.f(q)[i * n + j])
            };
            let kept: Vec<f64> = (0..n).filter(|j| !hit(*j)).map(logit).collect();
            let max = kept.iter().copied().fold(f64::MIN, f64::max);
            let lse = max + kept.iter().map(|z| (z - max).exp()).sum::<f64>().ln();
            let e = f64::from(self.smoothing);
            let mean = kept.iter().sum::<f64>() / kept.len() as f64;
            out.push(weight[i] * (lse - (1.0 - e) * logit(0) - e * mean));
        }
        out
    }
}
