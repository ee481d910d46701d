//! Pooled history slices: bags of table rows, and the gradient rows of a bag.

mod backward;
mod slices;

pub use backward::BagBackward;
pub(crate) use slices::Slices;

use super::fit;
use super::prefetch::prefetch;
use crate::simd::vectorize;
use crate::slabs::each_slab;
use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, Mat, MatMut, Operand, Operands, Signature, SlabCall, Slot};
use std::ops::Range;

/// Most windows that a bag may have.
pub const MAX_WINDOWS: usize = 16;

/// Positions of a bag's row, at most: up to the last window, a hole in it and `max_len`, and a slice that is longer than the items is
/// empty. Tapes always give a `max_len`; if nothing has an end, a row may hold all items.
fn longest(windows: &[usize], max_len: usize, items: Option<Operand>) -> usize {
    let end = windows.last().map_or(0, |end| if *end == 0 { usize::MAX } else { *end });
    end.saturating_add(1).min(max_len).min(items.map_or(0, |o| o.rows))
}

/// Rows of a batch in one CPU task.
const BLOCK: usize = 64;
/// Positions that the CPU twin prefetches ahead.
const AHEAD: usize = 32;

/// The ends of the windows as numbers of positions; 0 or `usize::MAX` (everything) becomes `u32::MAX`. Slots past the
/// last window repeat it.
///
/// # Panics
///
/// If there is no window, more than [`MAX_WINDOWS`], or they do not ascend.
#[must_use]
pub(crate) fn window_ends(windows: &[usize]) -> [u32; MAX_WINDOWS] {
    assert!((1..=MAX_WINDOWS).contains(&windows.len()), "a bag has 1 to {MAX_WINDOWS} windows");
    let end = |w: usize| {
        if w == 0 || w > u32::MAX as usize { u32::MAX } else { w as u32 }
    };
    let mut ends = [end(windows[windows.len() - 1]); MAX_WINDOWS];
    for (e, w) in ends.iter_mut().zip(windows) {
        *e = end(*w);
    }
    assert!(ends[..windows.len()].windows(2).all(|w| w[0] < w[1]), "windows ascend: {windows:?}");
    ends
}

/// A number of positions as a word; what no word holds is more than any slice has.
fn as_word(positions: usize) -> u32 {
    u32::try_from(positions).unwrap_or(u32::MAX)
}

/// Positions a row that costs count: the longest bounded window (a bag does not know how long its slices are).
fn positions(windows: &[usize]) -> usize {
    windows.iter().copied().filter(|w| *w < u32::MAX as usize).max().unwrap_or(1).max(1)
}

/// Pooled rows of history slices: for each window w, the sum (or mean) of the rows of the last w items of the slice.
///
/// `out[i, y * dim ..] = sum of table[items[start + len - 1 - k], :]` over the positions k < `min(windows[y], len)`, k
/// counted from the newest, that are kept: bit k of the row's `mask` is set (positions past the mask's bits are kept),
/// the place in `items` is not the row's `hole`, and the id is not 0 and a row of the table; a slice that does not lie in `items`
/// is empty. A hole in the slice is no position of a window: behind it k - 1 is compared with `windows[y]`, so that a window of w
/// holds the last w items other than the hole (bits of the mask stay with k). `mean` divides by the number of kept positions; an
/// empty window gives zeros. One pass: the running f32 sum goes from the newest to the oldest item and is written out at
/// each window's end, so all windows cost what the longest costs. With `zones` the sum and the count start anew after
/// each window: zone y holds the positions from `windows[y - 1]` to `windows[y]`, so that windows 1, 2, 3 of sums are the
/// last three rows side by side.
///
/// Windows ascend; the last may be 0 or `usize::MAX`: everything. At most [`MAX_WINDOWS`]. Of a slice that is longer than
/// `max_len` the newest `max_len` positions count, the hole's among them, here as in the gradient.
///
/// Reads `table` `[any, dim]` (row 0 is never read), `items` `[any, 1]` u32, `slice` `[rows, 2]` u32 (start, length),
/// optional `mask` `[rows, any]` u32, optional `hole` `[rows, 1]` u32; writes `out` `[rows, windows * dim]` (on a slab of
/// the table: those columns of each window alone, the windows `apart` columns from each other).
/// Cost per row: `positions * (dim + 1)` words read, `windows * dim` written, `positions * dim` additions.
/// Source: the pooled watch history of Covington et al., RecSys 2016, section 3.
#[derive(Debug, Clone, PartialEq)]
pub struct Bag {
    /// Rows of the batch.
    pub rows: usize,
    /// Columns of the table.
    pub dim: usize,
    /// Columns of `out` from one window's first to the next one's: `dim` for a whole table.
    pub apart: usize,
    /// Window lengths, ascending.
    pub windows: Vec<usize>,
    /// Most positions of a slice that count; `usize::MAX`: all.
    pub max_len: usize,
    /// Mean instead of sum.
    pub mean: bool,
    /// The zones between the windows' ends instead of nested windows.
    pub zones: bool,
}

