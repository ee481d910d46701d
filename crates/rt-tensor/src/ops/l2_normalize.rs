//! Rows scaled to length one: `y_i = x_i / |x_i|`, so that a dot product of two of them is their cosine.

use super::{Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::{L2Normalize, L2NormalizeBackward};

#[derive(Debug, Clone)]
pub(crate) struct L2NormalizeOp {
    x: Var,
    y: Var,
    norm: Var,
}

impl Tape {
    /// Records the rows of `x`, each divided by its length (at least 1e-12). Rows no longer than that, such as rows of zeros, get
    /// no gradient: they have no direction, and 1e12 times the gradient from above would fill Adam's second moment for good.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] if `x` holds no floats.
    pub fn l2_normalize(&mut self, x: Var) -> Result<Var> {
        let [rows, dim] = self.shape(x);
        let (y, norm) = (self.temp(rows, dim), self.temp(rows, 1));
        let op = Op::L2Normalize(L2NormalizeOp { x, y, norm });
        self.push(L2Normalize { rows, dim }, vec![Some(x)], vec![Some(y), Some(norm)], Some(op))?;
        Ok(y)
    }
}

impl L2NormalizeOp {
    /// dx = (dy - y (y . dy)) / |x|, 0 for rows no longer than 1e-12.
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, _: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let dy = tape.grad_var(out, self.y)?;
        let [rows, dim] = tape.shape(self.x);
        let dx = tape.temp(rows, dim);
        let reads = vec![Some(self.y), Some(self.norm), Some(dy)];
        tape.push(L2NormalizeBackward { rows, dim }, reads, vec![Some(dx)], None)?;
        grads.add(self.x, Grad::Dense(dx));
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let dim = env.shape(self.x)[1];
        let row = |x: &[f64]| {
            let norm = x.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
            x.iter().map(move |v| v / norm).collect::<Vec<_>>()
        };
        env.f(self.x).chunks(dim).flat_map(row).collect()
    }
}
