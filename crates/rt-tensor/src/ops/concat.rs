//! Concatenation of columns: features side by side make a tower's input.
//!
//! Nothing runs: the nodes that make the parts write them into their columns, and the gradient of a part is the columns
//! of the whole's gradient. Only a part that cannot be written in place (a parameter, a value used in two
//! concatenations) is copied.

use super::{Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Kind, Tape, Var};
use rt_kernels::Dtype;

#[derive(Debug, Clone)]
pub(crate) struct ConcatOp {
    parts: Vec<Var>,
    out: Var,
}

impl Tape {
    /// Records `[a | b | ...]`; all parts have the same number of rows.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where they do not, or there is no part.
    pub fn concat(&mut self, parts: &[Var]) -> Result<Var> {
        let Some(first) = parts.first() else {
            return Err(crate::error::shape("concat", "needs at least one part"));
        };
        if let [only] = parts {
            return Ok(*only);
        }
        let rows = self.shape(*first)[0];
        for part in parts {
            self.check_dtype("concat", "part", *part, Dtype::F32)?;
            if self.shape(*part)[0] != rows {
                let what = format!("parts have {rows} and {} rows", self.shape(*part)[0]);
                return Err(crate::error::shape("concat", what));
            }
        }
        let out = self.temp(rows, parts.iter().map(|p| self.shape(*p)[1]).sum());
        let (mut places, mut col) = (Vec::new(), 0);
        for part in parts {
            places.push((*part, Kind::View { of: out, row: 0, col }));
            col += self.shape(*part)[1];
        }
        self.assemble(&places, out)?;
        self.push_in_place(parts, out, Op::Concat(ConcatOp { parts: parts.to_vec(), out }));
        Ok(out)
    }
}

impl ConcatOp {
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, needs: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let mut col = 0;
        for part in &self.parts {
            let [rows, cols] = tape.shape(*part);
            if needs(*part) {
                let grad = match out {
                    Grad::Fill(_) => out,
                    Grad::Dense(of) => {
                        Grad::Dense(tape.value([rows, cols], Dtype::F32, Kind::View { of, row: 0, col }))
                    }
                };
                grads.add(*part, grad);
            }
            col += cols;
        }
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let rows = env.shape(self.out)[0];
        let row = |r: usize, v: &Var| {
            let cols = env.shape(*v)[1];
            env.f(*v)[r * cols..][..cols].to_vec()
        };
        (0..rows).flat_map(|r| self.parts.iter().flat_map(move |v| row(r, v))).collect()
    }
}
