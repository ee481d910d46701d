//! Sums over the source rows of each distinct id.
//!
//! A run of [`LONG`] entries or more is cut into chunks of [`CHUNK`] from its start; the chunks are summed first, each
//! alone, and then added in order. So no hot id is one long serial loop, and the order of a sum depends on the run's length
//! alone: not on threads, nor on where the run lies.

use super::cells::places;
use super::fit;
use super::prefetch::prefetch;
use crate::simd::vectorize;
use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, Mat, MatMut, Operands, Signature, Slot};

/// Entries of a chunk.
pub(super) const CHUNK: usize = 256;
/// Entries of the shortest run that is cut into chunks.
const LONG: usize = 2 * CHUNK;

/// The shaders' constant.
/// Iterations of who sums a run of as many entries: its chunks, and what no chunk holds.
pub(super) fn iterations(entries: usize) -> usize {
    2 + if entries < LONG { entries } else { entries / CHUNK + CHUNK }
}

pub(super) const CHUNK_CONSTANT: (&str, f64) = ("CHUNK", CHUNK as f64);

/// Rows that hold the sums of the chunks of a table of at most `entries` entries; none where no run can be long.
pub(super) fn blocks(entries: usize) -> usize {
    if entries < LONG { 0 } else { entries.div_ceil(CHUNK) }
}

/// The runs of one table, as [`SegmentRuns`](super::SegmentRuns) packs them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segments<'a> {
    sources: Mat<'a>,
    runs: &'a [u32],
    /// Distinct ids.
    pub(crate) count: usize,
}

impl<'a> Segments<'a> {
    /// From the source rows in sorted order and the table's packed runs, a row.
    pub(crate) fn new(sources: Mat<'a>, runs: Mat<'a>, capacity: usize) -> Self {
        let runs = runs.row_u32(0);
        Self { sources, runs, count: (runs[0] as usize).min(capacity) }
    }

    /// Row of distinct id `k`.
    #[inline(always)]
    pub(crate) fn row(&self, k: usize) -> u32 {
        self.runs[2 * k + 2]
    }

    /// Writes the sums of the filled chunks of long runs. A chunk that starts within [`CHUNK`] entries and is filled ends
    /// past them, so these entries' row of `chunks` is its alone.
    pub(crate) fn sum_chunks(&self, source: &Mat<'_>, chunks: MatMut<'_>) {
        const TASK: usize = 16;
        if self.count == 0 {
            return;
        }
        let begin = self.run(0).0;
        chunks.par_blocks(TASK, |block, mut chunks| {
            vectorize(
                #[inline(always)]
                || {
                    for r in 0..chunks.rows {
                        let first = begin + (block + r) * CHUNK;
                        // The last run that starts before the end of these entries.
                        let (mut k, mut past) = (0, self.count);
                        while k + 1 < past {
                            let middle = k.midpoint(past);
                            if self.run(middle).0 < first + CHUNK {
                                k = middle;
                            } else {
                                past = middle;
                            }
                        }
                        let (start, end) = self.run(k);
                        let from = start + first.saturating_sub(start).next_multiple_of(CHUNK);
                        if end - start >= LONG && from + CHUNK <= end {
                            self.add(source, from, from + CHUNK, None, chunks.row(r));
                        }
                    }
                },
            );
        });
    }

    /// `g = sum of source[s, :]` over the source rows of distinct id `k`, ascending; of a long run the sums of its chunks
    /// first.
    #[inline(always)]
    pub(crate) fn sum(&self, source: &Mat<'_>, chunks: Option<&Mat<'_>>, k: usize, g: &mut [f32]) {
        let (from, to) = self.run(k);
        let long = chunks.filter(|_| to - from >= LONG);
        let (first, filled) = (from.saturating_sub(self.run(0).0) / CHUNK, (to - from) / CHUNK);
        // One call: it is inlined for each width, and is the most of an update's code.
        let from = if long.is_some() { from + filled * CHUNK } else { from };
        self.add(source, from, to, long.map(|chunks| (chunks, first, filled)), g);
    }

