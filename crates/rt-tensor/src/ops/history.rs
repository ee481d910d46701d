//! Histories written out by position: ids, and gaps in time. No gradient flows through them.

use crate::Result;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::{HistoryGaps, HistoryIds, Sessions};

impl Tape {
    /// Records the ids of slices by position: row `i * history + k` of `[n * history, 1]` is the item at position k, counted
    /// from the newest, of slice i; 0 where k is past the slice `[n, 2]` (start, length) or dropped by the mask
    /// ([`Tape::history_mask`]). The row's hole `[n, 1]`, an index in the items, has no position: items before it move up by one.
    /// All items lie below `vocab`, the rows of the table that they look up.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit, or an item is not below `vocab`.
    pub fn history_ids(
        &mut self,
        items: Var,
        vocab: usize,
        slice: Var,
        history: usize,
        mask: Option<Var>,
        hole: Option<Var>,
    ) -> Result<Var> {
        let items = self.ids_below("history_ids", "items", items, vocab, 0)?;
        let slice = self.slices_within("history_ids", slice, self.shape(items)[0])?;
        let rows = self.shape(slice)[0];
        let ids = self.temp_ids(rows * history, 1);
        let reads = vec![Some(items), Some(slice), mask, hole];
        self.push(HistoryIds { rows, history }, reads, vec![Some(ids)], None)?;
        Ok(ids)
    }

    /// Records `ln(1 + (t_newest - t_k) / 3600)` for each position k of each slice, `[n, history]`: how long before the
    /// slice's newest event each event was. `times` `[events, 1]` are whole seconds from any origin. They know no hole: they belong
    /// to [`Tape::history_ids`] without one.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit.
    pub fn history_gaps(&mut self, times: Var, slice: Var, history: usize) -> Result<Var> {
        let slice = self.slices_within("history_gaps", slice, self.shape(times)[0])?;
        let rows = self.shape(slice)[0];
        let gaps = self.temp(rows, history);
        self.push(HistoryGaps { rows, history }, vec![Some(times), Some(slice)], vec![Some(gaps)], None)?;
        Ok(gaps)
    }

    /// Records the running session of each row of a batch, where an event more than `pause` seconds after the one before it starts
    /// another one: its part of the history as (start, length) `[n, 2]`, and two categories `[n, 2]` of [`Sessions`], of its
    /// length (below 10) and of the time between the last two events (below 34). `seconds` `[events, 1]` are whole seconds from any
    /// origin, `slice`, `user` and `starts` those of a [`Tape::batch`].
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit.
    pub fn sessions(
        &mut self,
        seconds: Var,
        batch: &super::BatchVars,
        starts: Var,
        history: usize,
        pause: u32,
    ) -> Result<[Var; 2]> {
        let slice = self.slices_within("sessions", batch.slice, self.shape(seconds)[0])?;
        let user = self.ids_below("sessions", "users", batch.user, self.shape(starts)[0], u32::MAX)?;
        let rows = self.shape(slice)[0];
        let out = [self.temp_ids(rows, 2), self.temp_ids(rows, 2)];
        let reads = vec![Some(seconds), Some(slice), Some(user), Some(starts)];
        self.push(Sessions { rows, history, pause }, reads, out.map(Some).to_vec(), None)?;
        Ok(out)
    }
}

/// Positions of a row, where `total` positions belong to `rows` rows.
pub(super) fn positions(op: &'static str, total: usize, rows: usize) -> Result<usize> {
    if rows == 0 || total == 0 || !total.is_multiple_of(rows) {
        return Err(crate::error::shape(op, format!("{total} positions cannot be those of {rows} rows")));
    }
    Ok(total / rows)
}
