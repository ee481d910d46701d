//! The CPU twin of the row updates: distinct ids ascend, so cutting them in two cuts the table in two.

use super::{RowRule, UpdatePart};
use crate::kernels::prefetch::prefetch;
use crate::kernels::segment_sum::Segments;
use crate::parallel::join;
use crate::simd::{dot, vectorize};
use crate::{Mat, MatMut};

/// Rows ahead that are prefetched, of all matrices together: enough to hide memory, few enough for the cache.
const AHEAD: usize = 32;
/// Moments below this become 0: denormals are slow, and they move nothing.
const TINY: f32 = 1e-36;

/// Some rows of a matrix, from row `Rows::base` on.
struct Part<'a> {
    words: &'a mut [f32],
    stride: usize,
    cols: usize,
}

impl<'a> Part<'a> {
    fn new(m: MatMut<'a>) -> Self {
        let (stride, cols) = (m.stride, m.cols);
        Self { words: m.into_f32(), stride, cols }
    }

    fn split(self, rows: usize) -> (Self, Self) {
        let (stride, cols) = (self.stride, self.cols);
        let (low, high) = self.words.split_at_mut(rows.saturating_mul(stride).min(self.words.len()));
        let part = |words| Part { words, stride, cols };
        (part(low), part(high))
    }

    #[inline(always)]
    fn row(&mut self, r: usize) -> &mut [f32] {
        &mut self.words[r * self.stride..][..self.cols]
    }

    #[inline(always)]
    fn prefetch(&self, r: usize) {
        let start = r.saturating_mul(self.stride);
        prefetch(self.words.get(start..start.saturating_add(self.cols)).unwrap_or(&[]));
    }
}

/// The rows that an update writes: the table's and its states', the same range of each.
pub(super) struct Rows<'a> {
    table: Option<Part<'a>>,
    one: Option<Part<'a>>,
    two: Option<Part<'a>>,
    len: usize,
}

impl<'a> Rows<'a> {
    pub(super) fn new(table: Option<MatMut<'a>>, one: Option<MatMut<'a>>, two: Option<MatMut<'a>>) -> Self {
        let len = [&table, &one, &two].into_iter().flatten().map(|m| m.rows).min().unwrap_or(0);
        Self { table: table.map(Part::new), one: one.map(Part::new), two: two.map(Part::new), len }
    }

    /// Rows of all of them.
    #[inline(always)]
    fn len(&self) -> usize {
        self.len
    }

    fn split(self, rows: usize) -> (Self, Self) {
        let (table, high) = self.table.map(|p| p.split(rows)).unzip();
        let (one, high_one) = self.one.map(|p| p.split(rows)).unzip();
        let (two, high_two) = self.two.map(|p| p.split(rows)).unzip();
        let low = Self { table, one, two, len: self.len.min(rows) };
        let high = Self { table: high, one: high_one, two: high_two, len: self.len.saturating_sub(rows) };
        (low, high)
    }
}

/// What one update reads.
pub(super) struct Update<'a> {
    pub(super) rule: RowRule,
    pub(super) part: UpdatePart,
    pub(super) source: Mat<'a>,
    pub(super) segments: Segments<'a>,
    pub(super) chunks: Option<Mat<'a>>,
    pub(super) lr: f32,
    pub(super) bias1: f32,
    pub(super) bias2: f32,
}

impl Update<'_> {
    /// Updates distinct ids `from..to`, whose rows lie in `rows`, which start at row `base`. Halves the work until a task
    /// is small; a row has one writer, so the cut changes no bit.
    pub(super) fn cut(&self, from: usize, to: usize, base: usize, rows: Rows<'_>) {
        let dim = self.source.cols;
        let task = (131_072 / dim.max(1)).clamp(256, 16_384);
        if to - from <= 1 || self.work(from, to) <= task {
            return vectorize(
                #[inline(always)]
                // The one width that gains by being known: 16 and 32 do not, and 128 cells unrolled are slower than the loop.
                || match dim {
                    64 => self.each::<64>(from, to, base, rows),
                    _ => self.each::<0>(from, to, base, rows),
                },
            );
        }
        // Hot ids have long runs: half of the work, not of the ids. The first half keeps at least one, and so does the second.
        let half = self.work(from, to) / 2;
        let (mut low, mut high) = (from + 1, to - 1);
        while low < high {
            let middle = (low + high) / 2;
            if self.work(from, middle) < half {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let middle = low;
        let row = self.row(middle).max(base);
        let (low, high) = rows.split(row - base);
        join(|| self.cut(from, middle, base, low), || self.cut(middle, to, row, high));
    }

    /// Rows that ids `from..to` read and write, about.
    fn work(&self, from: usize, to: usize) -> usize {
        self.segments.entries(from, to) + 3 * (to - from)
    }

    #[inline(always)]
    fn row(&self, k: usize) -> usize {
        self.segments.row(k) as usize
    }

    /// One task, for rows of D columns (0: any number).
    #[inline(always)]
    fn each<const D: usize>(&self, from: usize, to: usize, base: usize, mut rows: Rows<'_>) {
        let dim = if D == 0 { self.source.cols } else { D };
        let (mut few, mut many) = ([0.0f32; 128], Vec::new());
        let g = if dim <= few.len() {
            &mut few[..dim]
        } else {
            many.resize(dim, 0.0);
            &mut many[..]
        };
        let ahead = AHEAD / [&rows.table, &rows.one, &rows.two].into_iter().flatten().count().max(1);
        for k in from..to {
            if k + ahead < to {
                self.segments.prefetch(&self.source, k + ahead);
                let ahead = self.row(k + ahead).saturating_sub(base);
                for part in [&rows.table, &rows.one, &rows.two].into_iter().flatten() {
                    part.prefetch(ahead);
                }
            }
            self.segments.sum(&self.source, self.chunks.as_ref(), k, g);
            // A row past the table, which `Group` does not write, is left alone.
            let Some(r) = self.row(k).checked_sub(base).filter(|r| *r < rows.len()) else { continue };
            let w = rows.table.as_mut().map_or(&mut [][..], |table| &mut table.row(r)[..dim]);
            match (self.rule, &mut rows.one, &mut rows.two) {
                (RowRule::Adagrad { eps }, Some(state), _) => {
                    let a = &mut state.row(r)[0];
                    if self.part != UpdatePart::Table {
                        *a += dot(g, g) / dim as f32;
                    }
                    if self.part != UpdatePart::Accumulators {
                        let scale = self.lr / (a.sqrt() + eps);
                        for l in 0..dim {
                            w[l] -= scale * g[l];
                        }
                    }
                }
                (RowRule::Adam { beta1, beta2, eps }, Some(m), Some(v)) => {
                    let (m, v) = (&mut m.row(r)[..dim], &mut v.row(r)[..dim]);
                    for l in 0..dim {
                        let m1 = beta1 * m[l] + (1.0 - beta1) * g[l];
                        let v1 = beta2 * v[l] + (1.0 - beta2) * g[l] * g[l];
                        m[l] = if m1.abs() < TINY { 0.0 } else { m1 };
                        v[l] = if v1 < TINY { 0.0 } else { v1 };
                        w[l] -= self.lr * (m[l] * self.bias1) / ((v[l] * self.bias2).sqrt() + eps);
                    }
                }
                // Plain SGD; the signature gives the other rules their states.
                _ => {
                    for l in 0..dim {
                        w[l] -= self.lr * g[l];
                    }
                }
            }
        }
    }
}
