//! PReLU (He et al. 2015): `y = max(x, 0) + slope * min(x, 0)`, a learned slope for each column.

use super::{Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::{ColumnSum, Prelu, PreluBackward};

#[derive(Debug, Clone)]
pub(crate) struct PreluOp {
    x: Var,
    slope: Var,
    y: Var,
}

impl Tape {
    /// Records PReLU of `x` `[n, cols]` with `slope` `[1, cols]`.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit.
    pub fn prelu(&mut self, x: Var, slope: Var) -> Result<Var> {
        let [rows, cols] = self.shape(x);
        let y = self.temp(rows, cols);
        let op = Op::Prelu(PreluOp { x, slope, y });
        self.push(Prelu { rows, cols }, vec![Some(x), Some(slope)], vec![Some(y)], Some(op))?;
        Ok(y)
    }
}

impl PreluOp {
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, needs: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let dy = tape.grad_var(out, self.y)?;
        let [rows, cols] = tape.shape(self.x);
        let dx = tape.temp(rows, cols);
        let cells = needs(self.slope).then(|| tape.temp(rows, cols));
        let reads = vec![Some(self.x), Some(self.slope), Some(dy)];
        tape.push(PreluBackward { rows, cols }, reads, vec![Some(dx), cells], None)?;
        if let Some(cells) = cells {
            let dslope = tape.temp(1, cols);
            tape.push(ColumnSum { rows, cols }, vec![Some(cells)], vec![Some(dslope)], None)?;
            grads.add(self.slope, Grad::Dense(dslope));
        }
        if needs(self.x) {
            grads.add(self.x, Grad::Dense(dx));
        }
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let cols = env.shape(self.x)[1];
        let slope = env.f(self.slope);
        let cell = |(i, x): (usize, &f64)| x.max(0.0) + slope[i % cols] * x.min(0.0);
        env.f(self.x).iter().enumerate().map(cell).collect()
    }
}
