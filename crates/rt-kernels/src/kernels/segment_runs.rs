//! What everything that sums the runs of tables needs first, for all tables of a grouping at once: their runs packed, the
//! chunks of their long runs summed.

use super::cells::places;
use super::fit;
use super::segment_sum::{CHUNK, CHUNK_CONSTANT, Segments, blocks};
use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, Mat, MatMut, Operand, Operands, Signature, Slot};

/// A table of a [`SegmentRuns`]: its runs and its chunks' sums have places of their own in the outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentTable {
    /// Its first global key.
    pub base: u32,
    /// Most distinct ids that it can have in a step.
    pub capacity: usize,
    /// Most entries that it can have.
    pub entries: usize,
    /// Columns.
    pub dim: usize,
}

impl SegmentTable {
    /// Words of its packed runs.
    #[must_use]
    pub fn run_words(&self) -> usize {
        self.capacity.saturating_mul(2).saturating_add(2)
    }

    /// Rows of its chunks' sums; none where no run can be long.
    #[must_use]
    pub fn blocks(&self) -> usize {
        blocks(self.entries)
    }
}

/// Packs the runs of each table of a grouping, and sums the chunks of its long ones, for [`SegmentSum`](super::SegmentSum) and
/// [`UpdateRows`](super::UpdateRows).
///
/// A table's packed runs are `[count, start 0, row 0, start 1, row 1, ..., row count-1, end]`: run k, of the distinct id that is
/// row k of the table, is entries start k .. start k+1. A run of 512 entries or more is cut into chunks of 256 from its start;
/// row `(start - start 0) / 256 + j` of the table's chunks is the sum of the source rows of chunk j, ascending, for every chunk
/// that the run fills.
///
/// Reads `keys`, `sources`, `starts` `[any, 1]` and `first` `[tables + 1, 1]` of [`Group`](super::Group), u32, and each table's
/// `source` `[any, dim]`; writes `runs` `[1, sum of the tables' words]` u32 and `chunks` `[1, sum of blocks * dim]`, tables one
/// after the other. Words past the counts keep what they hold. Moves 4 words a distinct id, and long runs' source rows. On the
/// GPU one dispatch packs 16 tables, and one sums the chunks of as many tables as seven bindings hold.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentRuns {
    /// The tables, as in the grouping.
    pub tables: Vec<SegmentTable>,
}

/// Tables of a dispatch, as in the shaders; sources that one dispatch binds.
const TABLES: usize = 16;
const SLOTS: usize = 4;
/// Words that a task packs.
const TASK: usize = 16_384;

impl SegmentRuns {
    /// Words of both outputs.
    #[must_use]
    pub fn words(&self) -> [usize; 2] {
        let sum = |words: fn(&SegmentTable) -> usize| self.tables.iter().map(words).fold(0, usize::saturating_add);
        [sum(SegmentTable::run_words), sum(|t| t.blocks().saturating_mul(t.dim))]
    }

    /// First word of each table in both outputs.
    #[must_use]
    pub fn places(&self) -> Vec<[usize; 2]> {
        let mut next = [0, 0];
        let place = |t: &SegmentTable| {
            let own = next;
            next = [next[0] + t.run_words(), next[1] + t.blocks() * t.dim];
            own
        };
        self.tables.iter().map(place).collect()
    }

    fn pack(&self, operands: &Operands) -> Vec<Dispatch> {
        let [keys, starts, first] = [0, 2, 3].map(|i| operands.read(i));
        let runs = operands.write(0);
        let starts_at = self.places();
        let mut list = Vec::new();
        for (number, tables) in (0..).step_by(TABLES).zip(self.tables.chunks(TABLES)) {
            let mut params = vec![tables.len() as u32, number as u32];
            params.extend(places(&[Some(keys), Some(starts), Some(first)]));
            let mut cells = 0;
            for (table, [at, _]) in tables.iter().zip(&starts_at[number..]) {
                params.extend([cells as u32, table.capacity as u32, table.base, (runs.offset + at) as u32]);
                cells += table.capacity + 1;
            }
            params.resize(8 + 4 * TABLES, 0);
            list.push(Dispatch {
                shader: "segment_pack",
                constants: vec![],
                params,
                step: false,
                bindings: vec![
                    Binding::Read(keys.buffer),
                    Binding::Read(starts.buffer),
                    Binding::Read(first.buffer),
                    Binding::Write(runs.buffer),
                ],
                workgroups: cells.div_ceil(64),
                iterations: TABLES,
            });
        }
        list
    }
}

/// Tables whose chunks one dispatch sums.
#[derive(Default)]
struct Together {
    /// Buffers of source rows, in the order of the bindings.
    buffers: Vec<usize>,
    tables: usize,
    cells: usize,
    words: Vec<u32>,
}

impl Together {
    fn has_room(&self, source: &Operand) -> bool {
        self.tables < TABLES && (self.buffers.contains(&source.buffer) || self.buffers.len() < SLOTS)
    }

