//! History slices written out: ids by row and position, and how long ago each event was.

use super::bag::{Slices, slice_slots};
use super::cells::{dispatch, each_row};
use crate::{Cost, CpuIo, Dispatch, Kernel, Made, MatMut, Operands, Signature, Slot};

/// Ids of history slices by position: `ids[i * history + k, 0] = items[start + len - 1 - k]`, k counted from the newest, and
/// 0 where k is past the slice or dropped by the mask (as in [`Bag`](super::Bag)); a slice that does not lie in
/// `items` is empty. The row's hole has no position: the items before it move up by one, so that k is the k-th item other than the
/// hole. Bits of the mask stay with the positions of the slice, of which the newest `history` count, the hole's among them.
///
/// Reads `items` `[any, 1]` u32, `slice` `[rows, 2]` u32 (start, length), optional `mask` `[rows, any]` u32, optional `hole`
/// `[rows, 1]` u32; writes `ids` `[rows * history, 1]` u32. Moves `2 * rows * (history + 1)` words.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryIds {
    /// Rows of the batch.
    pub rows: usize,
    /// Positions of a row; older ones are left out.
    pub history: usize,
}

/// `gaps[i, k] = ln(1 + (t_newest - t_k) / 3600)`, the seconds from the event at position k of a slice (0 is the newest) to
/// the slice's newest event, in hours and compressed; 0 for positions past the slice and for times after the newest's. A slice
/// that does not lie in `times` is empty. Holes are not known here: positions are those of [`HistoryIds`] without one.
///
/// Reads `times` `[any, 1]` u32 (seconds from any origin), `slice` `[rows, 2]` u32; writes `gaps` `[rows, history]`. Moves
/// `2 * rows * (history + 1)` words.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryGaps {
    /// Rows of the batch.
    pub rows: usize,
    /// Positions of a row.
    pub history: usize,
}

/// Seconds that a gap is counted in: an hour.
const UNIT: f32 = 3600.0;

/// Cuts `[rows * history, any]` into blocks of whole rows of a batch, with the first of them, some 16,384 words each.
pub(super) fn each_history(out: MatMut<'_>, history: usize, f: impl Fn(usize, MatMut<'_>) + Sync + Send) {
    let history = history.max(1);
    let block = (16_384 / history.saturating_mul(out.cols.max(1))).max(1);
    out.par_blocks(block.saturating_mul(history), |first, out| f(first / history, out));
}

impl Kernel for HistoryIds {
    fn name(&self) -> &'static str {
        "history_ids"
    }

    fn signature(&self) -> Signature {
        let ids = Slot::u32("ids", self.rows.saturating_mul(self.history), 1);
        Signature { reads: slice_slots(self.rows).to_vec(), writes: vec![ids] }
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 8.0 * (self.rows * (self.history + 1)) as f64, flops: 0.0 }
    }

    fn made(&self, write: usize, reads: &[Option<[usize; 2]>]) -> Option<Made> {
        let _ = (write, reads);
        Some(Made::passed(&[0]))
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (slices, history) = (Slices::of(io, 0, usize::MAX, self.history), self.history);
        each_history(io.write(0), history, |first, mut ids| {
            for r in 0..ids.rows / history {
                let row = slices.row(first + r);
                for k in 0..history {
                    let at = row.position(k as u32);
                    let kept = at < row.len && row.kept(&slices, at);
                    ids.row_u32(r * history + k)[0] = if kept { row.id(&slices, at) } else { 0 };
                }
            }
        });
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::history::ids(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let words = operands.reads[2].map_or(0, |m| m.cols as u32);
        let [rows, history, items] = [self.rows, self.history, operands.read(0).rows].map(|x| x as u32);
        let attributes = [rows, history, words, u32::from(operands.reads[3].is_some()), items];
        vec![dispatch("history_ids", &attributes, &operands.reads, &operands.writes, self.rows * self.history)]
    }
}

impl Kernel for HistoryGaps {
    fn name(&self) -> &'static str {
        "history_gaps"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![Slot::u32("times", None, 1), Slot::u32("slice", self.rows, 2)],
            writes: vec![Slot::f32("gaps", self.rows, self.history)],
        }
    }

    fn cost(&self) -> Cost {
        let cells = self.rows * self.history;
        Cost { bytes: 8.0 * (cells + self.rows) as f64, flops: 3.0 * cells as f64 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (times, slice) = (io.read(0), io.read(1));
        each_row(
            io.write(0),
            #[inline(always)]
            |r, gaps| {
                let [len, end] = Slices::within(slice.row_u32(r)[0], slice.row_u32(r)[1], times.rows);
                gaps.fill(0.0);
                for (k, gap) in gaps.iter_mut().enumerate().take(len as usize) {
                    let newest = times.id(end as usize - 1);
                    let seconds = newest.saturating_sub(times.id(end as usize - 1 - k));
                    *gap = (1.0 + seconds as f32 / UNIT).ln();
                }
            },
        );
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows, self.history, operands.read(0).rows].map(|x| x as u32);
        vec![dispatch("history_gaps", &attributes, &operands.reads, &operands.writes, self.rows * self.history)]
    }
}
