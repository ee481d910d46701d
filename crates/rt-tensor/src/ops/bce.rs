//! Binary cross-entropy with logits, stable for any logit: `max(z, 0) - z y + ln(1 + exp(-|z|))`.

use super::{Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::BceWithLogits;

#[derive(Debug, Clone)]
pub(crate) struct BceOp {
    z: Var,
    weight: Var,
    labels: Option<Var>,
    ids: Option<Var>,
    dz: Var,
}

impl Tape {
    /// Records `weight_i * mean_j bce(z_ij, y_ij)` for each row of `z` `[n, k]`, `[n, 1]`. Without `labels` `[n, k]` column
    /// 0 is the positive and the others are negatives.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit.
    pub fn bce_with_logits(&mut self, z: Var, weight: Var, labels: Option<Var>) -> Result<Var> {
        self.bce(z, weight, labels, None)
    }

    /// [`Tape::bce_with_logits`] without labels, where `ids` `[n, k]` leave out negatives equal to the positive: the mean is
    /// over the positive and the negatives that are left.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit.
    pub fn bce_masked(&mut self, z: Var, weight: Var, ids: Var) -> Result<Var> {
        self.bce(z, weight, None, Some(ids))
    }

    fn bce(&mut self, z: Var, weight: Var, labels: Option<Var>, ids: Option<Var>) -> Result<Var> {
        let [rows, n] = self.shape(z);
        let (loss, dz) = (self.temp(rows, 1), self.temp(rows, n));
        let op = Op::Bce(BceOp { z, weight, labels, ids, dz });
        let kernel = BceWithLogits { rows, n };
        self.push(kernel, vec![Some(z), Some(weight), labels, ids], vec![Some(loss), Some(dz)], Some(op))?;
        Ok(loss)
    }
}

impl BceOp {
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, _: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let dz = tape.scaled("bce_with_logits", self.dz, out)?;
        grads.add(self.z, Grad::Dense(dz));
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let n = env.shape(self.z)[1];
        let weight = env.f(self.weight);
        let label = |i: usize, j: usize| match self.labels {
            Some(labels) => env.f(labels)[i * n + j],
            None => f64::from(u8::from(j == 0)),
        };
        let counts =
            |i: usize, j: usize| j == 0 || self.ids.is_none_or(|ids| env.u(ids)[i * n + j] != env.u(ids)[i * n]);
        let row = |(i, z): (usize, &[f64])| {
            let cell = |(j, z): (usize, &f64)| z.max(0.0) - z * label(i, j) + (-z.abs()).exp().ln_1p();
            let cells: Vec<f64> = z.iter().enumerate().filter(|(j, _)| counts(i, *j)).map(cell).collect();
            weight[i] * cells.iter().sum::<f64>() / cells.len() as f64
        };
        env.f(self.z).chunks(n).enumerate().map(row).collect()
    }
}
