//! `y = exp(s) x` with one learned s: the learned temperature of CLIP (Radford et al. 2021), whose factor is
//! 1 / temperature = exp(s).

use super::{Needs, Op};
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Phase, Tape, Var};
use crate::{Error, Result};
use rt_kernels::kernels::{ClampTop, ColumnSum, GroupDot, ScaleByExp};

#[derive(Debug, Clone)]
pub(crate) struct ScaleByExpOp {
    x: Var,
    s: Var,
    y: Var,
}

impl Tape {
    /// Records `exp(s) x`: x `[n, cols]`, s `[1, 1]`.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit.
    pub fn scale_by_exp(&mut self, x: Var, s: Var) -> Result<Var> {
        let [rows, cols] = self.shape(x);
        let y = self.temp(rows, cols);
        let op = Op::ScaleByExp(ScaleByExpOp { x, s, y });
        self.push(ScaleByExp { rows, cols }, vec![Some(x), Some(s)], vec![Some(y)], Some(op))?;
        Ok(y)
    }

    /// Records, after [`Tape::optimize`], that a dense parameter stays at or below `most`.
    ///
    /// # Errors
    ///
    /// [`Error::NoGradient`] before `optimize`.
    pub fn clamp_top(&mut self, param: Var, most: f32) -> Result<()> {
        if self.phase != Some(Phase::Update) {
            return Err(Error::NoGradient("record `optimize` before `clamp_top`".into()));
        }
        let [rows, cols] = self.shape(param);
        self.push(ClampTop { rows, cols, most }, Vec::new(), vec![Some(param)], None)
    }
}

impl ScaleByExpOp {
    /// dx = exp(s) dy; ds = sum of dy exp(s) x = sum of dy y, rows first.
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, needs: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let dy = tape.grad_var(out, self.y)?;
        let [rows, cols] = tape.shape(self.x);
        if needs(self.x) {
            let dx = tape.temp(rows, cols);
            tape.push(ScaleByExp { rows, cols }, vec![Some(dy), Some(self.s)], vec![Some(dx)], None)?;
            grads.add(self.x, Grad::Dense(dx));
        }
        if needs(self.s) {
            let (along, ds) = (tape.temp(rows, 1), tape.temp(1, 1));
            let dot = GroupDot { rows, group: 1, dim: cols, scale: 1.0 };
            tape.push(dot, vec![Some(dy), Some(self.y)], vec![Some(along)], None)?;
            tape.push(ColumnSum { rows, cols: 1 }, vec![Some(along)], vec![Some(ds)], None)?;
            grads.add(self.s, Grad::Dense(ds));
        }
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let factor = env.f(self.s)[0].exp();
        env.f(self.x).iter().map(|x| factor * x).collect()
    }
}
