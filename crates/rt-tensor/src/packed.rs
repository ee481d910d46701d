//! Small tables lie side by side in one buffer of a GPU, and so do their states of one kind, so that one dispatch takes several
//! tables: a dispatch binds few buffers. On the CPU, where each call locks the buffers that it touches, every table has its own.

use crate::params::{ParamKind, Params};
use rt_kernels::{Device, Target};
use std::collections::BTreeMap;

/// Words of the largest table that shares a buffer. The rows of a larger one keep a GPU busy by themselves.
const SMALL: usize = 1 << 20;
/// States that hold one number a row: the accumulator of row-wise Adagrad, the mark of an average.
const BY_ROW: [&str; 2] = [".sum", ".ema.seen"];

/// Which tables share buffers, and where each lies in them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Packed {
    /// Shape of each table, and cells and rows ahead of it.
    tables: BTreeMap<String, ([usize; 2], [usize; 2])>,
    /// Cells and rows of all.
    total: [usize; 2],
}

/// A place in a buffer that is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Which buffer: what is held of each table, empty for the tables themselves.
    pub arena: String,
    /// Words of that buffer.
    pub words: usize,
    /// First word.
    pub offset: usize,
}

impl Packed {
    /// The small tables, where the device is a GPU and one binding holds them together.
    pub(crate) fn new(device: &Device, params: &Params) -> Self {
        let mut packed = Self::default();
        if device.target() == Target::Cpu {
            return packed;
        }
        let most = usize::try_from(device.max_buffer_bytes() / 4).unwrap_or(usize::MAX);
        for p in params.list().iter().filter(|p| p.kind == ParamKind::Table) {
            let [rows, cols] = p.shape;
            let [cells, before] = packed.total;
            if rows * cols <= SMALL && cells + rows * cols <= most {
                packed.tables.insert(p.name.clone(), (p.shape, packed.total));
                packed.total = [cells + rows * cols, before + rows];
            }
        }
        packed
    }

    /// The place of a table, or of a state of this shape that is named `table.kind`; `None` for what has a buffer of its own.
    pub(crate) fn piece(&self, name: &str, shape: [usize; 2]) -> Option<Piece> {
        let ends = name.char_indices().filter(|(_, c)| *c == '.').map(|(i, _)| i).chain([name.len()]);
        // A table's name may hold dots: the longest that is one.
        let (end, (own, [cells, rows])) = ends.filter_map(|i| Some((i, self.tables.get(&name[..i])?))).next_back()?;
        let kind = &name[end..];
        let by_row = BY_ROW.contains(&kind);
        let (words, offset) = if by_row { (self.total[1], rows) } else { (self.total[0], cells) };
        let fits = shape == if by_row { [own[0], 1] } else { *own };
        fits.then(|| Piece { arena: kind.to_owned(), words, offset: *offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_lie_as_their_tables_do() {
        let tables = [("item", ([10, 4], [0, 0])), ("item.zone", ([20, 3], [40, 10]))];
        let packed = Packed { tables: tables.map(|(name, at)| (name.to_owned(), at)).into(), total: [100, 30] };
        let piece = |name, shape| packed.piece(name, shape).map(|p| (p.arena, p.words, p.offset));
        let some = |arena: &str, words, offset| Some((arena.to_owned(), words, offset));
        assert_eq!(piece("item", [10, 4]), some("", 100, 0));
        assert_eq!(piece("item.zone", [20, 3]), some("", 100, 40));
        assert_eq!(piece("item.zone.m", [20, 3]), some(".m", 100, 40));
        assert_eq!(piece("item.ema.seen", [10, 1]), some(".ema.seen", 30, 0));
        assert_eq!(piece("item.zone.sum", [20, 1]), some(".sum", 30, 10));
        assert_eq!(piece("item.mean", [1, 4]), None, "not as the table lies");
        assert_eq!(piece("user.m", [10, 4]), None);
    }
}
