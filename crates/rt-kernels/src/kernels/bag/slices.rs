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
}

/// One row's slice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    /// Positions.
    pub(crate) len: u32,
    end: u32,
    hole: u32,
    mask: &'a [u32],
}

impl<'a> Slices<'a> {
    /// Operands `at .. at + 4` of a call: items, slice, mask, hole; `vocab` is the rows of the table.
    pub(crate) fn of(io: &CpuIo<'a>, at: usize, vocab: usize) -> Self {
        let vocab = vocab.min(u32::MAX as usize) as u32;
        let (mask, hole) = (io.read_opt(at + 2), io.read_opt(at + 3));
        Self { items: io.read(at), slice: io.read(at + 1), mask, hole, vocab }
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
        Row { len, end, hole: self.hole.map_or(u32::MAX, |h| h.id(i)), mask: self.mask.map_or(&[], |m| m.row_u32(i)) }
    }
}

impl Row<'_> {
    /// Id at position `k`, counted from the newest.
    #[inline(always)]
    pub(crate) fn id(&self, slices: &Slices<'_>, k: u32) -> u32 {
        slices.items.id((self.end - 1 - k) as usize)
    }

    /// True if position `k` counts: its mask bit is set or it lies past the mask, it is not the hole, its id is not 0 and below
    /// the rows of the table.
    #[inline(always)]
    pub(crate) fn kept(&self, slices: &Slices<'_>, k: u32) -> bool {
        let bit = self.mask.get((k / 32) as usize).is_none_or(|m| m >> (k % 32) & 1 == 1);
        let id = self.id(slices, k);
        bit && self.end - 1 - k != self.hole && id != 0 && id < slices.vocab
    }
}
