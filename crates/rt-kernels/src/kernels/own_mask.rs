//! Which candidates are other items of a row's own user.

use super::cells::dispatch;
use crate::{Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// Bit j % 32 of word j / 32 of row i is set where candidate j stands in the row's list and is not its target: slice `[rows, 2]`
/// u32 and items `[any, 1]` u32 (the list is `items[start .. start + length]`, ids ascending), candidate_ids `[candidates, 1]` u32,
/// target_ids `[rows, 1]` u32; mask `[rows, ceil(candidates / 32)]` u32, bits past the last candidate 0. A binary search for each
/// pair: `rows candidates log2(length)` reads.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnMask {
    /// Rows.
    pub rows: usize,
    /// Candidates.
    pub candidates: usize,
}

impl Kernel for OwnMask {
    fn name(&self) -> &'static str {
        "own_mask"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![
                Slot::u32("slice", self.rows, 2),
                Slot::u32("items", 0, 1),
                Slot::u32("candidate_ids", self.candidates, 1),
                Slot::u32("target_ids", self.rows, 1),
            ],
            writes: vec![Slot::u32("mask", self.rows, self.candidates.div_ceil(32))],
        }
    }

    fn cost(&self) -> Cost {
        let words = self.rows * (3 + self.candidates.div_ceil(32)) + self.candidates;
        Cost { bytes: 4.0 * words as f64, flops: 0.0 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let [slice, items, ids, targets] = [0, 1, 2, 3].map(|i| io.read(i));
        let block = ((1 << 14) / self.candidates.max(1)).max(1);
        io.write(0).par_blocks(block, |first, mut mask| {
            for r in 0..mask.rows {
                let [start, length] = [0, 1].map(|c| slice.row_u32(first + r)[c] as usize);
                let target = targets.id(first + r);
                let own = |j: usize| {
                    let id = ids.id(j);
                    let place = lower_bound(start, length, |i| items.id(i) < id);
                    id != target && place < start + length && items.id(place) == id
                };
                for (w, bits) in mask.row_u32(r).iter_mut().enumerate() {
                    let here = w * 32..self.candidates.min(w * 32 + 32);
                    *bits = here.map(|j| u32::from(own(j)) << (j % 32)).sum();
                }
            }
        });
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.candidates as u32];
        let words = self.rows * self.candidates.div_ceil(32);
        vec![dispatch("own_mask", &attributes, &operands.reads, &operands.writes, words)]
    }
}

/// First place of `start .. start + length` where `below` no longer holds.
fn lower_bound(start: usize, length: usize, below: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (start, start + length);
    while low < high {
        let middle = low + (high - low) / 2;
        if below(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
