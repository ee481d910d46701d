//! Matrix products on one thread: a safe door to the `gemm` crate, and rectangles of an output that threads can
//! write side by side. The callers cut the work, by shapes alone, so that any number of threads gives the same bits.
#![allow(
    unsafe_code,
    reason = "the gemm crate takes raw pointers, and column cuts of a row-major matrix cannot be slices"
)]

mod bf16;

use crate::kernel::extent;
use crate::parallel::join;
use crate::simd::LANES;
use crate::{Mat, MatMut};
use std::marker::PhantomData;
use std::ops::Range;

pub(crate) use bf16::{Bf16, Packed, Right};

/// Rows of `a` in a product whose `b` `gemm` reads where it lies, if rows of `b` are whole vectors: of more rows (32 to 48, by the
/// instruction set) it copies `b` into panels first, anew for each product.
pub(crate) const NO_COPY: usize = 24;

/// Words from one row to the next, for rows of `words` that many products read: whole vectors, and an odd number of them, so
/// that rows do not meet in the same lines of the first-level cache.
pub(crate) fn apart(words: usize) -> usize {
    (words.div_ceil(LANES) | 1) * LANES
}

/// Rows of a matrix as columns `[mat.cols, stride]`, zeros behind them, where `out` has `mat.cols * stride` words: as the `b` of
/// many products they are turned once, where `gemm` would do it for each.
pub(crate) fn turn(mat: &Mat<'_>, rows: Range<usize>, stride: usize, out: &mut [f32]) {
    let count = rows.len();
    for (i, r) in rows.enumerate() {
        for (column, x) in out.chunks_mut(stride).zip(mat.row(r)) {
            column[i] = *x;
        }
    }
    out.chunks_mut(stride).for_each(|column| column[count..].fill(0.0));
}

/// The stride of a matrix that lies within `have` words, and its length. One that no cell needs is made small, so that no product
/// with a stride leaves what a pointer can count. Panics if a cell lies outside, in every profile.
#[inline]
fn within(have: usize, [rows, cols, stride]: [usize; 3]) -> (usize, usize) {
    if rows == 0 || cols == 0 {
        return (0, 0);
    }
    let stride = if rows == 1 { cols } else { stride };
    let words = extent(rows, cols, stride).filter(|words| *words <= have);
    (stride, words.unwrap_or_else(|| panic!("a matrix [{rows}, {cols}] with stride {stride} in {have} words")))
}

/// A matrix that is read: cell (r, c) is `data[r * row + c * col]`, and every cell lies within `data`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row: usize,
    col: usize,
}

impl<'a> View<'a> {
    /// Rows `stride` apart. Panics if a cell lies outside of `data`.
    #[inline]
    pub(crate) fn new(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Self {
        let (row, words) = within(data.len(), [rows, cols, stride]);
        Self { data: &data[..words], rows, cols, row, col: 1 }
    }

    /// Number of rows.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[inline]
    pub(crate) fn width(&self) -> usize {
        self.cols
    }

    /// The transposed matrix.
    #[inline]
    pub(crate) fn transposed(self) -> Self {
        Self { rows: self.cols, cols: self.rows, row: self.col, col: self.row, ..self }
    }

    /// `count` rows from `first` on.
    #[inline]
    pub(crate) fn rows(self, first: usize, count: usize) -> Self {
        let fits = first.checked_add(count).is_some_and(|end| end <= self.rows);
        assert!(fits, "rows {first} + {count} of {}", self.rows);
        // No overflow: the stride is 0 where there is no cell, and first + count rows lie within the slice but for one stride.
        let skip = (first * self.row).min(self.data.len());
        Self { data: &self.data[skip..], rows: count, ..self }
    }

    /// `count` columns from `first` on.
    #[inline]
    pub(crate) fn cols(self, first: usize, count: usize) -> Self {
        self.transposed().rows(first, count).transposed()
    }
}

impl<'a> From<Mat<'a>> for View<'a> {
    fn from(mat: Mat<'a>) -> Self {
        Self::new(mat.f32(), mat.rows, mat.cols, mat.stride)
    }
}

/// A rectangle of a row-major matrix that this value alone may write.
#[derive(Debug)]
pub(crate) struct Tile<'a> {
    start: *mut f32,
    rows: usize,
    cols: usize,
    stride: usize,
    owner: PhantomData<&'a mut [f32]>,
}

// SAFETY: a tile is an exclusive borrow of its cells, as `&mut [f32]` is; tiles made by `split_*` share no cell.
unsafe impl Send for Tile<'_> {}

