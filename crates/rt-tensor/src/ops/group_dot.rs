//! Dot products of each row of `u` with its own group of rows of `v`; a group of one is the dot product of row pairs.

use super::{Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::{GroupDot, GroupDotBackward};

#[derive(Debug, Clone)]
pub(crate) struct GroupDotOp {
    u: Var,
    v: Var,
    z: Var,
    scale: f32,
}

impl Tape {
    /// Records `z[i, j] = scale * u_i . v_{i group + j}`: u `[n, dim]`, v `[n group, dim]`, into `[n, group]`.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit.
    pub fn group_dot(&mut self, u: Var, v: Var, scale: f32) -> Result<Var> {
        let ([rows, dim], [candidates, _]) = (self.shape(u), self.shape(v));
        if !candidates.is_multiple_of(rows) {
            let what = format!("{candidates} rows of v are no whole number of groups for {rows} rows of u");
            return Err(crate::error::shape("group_dot", what));
        }
        let group = candidates / rows.max(1); // no row: refused below, as by every op
        let z = self.temp(rows, group);
        let op = Op::GroupDot(GroupDotOp { u, v, z, scale });
        self.push(GroupDot { rows, group, dim, scale }, vec![Some(u), Some(v)], vec![Some(z)], Some(op))?;
        Ok(z)
    }
}

impl GroupDotOp {
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, needs: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let dz = tape.grad_var(out, self.z)?;
        let ([rows, dim], [candidates, _]) = (tape.shape(self.u), tape.shape(self.v));
        let kernel = GroupDotBackward { rows, group: candidates / rows, dim, scale: self.scale };
        let du = needs(self.u).then(|| tape.temp(rows, dim));
        let dv = needs(self.v).then(|| tape.temp(candidates, dim));
        tape.push(kernel, vec![Some(self.u), Some(self.v), Some(dz)], vec![du, dv], None)?;
        for (v, grad) in [(self.u, du), (self.v, dv)] {
            if let Some(grad) = grad {
                grads.add(v, Grad::Dense(grad));
            }
        }
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let ([rows, dim], [candidates, _]) = (env.shape(self.u), env.shape(self.v));
        let (u, v, group) = (env.f(self.u), env.f(self.v), candidates / rows);
        let dot = |i: usize, j: usize| (0..dim).map(|c| u[i * dim + c] * v[j * dim + c]).sum::<f64>();
        (0..candidates).map(|j| f64::from(self.scale) * dot(j / group, j)).collect()
    }
}