pub(crate) fn slice_slots(rows: usize) -> [Slot; 4] {
    [
        Slot::u32("items", None, 1),
        Slot::u32("slice", rows, 2),
        Slot::u32("mask", rows, None).optional(),
        Slot::u32("hole", rows, 1).optional(),
    ]
}

/// The words that both shaders start with, and the bindings of the slices: shape, windows, mask words, then the slices'
/// operands.
fn slice_params(
    rows: usize,
    dim: usize,
    windows: &[usize],
    mean: bool,
    vocab: usize,
    slices: &[Option<Operand>],
) -> (Vec<u32>, Vec<Binding>) {
    let [items, slice, mask, hole] = [0, 1, 2, 3].map(|i| slices[i]);
    let mut params = vec![
        rows as u32,
        dim as u32,
        windows.len() as u32,
        u32::from(mean),
        mask.map_or(0, |m| m.cols as u32),
        u32::from(hole.is_some()),
        items.map_or(0, |o| o.rows as u32),
        vocab.min(u32::MAX as usize) as u32,
    ];
    for o in [items, slice, mask, hole] {
        params.extend(o.map_or([0, 0], |o| [o.offset as u32, o.stride as u32]));
    }
    (params, [items, slice, mask, hole].map(Binding::read).to_vec())
}