impl<'a> Tile<'a> {
    /// Rows `stride` apart. Panics if a cell lies outside of `data`.
    pub(crate) fn new(data: &'a mut [f32], rows: usize, cols: usize, stride: usize) -> Self {
        let (stride, _) = within(data.len(), [rows, cols, stride]);
        assert!(rows <= 1 || cols <= stride || cols == 0, "rows do not overlap");
        Self { start: data.as_mut_ptr(), rows, cols, stride, owner: PhantomData }
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    /// The same tile, borrowed for a while.
    #[inline]
    pub(crate) fn borrow(&mut self) -> Tile<'_> {
        Tile { ..*self }
    }

    /// Row `r`.
    #[inline(always)]
    pub(crate) fn row(&mut self, r: usize) -> &mut [f32] {
        assert!(r < self.rows, "row {r} of {}", self.rows);
        // SAFETY: `new` checked that all cells lie inside a slice borrowed for 'a; `split_*` only shrink the
        // rectangle; row r is inside it, and `&mut self` makes this the only reference to its cells. Of a rectangle without
        // columns the row is empty: its stride is 0 from `new`, or it was cut off at the end of rows that lie inside.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(r * self.stride), self.cols) }
    }

    /// Rows before `at` and from `at` on.
    #[inline]
    pub(crate) fn split_rows(self, at: usize) -> (Self, Self) {
        assert!(at <= self.rows);
        let below = Tile {
            // wrapping: an empty part may start past the end of the slice, and is never read.
            start: self.start.wrapping_add(at * self.stride),
            rows: self.rows - at,
            ..self
        };
        (Tile { rows: at, ..self }, below)
    }

    /// Columns before `at` and from `at` on.
    #[inline]
    pub(crate) fn split_cols(self, at: usize) -> (Self, Self) {
        assert!(at <= self.cols);
        let right = Tile { start: self.start.wrapping_add(at), cols: self.cols - at, ..self };
        (Tile { cols: at, ..self }, right)
    }