    fn add(&mut self, table: &SegmentTable, source: &Operand, runs: usize, chunks: usize) {
        let slot = self.buffers.iter().position(|b| *b == source.buffer).unwrap_or_else(|| {
            self.buffers.push(source.buffer);
            self.buffers.len() - 1
        });
        let cells = table.blocks() * table.dim;
        let words = [self.cells, cells, table.dim, slot, source.offset, source.stride, runs, chunks];
        self.words.extend(words.map(|x| x as u32));
        self.cells += cells;
        self.tables += 1;
    }

    fn dispatch(self, sources: &Operand, runs: &Operand, chunks: &Operand) -> Option<Dispatch> {
        let mut params = vec![self.tables as u32, sources.offset as u32, sources.stride as u32, 0];
        params.extend(self.words);
        params.resize(4 + 8 * TABLES, 0);
        let mut bindings: Vec<Binding> = self.buffers.into_iter().map(Binding::Read).collect();
        bindings.resize(SLOTS, Binding::NoRead);
        bindings.extend([Binding::Read(sources.buffer), Binding::Read(runs.buffer), Binding::Write(chunks.buffer)]);
        (self.cells > 0).then(|| Dispatch {
            shader: "segment_chunks",
            constants: vec![CHUNK_CONSTANT],
            params,
            step: false,
            bindings,
            workgroups: self.cells.div_ceil(64),
            // The table, the run by a binary search, the chunk.
            iterations: TABLES + 33 + CHUNK + 1,
        })
    }
}

impl Kernel for SegmentRuns {
    fn name(&self) -> &'static str {
        "segment_runs"
    }

    fn signature(&self) -> Signature {
        let mut reads = vec![
            Slot::u32("keys", None, 1),
            Slot::u32("sources", None, 1),
            Slot::u32("starts", None, 1),
            Slot::u32("first", self.tables.len() + 1, 1),
        ];
        reads.extend(self.tables.iter().map(|t| Slot::f32("source", None, t.dim)));
        let [runs, chunks] = self.words();
        let sums = Slot::f32("chunks", 1, chunks);
        let sums = if chunks == 0 { sums.optional() } else { sums };
        Signature { reads, writes: vec![Slot::u32("runs", 1, runs), sums] }
    }

    fn mismatch(&self, operands: &Operands) -> Option<String> {
        let starts = operands.read(2).rows;
        fit::unless(starts > 0, || "`starts` has no row, and the end of the last run is one".into())
    }

    fn cost(&self) -> Cost {
        let [runs, _] = self.words();
        Cost { bytes: 8.0 * runs as f64, flops: 0.0 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let [keys, sources, starts, first] = [0, 1, 2, 3].map(|i| io.read(i));
        let [words, _] = self.words();
        let runs = &mut io.write(0).into_u32()[..words];
        let mut rest = &mut *runs;
        for (t, table) in self.tables.iter().enumerate() {
            let own = rest.split_off_mut(..table.run_words()).unwrap_or_default();
            let begin = first.id(t) as usize;
            let last = (first.id(t + 1) as usize).min(keys.rows).min(starts.rows.saturating_sub(1));
            let begin = begin.min(last);
            let count = (last - begin).min(table.capacity);
            let own = &mut own[..2 * count + 2];
            let many = own.len();
            // Word 0 is the count; an odd word 2 k + 1 is a start, the word after it a row.
            MatMut::new(own, many, 1, 1).par_blocks(TASK, |from, block| {
                for (word, i) in block.into_u32().iter_mut().zip(from..) {
                    let k = begin + i.saturating_sub(1) / 2;
                    *word = match i {
                        0 => count as u32,
                        _ if i % 2 == 1 => starts.id(k),
                        _ => keys.id(k).wrapping_sub(table.base),
                    };
                }
            });
        }
        let Some(chunks) = io.write_opt(1) else { return };
        let mut rest = chunks.into_u32();
        for (t, (table, [at, _])) in self.tables.iter().zip(self.places()).enumerate() {
            let blocks = table.blocks();
            let own = rest.split_off_mut(..blocks * table.dim).unwrap_or_default();
            if own.is_empty() {
                continue;
            }
            let own_runs = Mat::new(&runs[at..at + table.run_words()], 1, table.run_words(), table.run_words());
            let segments = Segments::new(sources, own_runs, table.capacity);
            segments.sum_chunks(&io.read(4 + t), MatMut::new(own, blocks, table.dim, table.dim));
        }
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let mut list = self.pack(operands);
        let (sources, runs) = (operands.read(1), operands.write(0));
        let Some(chunks) = operands.writes[1] else { return list };
        let mut some = Together::default();
        for (t, (table, [at, sums_at])) in self.tables.iter().zip(self.places()).enumerate() {
            let source = operands.read(4 + t);
            if table.blocks() == 0 {
                continue;
            }
            if !some.has_room(&source) {
                list.extend(std::mem::take(&mut some).dispatch(&sources, &runs, &chunks));
            }
            some.add(table, &source, runs.offset + at, chunks.offset + sums_at);
        }
        list.extend(some.dispatch(&sources, &runs, &chunks));
        list
    }
}
