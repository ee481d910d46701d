//! Dropout by counter: cell i of step t is kept if draw (seed, t, stream, i) says so, so backward draws the same mask
//! again and none is stored.

use super::{Needs, Op};
use crate::Result;
use crate::fuse::Fusible;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::Dropout;
use rt_kernels::philox;

#[derive(Debug, Clone)]
pub(crate) struct DropoutOp {
    x: Var,
    y: Var,
    kernel: Dropout,
}

impl Tape {
    /// Records dropout of `x` with probability `p` of a zero; what is kept is scaled by 1 / (1 - p). `number` tells the
    /// dropouts of a tape apart.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] unless 0 <= p < 1.
    pub fn dropout(&mut self, x: Var, p: f32, number: u32) -> Result<Var> {
        if !(0.0..1.0).contains(&p) {
            return Err(crate::error::shape("dropout", format!("probability {p} has to lie in [0, 1)")));
        }
        if p == 0.0 {
            return Ok(x);
        }
        let [rows, cols] = self.shape(x);
        let y = self.temp(rows, cols);
        let stream = self.stream(philox::stream::DROPOUT, number);
        let kernel = Dropout { rows, cols, keep_threshold: threshold(1.0 - p), scale: 1.0 / (1.0 - p), stream };
        let op = Op::Dropout(DropoutOp { x, y, kernel: kernel.clone() });
        self.push(kernel, vec![Some(x)], vec![Some(y)], Some(op))?;
        Ok(y)
    }
}

/// A draw below this has the given probability.
pub(super) fn threshold(probability: f32) -> u32 {
    (f64::from(probability) * 4_294_967_296.0).min(f64::from(u32::MAX)) as u32
}

impl DropoutOp {
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, _: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let dy = tape.grad_var(out, self.y)?;
        let [rows, cols] = tape.shape(self.x);
        let dx = tape.temp(rows, cols);
        tape.push(self.kernel.clone(), vec![Some(dy)], vec![Some(dx)], None)?;
        tape.mark(Fusible::Dropout(self.kernel.clone()));
        grads.add(self.x, Grad::Dense(dx));
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let (step, k) = (env.step(), &self.kernel);
        let kept =
            |i: usize| philox::draw([step.seed_lo, step.seed_hi], step.step, k.stream, i as u32) < k.keep_threshold;
        let cell = |(i, x): (usize, &f64)| if kept(i) { x * f64::from(k.scale) } else { 0.0 };
        env.f(self.x).iter().enumerate().map(cell).collect()
    }
}
