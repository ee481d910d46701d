//! Weighted sums over history positions, one for each head.

use super::{Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::{WeightedPool, WeightedPoolBackward};

#[derive(Debug, Clone)]
pub(crate) struct WeightedPoolOp {
    x: Var,
    w: Var,
    y: Var,
}

impl WeightedPoolOp {
    /// (rows, positions of a row, heads, columns of x)
    fn sizes(&self, shape: impl Fn(Var) -> [usize; 2]) -> (usize, usize, usize, usize) {
        let ([total, dim], [rows, cols]) = (shape(self.x), shape(self.w));
        let history = total / rows;
        (rows, history, cols / history, dim)
    }
}

impl Tape {
    /// Records `y[i, h * dim + c] = sum over k of w[i, h * history + k] x[i * history + k, c]` of `x` `[rows * history, dim]`
    /// and `w` `[rows, heads * history]`, `[rows, heads * dim]`.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit.
    pub fn weighted_pool(&mut self, x: Var, w: Var) -> Result<Var> {
        let ([total, dim], [rows, cols]) = (self.shape(x), self.shape(w));
        let history = super::history::positions("weighted_pool", total, rows)?;
        let heads = cols / history;
        let y = self.temp(rows, heads * dim);
        let op = Op::WeightedPool(WeightedPoolOp { x, w, y });
        let kernel = WeightedPool { rows, history, heads, dim };
        self.push(kernel, vec![Some(x), Some(w)], vec![Some(y)], Some(op))?;
        Ok(y)
    }
}

impl WeightedPoolOp {
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, needs: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let dy = tape.grad_var(out, self.y)?;
        let (rows, history, heads, dim) = self.sizes(|v| tape.shape(v));
        let dx = needs(self.x).then(|| tape.temp(rows * history, dim));
        let dw = needs(self.w).then(|| tape.temp(rows, heads * history));
        let kernel = WeightedPoolBackward { rows, history, heads, dim };
        tape.push(kernel, vec![Some(self.x), Some(self.w), Some(dy)], vec![dx, dw], None)?;
        for (v, gradient) in [(self.x, dx), (self.w, dw)] {
            if let Some(gradient) = gradient {
                grads.add(v, Grad::Dense(gradient));
            }
        }
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let (rows, history, heads, dim) = self.sizes(|v| env.shape(v));
        let (x, w) = (env.f(self.x), env.f(self.w));
        let mut out = vec![0.0; rows * heads * dim];
        for (cell, y) in out.iter_mut().enumerate() {
            let (i, h, c) = (cell / (heads * dim), cell / dim % heads, cell % dim);
            *y = (0..history).map(|k| w[(i * heads + h) * history + k] * x[(i * history + k) * dim + c]).sum();
        }
        out
    }
}
