//! A linear layer with its activation: `y = f(x W + b + add)`.

use super::{Needs, Op, activation};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::{Activation, ColumnSum, Gemm};

#[derive(Debug, Clone)]
pub(crate) struct LinearOp {
    x: Var,
    w: Var,
    bias: Option<Var>,
    add: Option<Var>,
    y: Var,
    activation: Activation,
}

impl Tape {
    /// Records `activation(x w + bias + add)`: x `[m, k]`, w `[k, n]`, bias `[1, n]`, add `[m, n]`, into `[m, n]`. `add` is
    /// where a skip connection comes in.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit.
    pub fn linear(
        &mut self,
        x: Var,
        w: Var,
        bias: Option<Var>,
        add: Option<Var>,
        activation: Activation,
    ) -> Result<Var> {
        let ([m, k], [_, n]) = (self.shape(x), self.shape(w));
        let y = self.temp(m, n);
        let kernel = Gemm { m, n, k, trans_a: false, trans_b: false, activation };
        let op = Op::Linear(LinearOp { x, w, bias, add, y, activation });
        self.push(kernel, vec![Some(x), Some(w), bias, add], vec![Some(y)], Some(op))?;
        Ok(y)
    }
}

impl LinearOp {
    /// dz = dy f'(z); dW = xᵀ dz; db = column sums of dz; dx = dz Wᵀ; d add = dz.
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, needs: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let dy = tape.grad_var(out, self.y)?;
        let dz = activation::backward(tape, self.y, dy, self.activation)?;
        let ([m, k], [_, n]) = (tape.shape(self.x), tape.shape(self.w));
        let activation = Activation::None;
        if needs(self.w) {
            let dw = tape.temp(k, n);
            let kernel = Gemm { m: k, n, k: m, trans_a: true, trans_b: false, activation };
            tape.push(kernel, vec![Some(self.x), Some(dz), None, None], vec![Some(dw)], None)?;
            grads.add(self.w, Grad::Dense(dw));
        }
        if let Some(bias) = self.bias.filter(|b| needs(*b)) {
            let db = tape.temp(1, n);
            tape.push(ColumnSum { rows: m, cols: n }, vec![Some(dz)], vec![Some(db)], None)?;
            grads.add(bias, Grad::Dense(db));
        }
        if needs(self.x) {
            let dx = tape.temp(m, k);
            let kernel = Gemm { m, n: k, k: n, trans_a: false, trans_b: true, activation };
            // Where another layer reads x too (a skip), its part of the gradient comes in as the product's addend.
            let others = grads.take_only(self.x);
            tape.push(kernel, vec![Some(dz), Some(self.w), None, others], vec![Some(dx)], None)?;
            grads.add(self.x, Grad::Dense(dx));
        }
        if let Some(add) = self.add.filter(|a| needs(*a)) {
            grads.add(add, Grad::Dense(dz));
        }
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let ([m, k], [_, n]) = (env.shape(self.x), env.shape(self.w));
        let (x, w) = (env.f(self.x), env.f(self.w));
        let mut out = vec![0.0; m * n];
        for i in 0..m {
            for j in 0..n {
                let mut z: f64 = (0..k).map(|p| x[i * k + p] * w[p * n + j]).sum();
                z += self.bias.map_or(0.0, |b| env.f(b)[j]);
                z += self.add.map_or(0.0, |a| env.f(a)[i * n + j]);
                out[i * n + j] = activation::reference(self.activation, z);
            }
        }
        out
    }
}
