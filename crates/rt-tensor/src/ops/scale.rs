//! `out = factor * x`.

use super::{Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::Scale;

#[derive(Debug, Clone)]
pub(crate) struct ScaleOp {
    x: Var,
    factor: f32,
}

impl Tape {
    /// Records `factor * x`.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] if `x` holds no floats.
    pub fn scale(&mut self, x: Var, factor: f32) -> Result<Var> {
        let [rows, cols] = self.shape(x);
        let out = self.temp(rows, cols);
        let op = Op::Scale(ScaleOp { x, factor });
        self.push(Scale { rows, cols, factor }, vec![Some(x)], vec![Some(out)], Some(op))?;
        Ok(out)
    }
}

impl ScaleOp {
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, _: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let dx = match out {
            Grad::Fill(upstream) => Grad::Fill(upstream * self.factor),
            Grad::Dense(dy) => {
                let [rows, cols] = tape.shape(dy);
                let dx = tape.temp(rows, cols);
                let kernel = Scale { rows, cols, factor: self.factor };
                tape.push(kernel, vec![Some(dy)], vec![Some(dx)], None)?;
                Grad::Dense(dx)
            }
        };
        grads.add(self.x, dx);
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        env.f(self.x).iter().map(|x| f64::from(self.factor) * x).collect()
    }
}