    /// `g` = sum of some chunks' rows (first, number), then of the source rows of entries `from..to`.
    #[inline(always)]
    fn add(&self, source: &Mat<'_>, from: usize, to: usize, chunks: Option<(&Mat<'_>, usize, usize)>, g: &mut [f32]) {
        let dim = g.len();
        let mut c = 0;
        while c < dim {
            c += match dim - c {
                128.. => self.tile::<128>(source, from, to, chunks, c, g),
                64.. => self.tile::<64>(source, from, to, chunks, c, g),
                32.. => self.tile::<32>(source, from, to, chunks, c, g),
                16.. => self.tile::<16>(source, from, to, chunks, c, g),
                8.. => self.tile::<8>(source, from, to, chunks, c, g),
                4.. => self.tile::<4>(source, from, to, chunks, c, g),
                _ => self.tile::<1>(source, from, to, chunks, c, g),
            };
        }
    }

    /// Asks for the source rows of distinct id `k`, the first few of them.
    #[inline(always)]
    pub(crate) fn prefetch(&self, source: &Mat<'_>, k: usize) {
        let (from, to) = self.run(k);
        for e in from..to.min(from + 4) {
            super::prefetch::prefetch_row(source, self.sources.id(e));
        }
    }

    /// Entries of distinct ids `from..to`.
    pub(crate) fn entries(&self, from: usize, to: usize) -> usize {
        self.runs[2 * to + 1].saturating_sub(self.runs[2 * from + 1]) as usize
    }

    #[inline(always)]
    fn run(&self, k: usize) -> (usize, usize) {
        // What `Group` writes lies in the sources, and ascends.
        let end = (self.runs[2 * k + 3] as usize).min(self.sources.rows);
        ((self.runs[2 * k + 1] as usize).min(end), end)
    }

    #[inline(always)]
    fn tile<const T: usize>(
        &self,
        source: &Mat<'_>,
        from: usize,
        to: usize,
        chunks: Option<(&Mat<'_>, usize, usize)>,
        c: usize,
        g: &mut [f32],
    ) -> usize {
        const AHEAD: usize = 8;
        let words = source.f32();
        let mut sum = [0.0f32; T];
        if let Some((chunks, first, filled)) = chunks {
            for j in first..(first + filled).min(chunks.rows) {
                let cells: &[f32; T] = chunks.row(j)[c..][..T].try_into().expect("T cells");
                for l in 0..T {
                    sum[l] += cells[l];
                }
            }
        }
        for e in from..to {
            if e + AHEAD < to {
                let at = self.sources.id(e + AHEAD) as usize * source.stride + c;
                prefetch(words.get(at..at + T).unwrap_or(&[]));
            }
            // A source row past the source, which `Group` does not write, is none.
            let at = self.sources.id(e) as usize * source.stride + c;
            let Some(cells) = words.get(at..at + T).and_then(|cells| <&[f32; T]>::try_from(cells).ok()) else {
                continue;
            };
            for l in 0..T {
                sum[l] += cells[l];
            }
        }
        g[c..c + T].copy_from_slice(&sum);
        T
    }
}

/// The slots that what sums the runs of a table reads: source rows, their places, the table's packed runs and chunks' sums.
pub(super) fn segment_slots(capacity: usize, entries: usize, dim: usize) -> Vec<Slot> {
    let chunks = Slot::f32("chunks", blocks(entries), dim);
    vec![
        Slot::f32("source", None, dim),
        Slot::u32("sources", None, 1),
        Slot::u32("runs", 1, capacity.saturating_mul(2).saturating_add(2)),
        if blocks(entries) == 0 { chunks.optional() } else { chunks },
    ]
}

/// The places and bindings of those operands in a dispatch.
pub(super) fn segment_operands(operands: &Operands) -> (Vec<u32>, Vec<Binding>) {
    let reads = &operands.reads[..4];
    let [source, sources, runs, chunks] = [0, 1, 2, 3].map(|i| reads[i]);
    let mut words: Vec<u32> = places(&[source, sources]).collect();
    words.push(runs.map_or(0, |o| o.offset as u32));
    words.extend(places(&[chunks]));
    (words, reads.iter().map(|o| Binding::read(*o)).collect())
}

/// Segmented sum: row k of `out` is the sum of the source rows of the k-th distinct id of one table.
///
/// `out[k, :] = sum of source[sources[e], :]` for e in the id's run, ascending e in one f32 a column; of 512 entries or more,
/// sums of 256 entries each first. Rows past the number of distinct ids are left as they are.
///
/// Reads `source` `[any, dim]`, `sources` `[any, 1]` of [`Group`](super::Group), and the table's part of the output of
/// [`SegmentRuns`](super::SegmentRuns): `runs` `[1, 2 rows + 2]` u32, `chunks` `[blocks, dim]`, left out where no run can be
/// long; writes `out` `[rows, dim]`. Moves at most `2 * rows * dim` words and their indices.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentSum {
    /// Most distinct ids that the table can have in a step.
    pub rows: usize,
    /// Most entries that it can have.
    pub entries: usize,
    /// Columns.
    pub dim: usize,
}

