//! The words of a value as another shape: nothing runs.

use super::{Case, Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::params::Init;
use crate::reference::Env;
use crate::tape::{Kind, Tape, Var};
use rt_kernels::Dtype;

#[derive(Debug, Clone)]
pub(crate) struct ReshapeOp {
    x: Var,
}

impl Tape {
    /// The words of a value as another shape: nothing runs.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the number of words differs, or rows do not follow each other without a gap.
    pub fn reshape(&mut self, v: Var, rows: usize, cols: usize) -> Result<Var> {
        let [r, c] = self.shape(v);
        let (_, _, stride) = self.layout(v);
        if rows.checked_mul(cols) != Some(r * c) || stride != c {
            return Err(crate::error::shape("reshape", format!("[{r}, {c}] with stride {stride} as [{rows}, {cols}]")));
        }
        let kind = Kind::Slice { of: v, offset: 0 };
        Ok(self.alias(v, [rows, cols], kind, Op::Reshape(ReshapeOp { x: v })))
    }
}

impl ReshapeOp {
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, _: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let dx = match out {
            Grad::Fill(_) => out,
            Grad::Dense(dy) => {
                let [_, cols] = tape.shape(dy);
                let (_, _, stride) = tape.layout(dy);
                // Columns of a wider gradient have gaps between their rows.
                let dy = if stride == cols { dy } else { tape.copy_into(dy, Kind::Temp)? };
                let shape = tape.shape(self.x);
                Grad::Dense(tape.value(shape, Dtype::F32, Kind::Slice { of: dy, offset: 0 }))
            }
        };
        grads.add(self.x, dx);
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        env.f(self.x).to_vec()
    }
}

/// What the gradient checker records.
pub(super) fn cases(seed: u64) -> Vec<Case> {
    vec![
        Case::new("of a value", move |t| {
            let x = t.param("x", [6, 5], Init::Normal(0.7))?;
            let x = t.gelu(x)?;
            let y = t.reshape(x, 10, 3)?;
            let y = t.gelu(y)?;
            super::weighted(t, y, seed)
        }),
        Case::new("of a parameter, beside it", move |t| {
            let x = t.param("x", [6, 5], Init::Normal(0.7))?;
            let y = t.reshape(x, 5, 6)?;
            let both = [super::weighted(t, x, seed)?, super::weighted(t, y, seed)?];
            t.concat_rows(&both)
        }),
        Case::new("whose gradient has gaps between its rows", move |t| {
            let x = t.param("x", [6, 5], Init::Normal(0.7))?;
            let x = t.gelu(x)?;
            let y = t.reshape(x, 10, 3)?;
            let both = t.concat(&[y, y])?;
            let both = t.gelu(both)?;
            super::weighted(t, both, seed)
        }),
    ]
}
