//! In which order sums over many rows are added: by the shape alone, the same on every device and for any number of threads.
//!
//! One f32 that takes millions of cells loses digits: 4 million times 0.1 in eight of them is 0.4 % off. So a long sum is cut into
//! more parts, and within a part blocks are summed on their own.

use std::ops::Range;

/// Up to so many rows a sum is [`FEW`] runs, each ascending, added in order.
pub(crate) const SHORT: usize = 1 << 14;
/// Runs of a short sum.
pub(crate) const FEW: usize = 8;
/// Rows of a group of a long sum.
pub(crate) const GROUP: usize = 8;

/// The order of one sum. A long one: part p is the rows `p run .. (p + 1) run`; of these each eight are added as a binary tree
/// (rows past the end are 0), `block` of these groups ascending, the blocks ascending; and the parts as a binary tree, part p with
/// part `p + parts / 2` first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) parts: usize,
    /// Rows of a part.
    pub(crate) run: usize,
    /// Groups of a block; 0 for a short sum, which has no groups.
    pub(crate) block: usize,
    rows: usize,
}

impl Order {
    /// The order of a sum over `rows`; a long one has `many` parts, a power of two.
    pub(crate) fn new(rows: usize, many: usize) -> Self {
        if rows <= SHORT {
            return Self { parts: FEW, run: rows.div_ceil(FEW).max(1), block: 0, rows };
        }
        let run = rows.div_ceil(many).next_multiple_of(GROUP);
        // As many groups in a block as blocks in a part: neither sum is long.
        Self { parts: many, run, block: (run / GROUP).isqrt().max(1), rows }
    }

    pub(crate) fn is_long(&self) -> bool {
        self.block > 0
    }

    /// The rows of a part.
    pub(crate) fn part(&self, part: usize) -> Range<usize> {
        (part * self.run).min(self.rows)..((part + 1) * self.run).min(self.rows)
    }

    /// Iterations of a lane that sums a part and of the one that puts the parts together.
    pub(crate) fn iterations(&self) -> usize {
        if self.is_long() { self.run / GROUP + 2 * GROUP } else { self.run + self.parts + 2 }
    }

    /// The sum of a part of one column. For use inside [`crate::simd::vectorize`].
    #[inline(always)]
    pub(crate) fn sum_part(&self, part: usize, x: impl Fn(usize) -> f32) -> f32 {
        let rows = self.part(part);
        let mut total = 0.0;
        if !self.is_long() {
            rows.for_each(|r| total += x(r));
            return total;
        }
        let (mut block, mut filled) = (0.0, 0);
        for first in rows.clone().step_by(GROUP) {
            block += eight(std::array::from_fn(|i| if first + i < rows.end { x(first + i) } else { 0.0 }));
            filled += 1;
            if filled == self.block {
                total += block;
                (block, filled) = (0.0, 0);
            }
        }
        total + block
    }

    /// Puts the parts of `cols` columns together into the first `cols` words; part p starts at word `p * stride`.
    pub(crate) fn join(&self, parts: &mut [f32], cols: usize, stride: usize) {
        let add = |parts: &mut [f32], to: usize, from: usize| {
            let (low, high) = parts.split_at_mut(from * stride);
            let low = &mut low[to * stride..][..cols];
            low.iter_mut().zip(&high[..cols]).for_each(|(low, high)| *low += high);
        };
        if !self.is_long() {
            // From zero, as a sum of nothing has no sign.
            parts[..cols].iter_mut().for_each(|x| *x += 0.0);
            (1..self.parts).for_each(|p| add(parts, 0, p));
            return;
        }
        let mut width = self.parts / 2;
        while width > 0 {
            (0..width).for_each(|p| add(parts, p, p + width));
            width /= 2;
        }
    }
}

/// Eight numbers, added as a binary tree.
#[inline(always)]
pub(crate) fn eight(x: [f32; GROUP]) -> f32 {
    ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]))
}
