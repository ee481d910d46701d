//! Rows by number: `out[i, :] = data[ids[i], :]`, of any value.
//!
//! The gradient of a table is rows, as [`super::gather`]'s. That of another value is dense: the rows of the gradient are grouped by
//! id, summed, and put where they belong. Weak spot: some ten dispatches, so what is looked up in every step should be a table.

use super::{Case, Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads, RowGrads, RowUse, TableGrad, UseIds};
use crate::params::Init;
use crate::reference::Env;
use crate::tape::{Kind, Tape, Var};
use rt_kernels::Dtype;
use rt_kernels::kernels::{Group, GroupTable, GroupUse, ScatterRows, SegmentSum, Take, UseKind};

/// The key of row 0.
const FIRST: u32 = 1;

#[derive(Debug, Clone)]
pub(crate) struct TakeOp {
    data: Var,
    ids: Var,
    out: Var,
}

impl Tape {
    /// Records `out[i, :] = data[ids[i], :]`: ids or numbers by row. Of a table this is [`Tape::gather`]. Row 0 of other data is a
    /// row like others, so no row stands in for an id that the device makes past the rows: it reads zeros and has no gradient.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where `ids` is no column of ids.
    pub fn take(&mut self, data: Var, ids: Var) -> Result<Var> {
        let ids = self.ids_below("take", "ids", ids, self.shape(data)[0], u32::MAX)?;
        let (rows, cols) = (self.shape(ids)[0], self.shape(data)[1]);
        let (reads, kernel) = (vec![Some(data), Some(ids)], Take { rows, cols });
        if self.dtype(data) == Dtype::U32 {
            let out = self.temp_ids(rows, cols);
            self.push(kernel, reads, vec![Some(out)], None)?;
            return Ok(out);
        }
        let out = self.temp(rows, cols);
        self.push(kernel, reads, vec![Some(out)], Some(Op::Take(TakeOp { data, ids, out })))?;
        Ok(out)
    }
}

impl TakeOp {
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, _: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let source = tape.grad_var(out, self.out)?;
        if tape.is_table(self.data) {
            grads.add_rows(self.data, RowUse { ids: UseIds::Ids(self.ids), source });
            return Ok(());
        }
        let [rows, cols] = tape.shape(self.data);
        let grouped = self.group(tape, source)?;
        let [segment] = tape.segments(&grouped, &[source])?[..] else {
            return Err(crate::error::shape("take", "one use has one table"));
        };
        let (n, capacity) = (grouped.tables[0].entries, grouped.tables[0].capacity);
        let sums = tape.temp(capacity, cols);
        let kernel = SegmentSum { rows: capacity, entries: n, dim: cols };
        tape.push(kernel, segment.reads(&grouped, source), vec![Some(sums)], None)?;
        let zero = tape.constant(&vec![0.0; rows * cols], rows, cols)?;
        let dx = tape.copy_into(zero, Kind::Temp)?;
        let kernel = ScatterRows { table: 0, base: FIRST, capacity, dim: cols, rows };
        tape.push(kernel, [sums, grouped.keys, grouped.first].map(Some).to_vec(), vec![Some(dx)], None)?;
        grads.add(self.data, Grad::Dense(dx));
        Ok(())
    }

    /// Groups the source rows by id. To the grouping id 0 is "unknown", which has no gradient; here it is a row like others, so
    /// that keys count from [`FIRST`], and an id past the rows, which takes 0, has none.
    fn group(&self, tape: &mut Tape, source: Var) -> Result<RowGrads> {
        let (rows, n) = (tape.shape(self.data)[0], tape.shape(self.ids)[0]);
        let end = u32::try_from(rows).ok().and_then(|rows| rows.checked_add(FIRST));
        let end = end.ok_or_else(|| crate::error::shape("take", format!("{rows} rows are too many for ids")))?;
        let next = tape.constant_ids(&(FIRST..end).collect::<Vec<_>>(), rows, 1)?;
        let shifted = tape.take(next, self.ids)?;
        let (keys, sources, starts) = (tape.temp_ids(n, 1), tape.temp_ids(n, 1), tape.temp_ids(n + 1, 1));
        let first = tape.temp_ids(2, 1);
        let uses = vec![GroupUse { table: 0, source: 0, entry: 0, kind: UseKind::Ids { n } }];
        let group = Group { uses, tables: vec![GroupTable { base: 0, rows: end }], capacity: n };
        tape.push(group, vec![Some(shifted)], [keys, sources, starts, first].map(Some).to_vec(), None)?;
        let table = TableGrad { table: self.data, source, base: 0, capacity: n.min(rows), entries: n };
        Ok(RowGrads { keys, sources, starts, first, tables: vec![table] })
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let [rows, cols] = env.shape(self.data);
        let row = |id: &u32| match *id as usize {
            id if id < rows => env.f(self.data)[id * cols..][..cols].to_vec(),
            _ => vec![0.0; cols],
        };
        env.u(self.ids).iter().flat_map(row).collect()
    }
}

/// What the gradient checker records.
pub(super) fn cases(seed: u64) -> Vec<Case> {
    let ids = |t: &mut Tape| t.constant_ids(&[4, 0, 4, 1, 5, 4, 0, 3, 4], 9, 1);
    vec![
        Case::new("of a value, row 0 too", move |t| {
            let x = t.param("x", [6, 5], Init::Normal(0.7))?;
            let (x, ids) = (t.gelu(x)?, ids(t)?);
            let y = t.take(x, ids)?;
            let y = t.gelu(y)?;
            super::weighted(t, y, seed)
        }),
        Case::new("of a parameter, beside it", move |t| {
            let (x, ids) = (t.param("x", [6, 5], Init::Normal(0.7))?, ids(t)?);
            let y = t.take(x, ids)?;
            let both = [super::weighted(t, y, seed)?, super::weighted(t, x, seed)?];
            t.concat_rows(&both)
        }),
        Case::new("of a table", move |t| {
            let (table, ids) = (t.table("table", 6, 5, Init::Normal(0.7))?, ids(t)?);
            let y = t.take(table, ids)?;
            super::weighted(t, y, seed)
        }),
    ]
}
