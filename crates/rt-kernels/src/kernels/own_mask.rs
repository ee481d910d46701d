//! Which candidates are other items of a row's own user.

use super::bag::Slices;
use super::cells::dispatch;
use crate::{Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot, Target};

/// Bit j % 32 of word j / 32 of row i is set if candidate j is in the row's list and is not its target: slice `[rows, 2]` u32 and
/// items `[any, 1]` u32 (the list is `items[start .. start + length]`, ids ascending, and empty if it does not lie in the items),
/// candidate_ids `[candidates, 1]` u32, target_ids `[rows, 1]` u32; mask `[rows, ceil(candidates / 32)]` u32, bits past the last
/// candidate 0. On a GPU a binary search for each pair, `rows candidates log2(length)` reads; on the CPU one for each item of the
/// lists among the sorted candidates.
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
                Slot::u32("items", None, 1),
                Slot::u32("candidate_ids", self.candidates, 1),
                Slot::u32("target_ids", self.rows, 1),
            ],
            writes: vec![Slot::u32("mask", self.rows, self.candidates.div_ceil(32))],
        }
    }

    fn cost(&self) -> Cost {
        let words = self.rows * (3 + self.candidates.div_ceil(32)) + self.candidates;
        // The GPU's searches, eight comparisons a pair: lists of some hundred items.
        Cost { bytes: 4.0 * words as f64, flops: 8.0 * (self.rows * self.candidates) as f64 }
    }

    fn scratch(&self, target: Target) -> Vec<usize> {
        if target == Target::Cpu { vec![self.candidates] } else { Vec::new() }
    }

    /// The other way round than on a GPU: the list is short beside the candidates, which are sorted once.
    fn run(&self, io: &mut CpuIo<'_>) {
        let [slice, items, ids, targets] = [0, 1, 2, 3].map(|i| io.read(i));
        let order = io.scratch(0).into_u32();
        let order = &mut order[..self.candidates];
        order.iter_mut().enumerate().for_each(|(j, place)| *place = j as u32);
        order.sort_unstable_by_key(|j| (ids.id(*j as usize), *j));
        let order = &*order;
        let block = ((1 << 14) / self.candidates.max(1)).max(1);
        io.write(0).par_blocks(block, |first, mut mask| {
            for r in 0..mask.rows {
                let [start, length] = [0, 1].map(|c| slice.row_u32(first + r)[c]);
                let [length, end] = Slices::within(start, length, items.rows).map(|x| x as usize);
                let target = targets.id(first + r);
                let bits = mask.row_u32(r);
                bits.fill(0);
                let mut before = None;
                for id in (end - length..end).map(|i| items.id(i)) {
                    if id == target || before.replace(id) == Some(id) {
                        continue;
                    }
                    let from = order.partition_point(|j| ids.id(*j as usize) < id);
                    for j in order[from..].iter().take_while(|j| ids.id(**j as usize) == id) {
                        bits[*j as usize / 32] |= 1 << (j % 32);
                    }
                }
            }
        });
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows, self.candidates, operands.read(1).rows].map(|x| x as u32);
        let words = self.rows * self.candidates.div_ceil(32);
        vec![dispatch("own_mask", &attributes, &operands.reads, &operands.writes, words).looping(33 + 33)]
    }
}
