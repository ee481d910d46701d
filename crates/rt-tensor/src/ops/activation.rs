//! Element-wise activation: `y = f(x)`.

use super::{Needs, Op};
use crate::Result;
use crate::fuse::Fusible;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::{Activation, ActivationBackward, ActivationForward};

#[derive(Debug, Clone)]
pub(crate) struct ActivationOp {
    x: Var,
    y: Var,
    activation: Activation,
}

impl Tape {
    /// Records `activation(x)`, of the shape of `x`.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] if `x` holds no floats.
    pub fn activation(&mut self, x: Var, activation: Activation) -> Result<Var> {
        let [rows, cols] = self.shape(x);
        let y = self.temp(rows, cols);
        let op = Op::Activation(ActivationOp { x, y, activation });
        self.push(ActivationForward { rows, cols, activation }, vec![Some(x)], vec![Some(y)], Some(op))?;
        Ok(y)
    }
}

/// dx = dy f'(x), where f' follows from y = f(x). Shared with the fused activation of a linear layer. [`Tape::fuse`] makes one
/// node of this one and of a dropout's that made dy.
pub(super) fn backward(tape: &mut Tape, y: Var, dy: Var, activation: Activation) -> Result<Var> {
    if activation == Activation::None {
        return Ok(dy);
    }
    let [rows, cols] = tape.shape(y);
    let dx = tape.temp(rows, cols);
    tape.push(ActivationBackward { rows, cols, activation }, vec![Some(y), Some(dy)], vec![Some(dx)], None)?;
    tape.mark(Fusible::Slope(activation));
    Ok(dx)
}

/// The activation in f64.
pub(super) fn reference(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::None => x,
        Activation::Relu if x < 0.0 => 0.0,
        Activation::Relu => x,
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
    }
}

impl ActivationOp {
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, _: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let dy = tape.grad_var(out, self.y)?;
        let dx = backward(tape, self.y, dy, self.activation)?;
        grads.add(self.x, Grad::Dense(dx));
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        env.f(self.x).iter().map(|x| reference(self.activation, *x)).collect()
    }
}
