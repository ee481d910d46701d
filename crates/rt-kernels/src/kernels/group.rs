//! Grouping of ids: which rows a step touches, and from where.

mod cpu;
mod gpu;

use super::fit;
use crate::{Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot, Target};

/// A table whose ids are grouped. Its ids have the global keys `base + id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupTable {
    /// Global key of the table's id 0; 0 for the first table, at least the end of the table before for the others.
    pub base: u32,
    /// Rows of the table.
    pub rows: u32,
}

/// One use of a table in a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupUse {
    /// The table's number.
    pub table: usize,
    /// First row of this use in the table's matrix of gradient rows.
    pub source: u32,
    /// First entry of this use: the number of entries of the uses before it.
    pub entry: usize,
    /// Ids or slices.
    pub kind: UseKind,
}

/// How a use names its ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UseKind {
    /// A column of ids: entry i is id i, its source row is `source + i`.
    Ids {
        /// Number of ids.
        n: usize,
    },
    /// The slices of a [`Bag`](super::Bag): entry `i * max_len + k` is position k (from the newest) of row i, its source
    /// row is `source + i * W + zone(k)`, the zone being the first window that holds k (past a hole k - 1).
    Bag {
        /// Rows of the batch.
        rows: usize,
        /// Longest slice: entries a row.
        max_len: usize,
        /// Window lengths, ascending.
        windows: Vec<usize>,
    },
}

impl UseKind {
    /// Entries of the use, null ones included.
    #[must_use]
    pub fn entries(&self) -> usize {
        match self {
            Self::Ids { n } => *n,
            Self::Bag { rows, max_len, .. } => rows.saturating_mul(*max_len),
        }
    }

    /// Source rows of the use.
    fn sources(&self) -> usize {
        match self {
            Self::Ids { n } => *n,
            Self::Bag { rows, windows, .. } => rows.saturating_mul(windows.len()),
        }
    }
}

/// Groups the ids of all uses of all tables: the distinct ids, ascending, and for each the source rows that hold its
/// gradient.
///
/// An entry is (key, source row). Its key is `base + id`, and null for id 0, for ids past the table, for positions that a mask or hole takes out
/// of a bag, and for positions past a slice's length or its last window, for slices that do not lie in the items; null entries do not appear in the output. Entries
/// are sorted by (key, entry number): a stable radix sort over the bits of the total key range alone, all tables at once.
///
/// Reads, for each use in order: `ids` `[n, 1]` for [`UseKind::Ids`]; `items` `[any, 1]`, `slice` `[rows, 2]`, optional
/// `mask` `[rows, any]`, optional `hole` `[rows, 1]` for [`UseKind::Bag`]; all u32. Writes `keys` `[capacity, 1]` (distinct
/// keys), `sources` `[capacity, 1]` (source rows in sorted order), `starts` `[capacity + 1, 1]` (the run of distinct key d is
/// `sources[starts[d] .. starts[d + 1]]`), `first` `[T + 1, 1]` (distinct keys of table t: `first[t] .. first[t + 1]`), all
/// u32. Words past the counts are left as they are. The capacity is the number of entries of all uses.
///
/// Cost: an id read and 4 words written an entry, the least that any way needs; a pass of the sort reads and writes 2 words
/// an entry once more. On the GPU one dispatch for as many uses as seven bindings hold, three for each 8 bits of the key range, and four at
/// the end; the grids
/// are the worst case, and the counts stay on the device. Weak spot: on the GPU null entries are sorted too.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The uses, in the order of their operands.
    pub uses: Vec<GroupUse>,
    /// The tables, ascending by base.
    pub tables: Vec<GroupTable>,
    /// Entries of all uses.
    pub capacity: usize,
}

impl Group {
    /// Keys are below this.
    fn key_range(&self) -> u64 {
        self.tables.last().map_or(1, |t| (u64::from(t.base) + u64::from(t.rows)).max(1))
    }

    /// Bits that the sort looks at.
    fn key_bits(&self) -> u32 {
        64 - (self.key_range() - 1).leading_zeros()
    }
}

impl Kernel for Group {
    fn name(&self) -> &'static str {
        "group"
    }

    fn signature(&self) -> Signature {
        let mut reads = Vec::new();
        for item in &self.uses {
            match item.kind {
                UseKind::Ids { n } => reads.push(Slot::u32("ids", n, 1)),
                UseKind::Bag { rows, .. } => reads.extend(super::bag::slice_slots(rows)),
            }
        }
        let n = self.capacity;
        Signature {
            reads,
            writes: vec![
                Slot::u32("keys", n, 1),
                Slot::u32("sources", n, 1),
                Slot::u32("starts", n.saturating_add(1), 1),
                Slot::u32("first", self.tables.len() + 1, 1),
            ],
        }
    }

    fn mismatch(&self, _: &Operands) -> Option<String> {
        let mut entry = 0;
        for used in &self.uses {
            let wrong = match &used.kind {
                UseKind::Ids { n } => fit::word("ids", *n),
                UseKind::Bag { max_len, windows, .. } => {
                    fit::windows(windows).or_else(|| fit::word("slices of", *max_len))
                }
            };
            let wrong = wrong.or_else(|| fit::table(used.table, self.tables.len())).or_else(|| {
                fit::unless(used.entry == entry, || format!("a use from entry {}, {entry} come before", used.entry))
            });
            let end = (used.source as usize).saturating_add(used.kind.sources());
            let wrong = wrong.or_else(|| fit::word("source rows up to", end));
            if wrong.is_some() {
                return wrong;
            }
            entry = entry.saturating_add(used.kind.entries());
        }
        let n = self.capacity;
        let mut end = 0;
        let ascend = self.tables.iter().all(|t| {
            let fits = u64::from(t.base) >= end;
            end = u64::from(t.base) + u64::from(t.rows);
            fits
        });
        let fits = ascend && end <= 1 << 32;
        fit::unless(entry == n, || format!("a capacity of {n}, the uses have {entry} entries"))
            .or_else(|| fit::word("capacity", n.saturating_add(1)))
            .or_else(|| fit::unless(fits, || "tables whose keys overlap, do not ascend or pass 32 bits".to_owned()))
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 4.0 * (5 * self.capacity) as f64, flops: 0.0 }
    }

    fn scratch(&self, target: Target) -> Vec<usize> {
        match target {
            Target::Cpu => cpu::scratch(self),
            Target::Gpu => gpu::scratch(self),
        }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        cpu::run(self, io);
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::group(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        gpu::dispatches(self, operands)
    }
}
