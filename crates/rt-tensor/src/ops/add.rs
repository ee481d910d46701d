//! `out = a + b`, shapes equal.

use super::{Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::Add;

#[derive(Debug, Clone)]
pub(crate) struct AddOp {
    a: Var,
    b: Var,
}

impl Tape {
    /// Records `a + b`.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] if the shapes differ.
    pub fn add(&mut self, a: Var, b: Var) -> Result<Var> {
        let [rows, cols] = self.shape(a);
        let out = self.temp(rows, cols);
        let op = Op::Add(AddOp { a, b });
        self.push(Add { rows, cols }, vec![Some(a), Some(b)], vec![Some(out)], Some(op))?;
        Ok(out)
    }
}

impl AddOp {
    /// The gradient goes to both as it is.
    pub(super) fn backward(&self, _: &mut Tape, out: Grad, needs: Needs<'_>, grads: &mut Grads) -> Result<()> {
        for v in [self.a, self.b] {
            if needs(v) {
                grads.add(v, out);
            }
        }
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        env.f(self.a).iter().zip(env.f(self.b)).map(|(a, b)| a + b).collect()
    }
}