impl Kernel for SegmentSum {
    fn name(&self) -> &'static str {
        "segment_sum"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: segment_slots(self.rows, self.entries, self.dim),
            // Rows past the count keep what they hold.
            writes: vec![Slot::f32("out", self.rows, self.dim)],
        }
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 4.0 * (self.rows * (2 * self.dim + 2)) as f64, flops: (self.rows * self.dim) as f64 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (source, chunks) = (io.read(0), io.read_opt(3));
        let segments = Segments::new(io.read(1), io.read(2), self.rows);
        let block = (16_384 / self.dim.max(1)).max(16);
        io.write(0).par_blocks(block, |first, mut out| {
            let rows = segments.count.saturating_sub(first).min(out.rows);
            vectorize(
                #[inline(always)]
                || {
                    for r in 0..rows {
                        if r + 4 < rows {
                            segments.prefetch(&source, first + r + 4);
                        }
                        segments.sum(&source, chunks.as_ref(), first + r, out.row(r));
                    }
                },
            );
        });
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::segment_sum(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let (words, mut bindings) = segment_operands(operands);
        let mut params = vec![self.rows as u32, self.dim as u32];
        params.extend(words);
        params.extend(places(&operands.writes));
        bindings.push(Binding::write(operands.writes[0]));
        vec![Dispatch {
            shader: "segment_sum",
            constants: vec![CHUNK_CONSTANT],
            params,
            step: false,
            bindings,
            workgroups: (self.rows * self.dim).div_ceil(64),
            iterations: iterations(self.entries),
        }]
    }
}

/// Adds the rows of a [`SegmentSum`] to a dense matrix: `dense[keys[first[table] + k] - base, :] += rows[k, :]`.
///
/// For gradient checks and for tables small enough to be treated as dense. Each row of `dense` has one writer.
/// Reads `rows` `[capacity, dim]`, `keys` `[any, 1]` u32, `first` `[any, 1]` u32; updates `dense` `[rows, dim]` in place.
/// Moves at most `3 * capacity * dim` words.
#[derive(Debug, Clone, PartialEq)]
pub struct ScatterRows {
    /// The table whose rows are added.
    pub table: usize,
    /// Its first global key.
    pub base: u32,
    /// Most distinct ids that the table can have in a step.
    pub capacity: usize,
    /// Columns.
    pub dim: usize,
    /// Rows of the dense matrix.
    pub rows: usize,
}

impl Kernel for ScatterRows {
    fn name(&self) -> &'static str {
        "scatter_rows"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![
                Slot::f32("rows", self.capacity, self.dim),
                Slot::u32("keys", None, 1),
                Slot::u32("first", None, 1),
            ],
            writes: vec![Slot::f32("dense", self.rows, self.dim).in_place()],
        }
    }

    fn mismatch(&self, operands: &Operands) -> Option<String> {
        fit::table(self.table, operands.read(2).rows.saturating_sub(1))
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 4.0 * (self.capacity * (3 * self.dim + 1)) as f64, flops: (self.capacity * self.dim) as f64 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (rows, keys, first) = (io.read(0), io.read(1), io.read(2));
        let mut dense = io.write(0);
        let (from, to) = (first.id(self.table) as usize, first.id(self.table + 1) as usize);
        for k in 0..to.min(keys.rows).saturating_sub(from).min(self.capacity) {
            let id = keys.id(from + k).wrapping_sub(self.base);
            if id as usize >= self.rows {
                continue; // no row of the table
            }
            for (d, x) in dense.row(id as usize).iter_mut().zip(rows.row(k)) {
                *d += x;
            }
        }
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let [rows, keys, first] = [0, 1, 2].map(|i| operands.read(i));
        let dense = operands.write(0);
        let mut params = vec![self.capacity as u32, self.dim as u32, self.table as u32, self.base, self.rows as u32];
        for o in [rows, keys, first, dense] {
            params.extend([o.offset as u32, o.stride as u32]);
        }
        vec![Dispatch {
            shader: "scatter_rows",
            constants: vec![],
            params,
            step: false,
            bindings: vec![
                Binding::Read(rows.buffer),
                Binding::Read(keys.buffer),
                Binding::Read(first.buffer),
                Binding::Write(dense.buffer),
            ],
            workgroups: (self.capacity * self.dim).div_ceil(64),
            iterations: 0,
        }]
    }
}
