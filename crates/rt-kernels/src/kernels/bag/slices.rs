//! History slices as the bags and the grouping see them.

use crate::{CpuIo, Mat};

/// The four operands that say which items a bag's rows hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slices<'a> {
    items: Mat<'a>,
    slice: Mat<'a>,
    mask: Option<Mat<'a>>,
    hole: Option<Mat<'a>>,
    /// Ids that count are 1 .. vocab.
    vocab: u32,
    /// Positions of a row that count, at most.
    max_len: u32,
}

/// One row's slice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    /// Positions, at most `max_len`.
    pub(crate) len: u32,
    end: u32,
    /// Position of the hole; past `len` where it does not lie in the slice.
    hole: u32,
    mask: &'a [u32],
}

impl<'a> Slices<'a> {
    /// Operands `at .. at + 4` of a call: items, slice, mask, hole; `vocab` is the rows of the table, `max_len` the positions of a
    /// row that count at most, from the newest on.
    pub(crate) fn of(io: &CpuIo<'a>, at: usize, vocab: usize, max_len: usize) -> Self {
        let [vocab, max_len] = [vocab, max_len].map(|n| n.min(u32::MAX as usize) as u32);
        let (mask, hole) = (io.read_opt(at + 2), io.read_opt(at + 3));
        Self { items: io.read(at), slice: io.read(at + 1), mask, hole, vocab, max_len }
    }

    /// Length and end of a slice of `of` words: nothing where it does not lie in them.
    #[inline(always)]
    pub(crate) fn within(start: u32, len: u32, of: usize) -> [u32; 2] {
        match start.checked_add(len) {
            Some(end) if end as usize <= of => [len, end],
            _ => [0, 0],
        }
    }

    /// Row `i`.
    #[inline(always)]
    pub(crate) fn row(&self, i: usize) -> Row<'a> {
        let slice = self.slice.row_u32(i);
        let [len, end] = Self::within(slice[0], slice[1], self.items.rows);
        // A place behind the slice wraps to a position past it: places are below 2^32.
        let hole = self.hole.map_or(u32::MAX, |h| end.wrapping_sub(1).wrapping_sub(h.id(i)));
        Row { len: len.min(self.max_len), end, hole, mask: self.mask.map_or(&[], |m| m.row_u32(i)) }
    }
}

impl Row<'_> {
    /// Id at position `k`, counted from the newest.
    #[inline(always)]
    pub(crate) fn id(&self, slices: &Slices<'_>, k: u32) -> u32 {
        slices.items.id((self.end - 1 - k) as usize)
    }

    /// Positions that the last `items` items span, the hole not counted among them: one more than `items` where it lies before
    /// their last, all where there are no more.
    #[inline(always)]
    pub(crate) fn span(&self, items: u32) -> u32 {
        let span = self.len.min(items);
        span + u32::from(self.hole < span && span < self.len)
    }

    /// Position of item `k` from the newest, the hole not counted; `len` or more where there is none.
    #[inline(always)]
    pub(crate) fn position(&self, k: u32) -> u32 {
        k.saturating_add(u32::from(k >= self.hole))
    }

    /// True if position `k` counts: its mask bit is set or it lies past the mask, it is not the hole, its id is not 0 and below
    /// the rows of the table.
    #[inline(always)]
    pub(crate) fn kept(&self, slices: &Slices<'_>, k: u32) -> bool {
        let bit = self.mask.get((k / 32) as usize).is_none_or(|m| m >> (k % 32) & 1 == 1);
        let id = self.id(slices, k);
        bit && k != self.hole && id != 0 && id < slices.vocab
    }
}
