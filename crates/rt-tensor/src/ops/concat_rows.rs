//! Rows of several values one below the other: candidates of several kinds as one matrix.
//!
//! As with columns ([`super::concat`]) the nodes that make the parts write them in place where they can, and the gradient of a
//! part is the rows of the whole's gradient. A part without gradient (a queue of earlier batches) gets none.

use super::{Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Kind, Tape, Var};
use rt_kernels::Dtype;

#[derive(Debug, Clone)]
pub(crate) struct ConcatRowsOp {
    parts: Vec<Var>,
}

impl Tape {
    /// Records the rows of all parts, one part below the other; all have the same number of columns.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where they do not, or there is no part.
    pub fn concat_rows(&mut self, parts: &[Var]) -> Result<Var> {
        let Some(first) = parts.first() else {
            return Err(crate::error::shape("concat_rows", "needs at least one part"));
        };
        if let [only] = parts {
            return Ok(*only);
        }
        let cols = self.shape(*first)[1];
        for part in parts {
            self.check_dtype("concat_rows", "part", *part, Dtype::F32)?;
            if self.shape(*part)[1] != cols {
                let what = format!("parts have {cols} and {} columns", self.shape(*part)[1]);
                return Err(crate::error::shape("concat_rows", what));
            }
        }
        let out = self.temp(parts.iter().map(|p| self.shape(*p)[0]).sum(), cols);
        let (mut places, mut row) = (Vec::new(), 0);
        for part in parts {
            places.push((*part, Kind::View { of: out, row, col: 0 }));
            row += self.shape(*part)[0];
        }
        self.assemble(&places, out)?;
        self.push_in_place(parts, out, Op::ConcatRows(ConcatRowsOp { parts: parts.to_vec() }));
        Ok(out)
    }

    /// Records columns of ids `[n, 1]` one below the other, `[sum of n, 1]`.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where a part is no column of ids.
    pub fn concat_id_rows(&mut self, parts: &[Var]) -> Result<Var> {
        let out = self.temp_ids(parts.iter().map(|p| self.shape(*p)[0]).sum(), 1);
        let mut row = 0;
        for part in parts {
            self.check_dtype("concat_id_rows", "part", *part, Dtype::U32)?;
            if self.shape(*part)[1] != 1 {
                let what = format!("a part has {} columns, needs 1", self.shape(*part)[1]);
                return Err(crate::error::shape("concat_id_rows", what));
            }
            self.copy_into(*part, Kind::View { of: out, row, col: 0 })?;
            row += self.shape(*part)[0];
        }
        Ok(out)
    }
}

impl ConcatRowsOp {
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, needs: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let mut row = 0;
        for part in &self.parts {
            let [rows, cols] = tape.shape(*part);
            if needs(*part) {
                let grad = match out {
                    Grad::Fill(_) => out,
                    Grad::Dense(of) => {
                        Grad::Dense(tape.value([rows, cols], Dtype::F32, Kind::View { of, row, col: 0 }))
                    }
                };
                grads.add(*part, grad);
            }
            row += rows;
        }
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        self.parts.iter().flat_map(|v| env.f(*v).to_vec()).collect()
    }
}
