//! GELU (Hendrycks, Gimpel 2016), tanh form: `y = x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`.

use super::{Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::{Gelu, GeluBackward};

#[derive(Debug, Clone)]
pub(crate) struct GeluOp {
    x: Var,
    y: Var,
}

impl Tape {
    /// Records GELU of `x`, of the shape of `x`.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] if `x` holds no floats.
    pub fn gelu(&mut self, x: Var) -> Result<Var> {
        let [rows, cols] = self.shape(x);
        let y = self.temp(rows, cols);
        let op = Op::Gelu(GeluOp { x, y });
        self.push(Gelu { rows, cols }, vec![Some(x)], vec![Some(y)], Some(op))?;
        Ok(y)
    }
}

impl GeluOp {
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, _: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let dy = tape.grad_var(out, self.y)?;
        let [rows, cols] = tape.shape(self.x);
        let dx = tape.temp(rows, cols);
        tape.push(GeluBackward { rows, cols }, vec![Some(self.x), Some(dy)], vec![Some(dx)], None)?;
        grads.add(self.x, Grad::Dense(dx));
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let cell =
            |x: &f64| x / 2.0 * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh());
        env.f(self.x).iter().map(cell).collect()
    }
}
