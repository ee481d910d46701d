//! Products by cell: `out = weight * factor`.

use super::{Case, Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::params::Init;
use crate::reference::Env;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::{Mul, Scale};

#[derive(Debug, Clone)]
pub(crate) struct WeighOp {
    weight: Var,
    factor: Var,
}

impl Tape {
    /// Records the product, cell by cell, of two values of one shape, such as weights of rows.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes differ.
    pub fn weigh(&mut self, weight: Var, factor: Var) -> Result<Var> {
        let [rows, cols] = self.shape(weight);
        let out = self.temp(rows, cols);
        let op = Op::Weigh(WeighOp { weight, factor });
        self.push(Mul { rows, cols }, vec![Some(weight), Some(factor)], vec![Some(out)], Some(op))?;
        Ok(out)
    }
}

impl WeighOp {
    /// d weight = d out * factor, and the other way round.
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, needs: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let [rows, cols] = tape.shape(self.weight);
        for (v, other) in [(self.weight, self.factor), (self.factor, self.weight)] {
            if !needs(v) {
                continue;
            }
            let dv = tape.temp(rows, cols);
            match out {
                Grad::Fill(factor) => {
                    tape.push(Scale { rows, cols, factor }, vec![Some(other)], vec![Some(dv)], None)?;
                }
                Grad::Dense(dy) => {
                    tape.push(Mul { rows, cols }, vec![Some(dy), Some(other)], vec![Some(dv)], None)?;
                }
            }
            grads.add(v, Grad::Dense(dv));
        }
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        env.f(self.weight).iter().zip(env.f(self.factor)).map(|(w, f)| w * f).collect()
    }
}

/// What the gradient checker records.
pub(super) fn cases(seed: u64) -> Vec<Case> {
    vec![
        Case::new("two parameters", move |t| {
            let (a, b) = (t.param("a", [7, 5], Init::Normal(0.7))?, t.param("b", [7, 5], Init::Normal(0.7))?);
            let y = t.weigh(a, b)?;
            super::weighted(t, y, seed)
        }),
        Case::new("a value with itself, summed as it is", |t| {
            let x = t.param("x", [7, 1], Init::Normal(0.7))?;
            let x = t.gelu(x)?;
            t.weigh(x, x)
        }),
    ]
}
