//! Row lookup: `out[i, :] = table[ids[i], :]`.
//!
//! The gradient of `table` is rows, one a looked-up id, never a table-sized buffer: a step costs the batch and not the
//! vocabulary. The tape groups the rows of every use of a table and sums repeats once.

use super::{Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads, RowUse, UseIds};
use crate::reference::Env;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::Gather;

#[derive(Debug, Clone)]
pub(crate) struct GatherOp {
    table: Var,
    ids: Var,
    out: Var,
}

impl Tape {
    /// Records the gathering of rows `ids` `[n, 1]` of `table` `[vocab, dim]` into `[n, dim]`.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] if `table` is no table, or `ids` no column of ids, or constants past `vocab`. Ids that the host
    /// writes are checked where they are written, those that the device makes where nothing proves them; the null entry, row 0, stands
    /// in for one that is past `vocab`.
    pub fn gather(&mut self, table: Var, ids: Var) -> Result<Var> {
        self.table_param("gather", table)?;
        let ids = self.ids_below("gather", "ids", ids, self.shape(table)[0], 0)?;
        let (rows, dim) = (self.shape(ids)[0], self.shape(table)[1]);
        let out = self.temp(rows, dim);
        let op = Op::Gather(GatherOp { table, ids, out });
        self.push(Gather { rows, dim }, vec![Some(table), Some(ids)], vec![Some(out)], Some(op))?;
        Ok(out)
    }
}

impl GatherOp {
    /// `d table[ids[i], :] += d out[i, :]`, as rows.
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, _: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let source = tape.grad_var(out, self.out)?;
        grads.add_rows(self.table, RowUse { ids: UseIds::Ids(self.ids), source });
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let dim = env.shape(self.table)[1];
        let table = env.f(self.table);
        env.u(self.ids).iter().flat_map(|id| table[*id as usize * dim..][..dim].to_vec()).collect()
    }
}
