//! History slices as the bags and the grouping see them.

use crate::{CpuIo, Mat};

/// The four operands that say which items a bag's rows hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slices<'a> {
    items: Mat<'a>,
    slice: Mat<'a>,
    mask: Option<Mat<'a>>,
    hole: Option<Mat<'a>>,
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
    /// Operands `at .. at + 4` of a call: items, slice, mask, hole.
    pub(crate) fn of(io: &CpuIo<'a>, at: usize) -> Self {
        Self { items: io.read(at), slice: io.read(at + 1), mask: io.read_opt(at + 2), hole: io.read_opt(at + 3) }
    }

    /// Row `i`.
    #[inline(always)]
    pub(crate) fn row(&self, i: usize) -> Row<'a> {
        let slice = self.slice.row_u32(i);
        Row {
            len: slice[1],
            end: slice[0] + slice[1],
            hole: self.hole.map_or(u32::MAX, |h| h.id(i)),
            mask: self.mask.map_or(&[], |m| m.row_u32(i)),
        }
    }
}

impl Row<'_> {
    /// Id at position `k`, counted from the newest.
    #[inline(always)]
    pub(crate) fn id(&self, slices: &Slices<'_>, k: u32) -> u32 {
        slices.items.id((self.end - 1 - k) as usize)
    }

    /// True if position `k` counts: its mask bit is set or it lies past the mask, it is not the hole, its id is not 0.
    #[inline(always)]
    pub(crate) fn kept(&self, slices: &Slices<'_>, k: u32) -> bool {
        let bit = self.mask.get((k / 32) as usize).is_none_or(|m| m >> (k % 32) & 1 == 1);
        bit && self.end - 1 - k != self.hole && self.id(slices, k) != 0
    }
}
