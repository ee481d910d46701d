//! All products of two sets of vectors.

use super::{Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::{Activation, Gemm};

#[derive(Debug, Clone)]
pub(crate) struct ProductOp {
    x: Var,
    w: Var,
    y: Var,
}

impl Tape {
    /// Records `x wᵀ`: x `[m, k]`, w `[n, k]`, into `[m, n]`: the product of every row of x with every row of w. The products stand in
    /// memory; a softmax over many candidates does without ([`Tape::softmax_loss`]).
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit.
    pub fn product(&mut self, x: Var, w: Var) -> Result<Var> {
        let ([m, k], [n, _]) = (self.shape(x), self.shape(w));
        let y = self.temp(m, n);
        let kernel = Gemm { m, n, k, trans_a: false, trans_b: true, activation: Activation::None };
        let op = Op::Product(ProductOp { x, w, y });
        self.push(kernel, vec![Some(x), Some(w), None, None], vec![Some(y)], Some(op))?;
        Ok(y)
    }
}

impl ProductOp {
    /// dx = dy w; dw = dyᵀ x.
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, needs: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let dy = tape.grad_var(out, self.y)?;
        let ([m, k], [n, _]) = (tape.shape(self.x), tape.shape(self.w));
        let activation = Activation::None;
        if needs(self.w) {
            let dw = tape.temp(n, k);
            let kernel = Gemm { m: n, n: k, k: m, trans_a: true, trans_b: false, activation };
            tape.push(kernel, vec![Some(dy), Some(self.x), None, None], vec![Some(dw)], None)?;
            grads.add(self.w, Grad::Dense(dw));
        }
        if needs(self.x) {
            let dx = tape.temp(m, k);
            let kernel = Gemm { m, n: k, k: n, trans_a: false, trans_b: false, activation };
            tape.push(kernel, vec![Some(dy), Some(self.w), None, None], vec![Some(dx)], None)?;
            grads.add(self.x, Grad::Dense(dx));
        }
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let ([m, k], [n, _]) = (env.shape(self.x), env.shape(self.w));
        let (x, w) = (env.f(self.x), env.f(self.w));
        let cell = |c: usize| (0..k).map(|p| x[c / n * k + p] * w[c % n * k + p]).sum();
        (0..m * n).map(cell).collect()
    }
}