    /// Cuts into rectangles of at most `block` (rows, columns) and gives each, with its first row and column, to
    /// `f`, in parallel. The cut depends on shapes alone.
    pub(crate) fn par_tiles(self, block: (usize, usize), f: &(dyn Fn(usize, usize, Tile<'_>) + Sync)) {
        if self.rows > 0 && self.cols > 0 {
            self.par_tiles_at((0, 0), block, f);
        }
    }

    fn par_tiles_at(self, (r, c): (usize, usize), block: (usize, usize), f: &(dyn Fn(usize, usize, Tile<'_>) + Sync)) {
        if self.rows > block.0 {
            let at = self.rows.div_ceil(block.0) / 2 * block.0;
            let (a, b) = self.split_rows(at);
            join(|| a.par_tiles_at((r, c), block, f), || b.par_tiles_at((r + at, c), block, f));
        } else if self.cols > block.1 {
            let at = self.cols.div_ceil(block.1) / 2 * block.1;
            let (a, b) = self.split_cols(at);
            join(|| a.par_tiles_at((r, c), block, f), || b.par_tiles_at((r, c + at), block, f));
        } else {
            f(r, c, self);
        }
    }
}

impl<'a> From<MatMut<'a>> for Tile<'a> {
    fn from(mat: MatMut<'a>) -> Self {
        let (rows, cols, stride) = (mat.rows, mat.cols, mat.stride);
        Self::new(mat.into_f32(), rows, cols, stride)
    }
}

/// How products round their operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Precision {
    /// Not at all.
    #[default]
    F32,
    /// To bf16.
    Bf16(Bf16),
}

impl Precision {
    /// As [`multiply`].
    pub(crate) fn multiply(self, out: &mut Tile<'_>, a: View<'_>, b: View<'_>, factor: f32, accumulate: bool) {
        match self {
            Self::F32 => multiply(out, a, b, factor, accumulate),
            Self::Bf16(bf16) => bf16.multiply(out, a, Right::Plain(b), factor, accumulate),
        }
    }
}

/// `out = factor * a b`, or `out += factor * a b` where `accumulate`. Without it `out` is not read.
/// Runs on the calling thread.
///
/// # Panics
///
/// If the shapes do not fit.
pub(crate) fn multiply(out: &mut Tile<'_>, a: View<'_>, b: View<'_>, factor: f32, accumulate: bool) {
    let (m, n, k) = (out.rows, out.cols, a.cols);
    assert_eq!((a.rows, b.rows, b.cols), (m, k, n), "shapes of a product");
    if m == 0 || n == 0 {
        return;
    }
    for view in [&a, &b] {
        let along = |n: usize, stride: usize| n.saturating_sub(1).checked_mul(stride);
        let last = along(view.rows, view.row).zip(along(view.cols, view.col)).and_then(|(r, c)| r.checked_add(c));
        assert!(k == 0 || last.is_some_and(|last| last < view.data.len()), "operand of a product inside its slice");
    }
    let product = gemm_f32::gemm::f32::get_gemm_fn();
    let beta = if accumulate { 1.0 } else { 0.0 };
    // SAFETY: every cell of `a` and `b` was checked to lie inside its slice; those of `out` lie inside a slice that
    // `out` borrows alone, so it overlaps neither. Strides fit isize: `within` leaves none that is longer than its slice.
    // The micro-kernels want columns contiguous: out^T = b^T a^T. Their `alpha` is the factor of the old
    // output, their `beta` the factor of the product.
    unsafe {
        product(
            n,
            m,
            k,
            out.start,
            out.stride as isize,
            1,
            accumulate,
            b.data.as_ptr(),
            b.row as isize,
            b.col as isize,
            a.data.as_ptr(),
            a.row as isize,
            a.col as isize,
            beta,
            factor,
            false,
            false,
            false,
            gemm_common::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiply_takes_every_layout_and_does_not_read_its_output() {
        for (m, n, k) in [(1, 1, 1), (3, 5, 2), (17, 1, 9), (1, 33, 65), (70, 66, 13), (2, 2, 0)] {
            let a: Vec<f32> = (0..m * k).map(|i| (i % 7) as f32 - 3.0).collect();
            let b: Vec<f32> = (0..k * n).map(|i| (i % 5) as f32 - 2.0).collect();
            let want = |r: usize, c: usize| -> f32 { (0..k).map(|i| a[r * k + i] * b[i * n + c]).sum() };
            let (mut at, mut bt) = (vec![0.0; m * k], vec![0.0; k * n]);
            (0..m * k).for_each(|i| at[i % k * m + i / k] = a[i]);
            (0..k * n).for_each(|i| bt[i % n * k + i / n] = b[i]);
            for layout in 0..4 {
                let va = match layout & 1 {
                    0 => View::new(&a, m, k, k),
                    _ => View::new(&at, k, m, m).transposed(),
                };
                let vb = match layout & 2 {
                    0 => View::new(&b, k, n, n),
                    _ => View::new(&bt, n, k, k).transposed(),
                };
                let mut out = vec![f32::NAN; m * (n + 2)];
                multiply(&mut Tile::new(&mut out, m, n, n + 2), va, vb, 2.0, false);
                multiply(&mut Tile::new(&mut out, m, n, n + 2), va, vb, 1.0, true);
                for (i, x) in out.iter().enumerate() {
                    let (r, c) = (i / (n + 2), i % (n + 2));
                    // Small integers: exact.
                    assert!(if c < n { *x == 3.0 * want(r, c) } else { x.is_nan() }, "{m} {n} {k}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "shapes of a product")]
    fn multiply_refuses_shapes_that_do_not_fit() {
        let (a, mut out) = ([0.0; 6], [0.0; 4]);
        let view = View::new(&a, 2, 3, 3);
        multiply(&mut Tile::new(&mut out, 2, 2, 2), view, view, 1.0, false);
    }

    /// What wraps in a build without overflow checks, which is how this is shipped, must be refused by name there as here: these
    /// numbers wrap to lengths that fit.
    #[test]
    fn sizes_that_wrap_are_refused() {
        let refused = |f: &dyn Fn()| {
            let text = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).expect_err("it was taken");
            let text = text.downcast::<String>().expect("a message");
            assert!(text.starts_with("a matrix [") || text.starts_with("rows "), "not by a check of its own: {text}");
        };
        let (half, most) = (1 << (usize::BITS / 2), usize::MAX);
        // (rows, cols, stride) whose product or sum is a small number modulo 2^64.
        let sizes = [(half, half, half), (3, 2, most / 2 + 1), (2, 4, most - 1), (most, 1, most), (2, most, 2)];
        for (rows, cols, stride) in sizes {
            refused(&|| {
                let _ = View::new(&[0.0; 16], rows, cols, stride);
            });
            refused(&|| {
                let _ = Tile::new(&mut [0.0; 16], rows, cols, stride);
            });
        }
        refused(&|| {
            let _ = View::new(&[0.0; 16], 4, 4, 4).rows(3, most);
        });
        // The stride of a single row is no distance between cells.
        let (a, mut out) = ([2.0f32; 3], [0.0f32; 4]);
        let one = View::new(&a, 1, 3, most);
        multiply(&mut Tile::new(&mut out, 1, 1, most), one, one.transposed(), 1.0, false);
        assert_eq!(out, [12.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn tiles_cover_a_matrix_once() {
        let mut cells = vec![0.0; 7 * 12];
        Tile::new(&mut cells, 7, 10, 12).par_tiles((3, 4), &|r, c, mut tile| {
            for i in 0..tile.rows() {
                for (j, x) in tile.row(i).iter_mut().enumerate() {
                    *x += (100 * (r + i) + c + j) as f32;
                }
            }
        });
        for (i, x) in cells.iter().enumerate() {
            let (r, c) = (i / 12, i % 12);
            assert_eq!(*x, if c < 10 { (100 * r + c) as f32 } else { 0.0 });
        }
    }
}
