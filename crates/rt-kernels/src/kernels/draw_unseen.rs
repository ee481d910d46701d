//! Draws of negatives of a row's own that stand in no list of the row's user.

use super::bag::Slices;
use super::cells::{PHILOX, dispatch};
use super::fit;
use super::negatives::high;
use crate::philox::philox;
use crate::{Cost, CpuIo, Dispatch, Kernel, Made, Mat, Operands, Signature, Slot};

/// Draws `k` ids a row that are neither the row's target nor in its user's list, by rejection: id (i, j) takes word 0 and
/// 1 of the counters (i k + j, step, try, stream), try = 0, 1, ... below `tries`, until a draw is free; after the last one it
/// is the row's target, which losses mask as an accidental hit.
///
/// A draw is `1 + floor(word_0 count / 2^32)`, or with threshold and alias goes through the alias table as
/// [`super::DrawAlias`]. user, target `[rows, 1]` u32; list `[any, 1]` u32, in which user u has the words `start .. start +
/// length` of slices `[users, 2]` u32, ascending (a user past the slices, or whose slice does not lie in the list, has none); threshold, alias `[ids, 1]` u32 or none; ids `[rows, k]` u32. A draw is a
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
fn holds(list: Mat<'_>, [length, end]: [u32; 2], id: u32) -> bool {
    let (mut low, mut high) = (end - length, end);
    while low < high {
        let middle = low + (high - low) / 2;
        if list.id(middle as usize) < id {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low < end && list.id(low as usize) == id
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
                Slot::u32("list", None, 1),
                Slot::u32("slices", None, 2),
                Slot::u32("threshold", None, 1).optional(),
                Slot::u32("alias", None, 1).optional(),
            ],
            writes: vec![Slot::u32("ids", self.rows, self.k)],
        }
    }

    fn mismatch(&self, operands: &Operands) -> Option<String> {
        let (threshold, alias) = (operands.reads[4], operands.reads[5]);
        let wrong = alias.and_then(|_| fit::same_rows(&[("threshold", threshold), ("alias", alias)]));
        let some = threshold.is_none_or(|o| o.rows > 0) || self.rows == 0;
        wrong.or_else(|| fit::unless(some, || format!("draws for {} rows of no id", self.rows)))
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 4.0 * (4 * self.rows + 13 * self.rows * self.k) as f64, flops: 0.0 }
    }

    fn made(&self, write: usize, reads: &[Option<[usize; 2]>]) -> Option<Made> {
        let buckets = reads[4].zip(reads[5]).map_or(0, |([a, _], [b, _])| a.min(b));
        let (of, below) = if buckets > 0 { (vec![1, 5], buckets) } else { (vec![1], self.count.max(1) as usize + 1) };
        (write == 0).then(|| Made { of, ..Made::new(below) })
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let [user, target, list, slices] = [0, 1, 2, 3].map(|i| io.read(i));
        let (threshold, alias, step) = (io.read_opt(4), io.read_opt(5), *io.step);
        let buckets = match (threshold, alias) {
            (Some(threshold), Some(alias)) => threshold.rows.min(alias.rows) as u32,
            _ => 0,
        };
        let draw = |cell: u32, attempt: u32| {
            let words = philox([step.seed_lo, step.seed_hi], [cell, step.step, attempt, self.stream]);
            match (threshold, alias) {
                (Some(threshold), Some(alias)) if buckets > 0 => {
                    let bucket = high(words[0], buckets);
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
                // A user past the slices has no list.
                let of_user = |u: usize| (slices.row_u32(u)[0], slices.row_u32(u)[1]);
                let (start, length) = Some(user.id(i) as usize).filter(|u| *u < slices.rows).map_or((0, 0), of_user);
                let slice = Slices::within(start, length, list.rows);
                for (j, id) in ids.row_u32(r).iter_mut().enumerate() {
                    let cell = (i * self.k + j) as u32;
                    let free = |id: &u32| *id != target.id(i) && !holds(list, slice, *id);
                    *id = (0..self.tries).map(|t| draw(cell, t)).find(free).unwrap_or_else(|| target.id(i));
                }
            }
        });
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let buckets = operands.reads[4].zip(operands.reads[5]).map_or(0, |(a, b)| a.rows.min(b.rows) as u32);
        let [list, slices] = [2, 3].map(|i| operands.read(i).rows as u32);
        let attributes = [self.rows as u32, self.k as u32, self.count, self.tries, self.stream, buckets, slices, list];
        let cells = self.rows * self.k;
        let mut d = dispatch("draw_unseen", &attributes, &operands.reads, &operands.writes, cells)
            .looping(self.tries as usize * (1 + PHILOX + 33) + 1);
        d.step = true;
        vec![d]
    }
}
