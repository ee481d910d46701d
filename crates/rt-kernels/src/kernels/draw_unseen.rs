//! Draws of negatives of a row's own that stand in no list of the row's user.

use super::cells::{PHILOX, dispatch};
use super::negatives::high;
use crate::philox::philox;
use crate::{Cost, CpuIo, Dispatch, Kernel, Mat, Operands, Signature, Slot};

/// Draws `k` ids a row that are neither the row's target nor in its user's list, by rejection: id (i, j) takes word 0 and
/// 1 of the counters (i k + j, step, try, stream), try = 0, 1, ... below `tries`, until a draw is free; after the last one it
/// is the row's target, which losses mask as an accidental hit.
///
/// A draw is `1 + floor(word_0 count / 2^32)`, or with threshold and alias goes through the alias table as
/// [`super::DrawAlias`]. user, target `[rows, 1]` u32; list `[any, 1]` u32, in which user u has the words `start .. start +
/// length` of slices `[users, 2]` u32, ascending; threshold, alias `[ids, 1]` u32 or none; ids `[rows, k]` u32. A draw is a
/// binary search: some 10 words at random for a list of a thousand.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawUnseen {
    /// Rows.
    pub rows: usize,
    /// Draws of a row.
    pub k: usize,
    /// Number of ids, from 1 on, where there is no alias table.
    pub count: u32,
    /// Draws for an id, at most.
    pub tries: u32,
    /// Stream of the draws.
    pub stream: u32,
}

/// Does a sorted list hold an id?
fn holds(list: Mat<'_>, [start, length]: [u32; 2], id: u32) -> bool {
    let (mut low, mut high) = (start, start + length);
    while low < high {
        let middle = low + (high - low) / 2;
        if list.id(middle as usize) < id {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low < start + length && list.id(low as usize) == id
}

impl Kernel for DrawUnseen {
    fn name(&self) -> &'static str {
        "draw_unseen"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![
                Slot::u32("user", self.rows, 1),
                Slot::u32("target", self.rows, 1),
                Slot::u32("list", 0, 1),
                Slot::u32("slices", 0, 2),
                Slot::u32("threshold", 0, 1).optional(),
                Slot::u32("alias", 0, 1).optional(),
            ],
            writes: vec![Slot::u32("ids", self.rows, self.k)],
        }
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 4.0 * (4 * self.rows + 13 * self.rows * self.k) as f64, flops: 0.0 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let [user, target, list, slices] = [0, 1, 2, 3].map(|i| io.read(i));
        let (threshold, alias, step) = (io.read_opt(4), io.read_opt(5), *io.step);
        let draw = |cell: u32, attempt: u32| {
            let words = philox([step.seed_lo, step.seed_hi], [cell, step.step, attempt, self.stream]);
            match (threshold, alias) {
                (Some(threshold), Some(alias)) => {
                    let bucket = high(words[0], threshold.rows as u32);
                    let own = words[1] < threshold.id(bucket as usize);
                    if own { bucket } else { alias.id(bucket as usize) }
                }
                _ => 1 + high(words[0], self.count),
            }
        };
        // Some 50 ns a draw: this many are worth a thread.
        io.write(0).par_blocks((1024 / self.k.max(1)).max(1), |first, mut ids| {
            for r in 0..ids.rows {
                let i = first + r;
                let slice = slices.row_u32(user.id(i) as usize);
                let slice = [slice[0], slice[1]];
                for (j, id) in ids.row_u32(r).iter_mut().enumerate() {
                    let cell = (i * self.k + j) as u32;
                    let free = |id: &u32| *id != target.id(i) && !holds(list, slice, *id);
                    *id = (0..self.tries).map(|t| draw(cell, t)).find(free).unwrap_or_else(|| target.id(i));
                }
            }
        });
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let buckets = operands.reads[4].filter(|_| operands.reads[5].is_some()).map_or(0, |o| o.rows as u32);
        let attributes = [self.rows as u32, self.k as u32, self.count, self.tries, self.stream, buckets];
        let cells = self.rows * self.k;
        let mut d = dispatch("draw_unseen", &attributes, &operands.reads, &operands.writes, cells)
            .looping(self.tries as usize * (1 + PHILOX + 33));
        d.step = true;
        vec![d]
    }
}
