//! A value that counts as a constant to backward: nothing runs.

use super::{Case, Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::params::Init;
use crate::reference::Env;
use crate::tape::{Kind, Tape, Var};
use rt_kernels::Dtype;

#[derive(Debug, Clone)]
pub(crate) struct StopGradientOp {
    x: Var,
}

impl Tape {
    /// The same value, which counts as a constant to [`Tape::backward`]: nothing runs. Ids and other integers count as constants
    /// anyway.
    pub fn stop_gradient(&mut self, v: Var) -> Var {
        if self.dtype(v) == Dtype::U32 {
            return v;
        }
        let (shape, kind) = (self.shape(v), Kind::View { of: v, row: 0, col: 0 });
        let y = self.value(shape, Dtype::F32, kind);
        self.push_in_place(&[v], y, Op::StopGradient(StopGradientOp { x: v }));
        y
    }
}

impl StopGradientOp {
    /// There is none: [`Tape::backward`] takes what this writes for a constant.
    pub(super) fn backward(&self, _: &mut Tape, _: Grad, _: Needs<'_>, _: &mut Grads) -> Result<()> {
        Ok(())
    }

    /// The value itself; the checker holds it at what the device made of it.
    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        env.f(self.x).to_vec()
    }
}

/// What the gradient checker records.
pub(super) fn cases(seed: u64) -> Vec<Case> {
    vec![Case::new("a factor of its own value", move |t| {
        let x = t.param("x", [7, 5], Init::Normal(0.7))?;
        let x = t.gelu(x)?;
        let factor = t.stop_gradient(x);
        let y = t.weigh(x, factor)?;
        super::weighted(t, y, seed)
    })]
}
