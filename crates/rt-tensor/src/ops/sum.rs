//! `out = sum of the rows of x`, a scalar.

use super::{Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Kind, Tape, Var};
use rt_kernels::Dtype;
use rt_kernels::kernels::Sum;

#[derive(Debug, Clone)]
pub(crate) struct SumOp {
    x: Var,
}

impl Tape {
    /// Records the sum of `x` `[n, 1]`, as `[1, 1]`.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] if `x` is no column.
    pub fn sum(&mut self, x: Var) -> Result<Var> {
        let [rows, _] = self.shape(x);
        let out = self.temp(1, 1);
        self.push(Sum { rows, ring: 1 }, vec![Some(x)], vec![Some(out)], Some(Op::Sum(SumOp { x })))?;
        Ok(out)
    }

    /// Keeps the sum of `x` `[n, 1]` of the last `ring` steps: that of step t stands at row `t % ring` of the output
    /// called `name`. It stays on the device until it is read, so that a step waits for nothing.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] if `x` is no column.
    pub fn log_sum(&mut self, name: &str, x: Var, ring: usize) -> Result<()> {
        let [rows, _] = self.shape(x);
        let out = self.value([ring, 1], Dtype::F32, Kind::State { name: name.into() });
        self.push(Sum { rows, ring }, vec![Some(x)], vec![Some(out)], None)?;
        self.output(name, out);
        Ok(())
    }
}

impl SumOp {
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, _: Needs<'_>, grads: &mut Grads) -> Result<()> {
        match out {
            Grad::Fill(_) => grads.add(self.x, out),
            Grad::Dense(_) => {
                // The gradient of a scalar is a value only where the scalar went through further ops.
                return Err(crate::Error::NoGradient(format!(
                    "a sum's gradient must be a number known when recorded; scale its rows (value {}) instead",
                    self.x.0
                )));
            }
        }
        let _ = tape;
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        vec![env.f(self.x).iter().sum()]
    }
}
