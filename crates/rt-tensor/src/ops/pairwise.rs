//! Pairwise losses over a row's positive (column 0) and its own negatives: BPR and the hinge of triplets.

use super::{Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::{PairRule, Pairwise};

#[derive(Debug, Clone)]
pub(crate) struct PairwiseOp {
    z: Var,
    weight: Var,
    ids: Option<Var>,
    rule: PairRule,
    dz: Var,
}

impl Tape {
    /// Records `weight_i * mean_j rule(z_ij - z_i0)` over the negatives j >= 1 of each row of `z` `[n, 1 + k]`, `[n, 1]`:
    /// BPR (Rendle et al. 2009) or the hinge (Huang et al. 2020). `ids` `[n, 1 + k]` leave out negatives equal to the
    /// positive; the mean is over those that are left.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit.
    pub fn pairwise(&mut self, z: Var, weight: Var, ids: Option<Var>, rule: PairRule) -> Result<Var> {
        let [rows, n] = self.shape(z);
        let (loss, dz) = (self.temp(rows, 1), self.temp(rows, n));
        let op = Op::Pairwise(PairwiseOp { z, weight, ids, rule, dz });
        let kernel = Pairwise { rows, n, rule };
        self.push(kernel, vec![Some(z), Some(weight), ids], vec![Some(loss), Some(dz)], Some(op))?;
        Ok(loss)
    }
}

impl PairwiseOp {
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, _: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let dz = tape.scaled("pairwise", self.dz, out)?;
        grads.add(self.z, Grad::Dense(dz));
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let n = env.shape(self.z)[1];
        let weight = env.f(self.weight);
        let counts = |i: usize, j: usize| self.ids.is_none_or(|ids| env.u(ids)[i * n + j] != env.u(ids)[i * n]);
        let pair = |d: f64| match self.rule {
            PairRule::Bpr => d.max(0.0) + (-d.abs()).exp().ln_1p(),
            PairRule::Hinge { margin } => (f64::from(margin) + d).max(0.0),
        };
        let row = |(i, z): (usize, &[f64])| {
            let pairs: Vec<f64> = (1..n).filter(|j| counts(i, *j)).map(|j| pair(z[j] - z[0])).collect();
            weight[i] * pairs.iter().sum::<f64>() / pairs.len().max(1) as f64
        };
        env.f(self.z).chunks(n).enumerate().map(row).collect()
    }
}