impl Kernel for Bag {
    fn name(&self) -> &'static str {
        "bag"
    }

    fn signature(&self) -> Signature {
        let mut reads = vec![Slot::f32("table", None, self.dim)];
        reads.extend(slice_slots(self.rows));
        let cols = self.windows.len().saturating_sub(1).saturating_mul(self.apart).saturating_add(self.dim);
        Signature { reads, writes: vec![Slot::f32("out", self.rows, cols)] }
    }

    fn mismatch(&self, _: &Operands) -> Option<String> {
        let apart = self.windows.len() <= 1 || self.apart >= self.dim;
        fit::windows(&self.windows).or_else(|| {
            fit::unless(apart, || format!("windows {} columns apart, of {} columns each", self.apart, self.dim))
        })
    }

    fn cost(&self) -> Cost {
        let read = positions(&self.windows) * (self.dim + 1) + 2;
        Cost {
            bytes: 4.0 * (self.rows * (read + self.windows.len() * self.dim)) as f64,
            flops: (self.rows * positions(&self.windows) * self.dim) as f64,
        }
    }

    fn on_slabs(&self, slabs: &[Range<usize>]) -> Option<Vec<SlabCall>> {
        Some(each_slab(slabs, |dim| Self { dim, ..self.clone() }))
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let ends = window_ends(&self.windows);
        let ends = &ends[..self.windows.len()];
        let (table, out) = (io.read(0), io.write(0));
        let slices = Slices::of(io, 1, table.rows, self.max_len);
        let (dim, apart, mean, zones) = (self.dim, self.apart, self.mean, self.zones);
        out.par_blocks(BLOCK, |first, mut out| {
            vectorize(
                #[inline(always)]
                || {
                    // The widest register tile that fits, again and again: widths 16, 32, 64 and 128 are one tile.
                    let mut c = 0;
                    while c < dim {
                        let tile = Tile { column: c, apart, ends, mean, zones };
                        c += match dim - c {
                            128.. => tile.pool::<128>(&table, &slices, first, &mut out),
                            64.. => tile.pool::<64>(&table, &slices, first, &mut out),
                            32.. => tile.pool::<32>(&table, &slices, first, &mut out),
                            16.. => tile.pool::<16>(&table, &slices, first, &mut out),
                            8.. => tile.pool::<8>(&table, &slices, first, &mut out),
                            4.. => tile.pool::<4>(&table, &slices, first, &mut out),
                            _ => tile.pool::<1>(&table, &slices, first, &mut out),
                        };
                    }
                },
            );
        });
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::bag(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let (table, out) = (operands.read(0), operands.write(0));
        let (mut params, slices) =
            slice_params(self.rows, self.dim, &self.windows, self.mean, table.rows, &operands.reads[1..]);
        for o in [table, out] {
            params.extend([o.offset as u32, o.stride as u32]);
        }
        // Windows start on 16 bytes.
        params.extend([self.apart as u32, u32::from(self.zones), as_word(self.max_len), 0]);
        params.extend(window_ends(&self.windows));
        let mut bindings = vec![Binding::Read(table.buffer)];
        bindings.extend(slices);
        bindings.push(Binding::Write(out.buffer));
        vec![Dispatch {
            shader: "bag",
            constants: vec![],
            params,
            step: false,
            bindings,
            workgroups: (self.rows * self.dim).div_ceil(64),
            iterations: longest(&self.windows, self.max_len, operands.reads[1]) + 2 * MAX_WINDOWS + 1,
        }]
    }
}

/// Some columns of all windows of a block of rows.
struct Tile<'a> {
    column: usize,
    apart: usize,
    ends: &'a [u32],
    mean: bool,
    zones: bool,
}

impl Tile<'_> {
    /// Pools columns `column .. column + T`; gives T.
    #[inline(always)]
    fn pool<const T: usize>(&self, table: &Mat<'_>, slices: &Slices<'_>, first: usize, out: &mut MatMut<'_>) -> usize {
        let (words, stride) = (table.f32(), table.stride);
        let longest = self.ends[self.ends.len() - 1];
        let cells = |id: u32| -> &[f32] {
            let at = id as usize * stride + self.column;
            words.get(at..at + T).unwrap_or(&[])
        };
        for r in 0..out.rows {
            let row = slices.row(first + r);
            let span = row.span(longest);
            let next = (r + 1 < out.rows).then(|| slices.row(first + r + 1));
            let out = out.row(r);
            let mut sum = [0.0f32; T];
            let (mut count, mut k) = (0u32, 0u32);
            for (y, end) in self.ends.iter().enumerate() {
                if self.zones {
                    (sum, count) = ([0.0; T], 0);
                }
                let to = row.span(*end);
                for k in k..to {
                    let ahead = k + AHEAD as u32;
                    if ahead < span {
                        prefetch(cells(row.id(slices, ahead)));
                    } else if let Some(next) = &next
                        && ahead - span < next.span(longest)
                    {
                        prefetch(cells(next.id(slices, ahead - span)));
                    }
                    if !row.kept(slices, k) {
                        continue;
                    }
                    count += 1;
                    let cells: &[f32; T] =
                        words[row.id(slices, k) as usize * stride + self.column..][..T].try_into().expect("T cells");
                    for l in 0..T {
                        sum[l] += cells[l];
                    }
                }
                k = to;
                let scale = if self.mean && count > 0 { 1.0 / count as f32 } else { 1.0 };
                let cells = &mut out[y * self.apart + self.column..][..T];
                for l in 0..T {
                    cells[l] = sum[l] * scale;
                }
            }
        }
        T
    }
}
