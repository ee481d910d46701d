//! Products of operands rounded to bf16, summed in f32: on processors that have AVX-512 BF16, whose `vdpbf16ps` adds two
//! products to each sum where a multiply-add adds one.

#[cfg(target_arch = "x86_64")]
mod avx512;

use super::{Tile, View};
use crate::parallel::chunks;
use std::cell::RefCell;

/// Columns of the micro-kernel: two vectors.
const COLUMNS: usize = 32;
/// Rows of the micro-kernel: with sixteen sums none waits for the one before.
const ROWS: usize = 8;
/// Rows of `a` that are rounded at a time.
const PANEL: usize = 32;
/// Pairs along k of one pass: a panel and the micro-kernel's columns share the first-level cache.
const PAIRS: usize = 128;
/// Columns of `b` that are rounded at a time.
const WIDTH: usize = 128;

thread_local! {
    /// A panel of `a` and a block of `b`.
    static ROUNDED: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// Instructions that this processor has: a value proves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bf16(Proof);

#[cfg(target_arch = "x86_64")]
type Proof = ();
/// Of which there is none: no other processor is served.
#[cfg(not(target_arch = "x86_64"))]
type Proof = std::convert::Infallible;

/// The right operand of a product.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Right<'a> {
    /// Rounded block by block, anew for each product.
    Plain(View<'a>),
    /// Rounded before.
    Packed(Packed<'a>),
}

/// The right operand of many products, rounded once. A word holds two values, one after the other along k; columns lie in
/// blocks of [`COLUMNS`], the last with zeros behind, and each block pair by pair.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packed<'a> {
    words: &'a [u32],
    k: usize,
    n: usize,
}

impl<'a> Packed<'a> {
    /// Words of an operand of `k` rows and `n` columns.
    pub(crate) fn words(k: usize, n: usize) -> usize {
        n.next_multiple_of(COLUMNS) * k.div_ceil(2)
    }

    /// What [`Bf16::pack`] wrote for `k` rows and `n` columns.
    pub(crate) fn new(words: &'a [u32], k: usize, n: usize) -> Self {
        Self { words: &words[..Self::words(k, n)], k, n }
    }

    /// Number of columns.
    pub(crate) fn cols(&self) -> usize {
        self.n
    }
}

impl Bf16 {
    /// Does this processor have them?
    pub(crate) fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            (has!("avx512f") && has!("avx512bw") && has!("avx512bf16")).then_some(Self(()))
        }
        #[cfg(not(target_arch = "x86_64"))]
        None
    }

    /// Rounds `b` for [`Packed::new`].
    ///
    /// # Panics
    ///
    /// If there are fewer than [`Packed::words`] words.
    pub(crate) fn pack(self, b: View<'_>, out: &mut [u32]) {
        let block = Packed::words(b.rows, COLUMNS);
        for (i, first) in (0..b.cols).step_by(COLUMNS).enumerate() {
            let columns = b.cols(first, COLUMNS.min(b.cols - first));
            self.pack_columns(columns, &mut out[i * block..(i + 1) * block]);
        }
    }

    /// The same by all threads, in pieces of about as many words.
    pub(crate) fn pack_all(self, b: View<'_>, out: &mut [u32]) {
        const PIECE: usize = 1 << 13;
        let block = Packed::words(b.rows, COLUMNS).max(1);
        let columns = (PIECE / block).max(1) * COLUMNS;
        chunks(&mut out[..Packed::words(b.rows, b.cols)], columns / COLUMNS * block, &|i, words| {
            let b = b.cols(i * columns, columns.min(b.cols - i * columns));
            if block <= PIECE {
                return self.pack(b, words);
            }
            chunks(words, PIECE, &|j, words| {
                let at = j * PIECE / COLUMNS * 2;
                self.pack_columns(b.rows(at, (PIECE / COLUMNS * 2).min(b.rows - at)), words);
            });
        });
    }

    /// `out = factor * a b`, or `out += factor * a b` where `accumulate`, as [`super::multiply`] does with f32. Every sum is made
    /// in the order of k, in passes of the same length.
    ///
    /// # Panics
    ///
    /// If the shapes do not fit.
    pub(crate) fn multiply(self, out: &mut Tile<'_>, a: View<'_>, b: Right<'_>, factor: f32, accumulate: bool) {
        let (k, n) = match b {
            Right::Plain(b) => (b.rows, b.cols),
            Right::Packed(b) => (b.k, b.n),
        };
        assert_eq!((a.rows, a.cols, n), (out.rows, k, out.cols), "shapes of a product");
        if out.rows == 0 || n == 0 {
            return;
        }
        if k == 0 && !accumulate {
            (0..out.rows).for_each(|r| out.row(r).fill(0.0));
        }
        ROUNDED.with_borrow_mut(|rounded| {
            rounded.resize((PANEL + WIDTH) * PAIRS, 0);
            let (panel, block) = rounded.split_at_mut(PANEL * PAIRS);
            for first in (0..n).step_by(WIDTH) {
                let columns = WIDTH.min(n - first);
                for at in (0..k).step_by(2 * PAIRS) {
                    let depth = (2 * PAIRS).min(k - at);
                    // The first of these columns at this pass, and the words from a block of them to the next.
                    let (b, apart) = match b {
                        Right::Plain(b) => {
                            self.pack(b.rows(at, depth).cols(first, columns), block);
                            (&*block, Packed::words(depth, COLUMNS))
                        }
                        Right::Packed(b) => {
                            (&b.words[Packed::words(k, first) + at / 2 * COLUMNS..], Packed::words(k, COLUMNS))
                        }
                    };
                    for row in (0..out.rows).step_by(PANEL) {
                        let rows = PANEL.min(out.rows - row);
                        let steps = self.pack_panel(a.rows(row, rows).cols(at, depth), panel);
                        for (i, column) in (first..first + columns).step_by(COLUMNS).enumerate() {
                            let b = &b[i * apart..][..Packed::words(depth, COLUMNS)];
                            for r in (0..rows).step_by(ROWS) {
                                let mut out = out.borrow().split_rows(row + r).1.split_cols(column).1;
                                self.cells(&mut out, &panel[r * steps.0..], steps, b, factor, accumulate || at > 0);
                            }
                        }
                    }
                }
            }
        });
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Bf16 {
    fn pack_columns(self, _: View<'_>, _: &mut [u32]) {
        match self.0 {}
    }

    fn pack_panel(self, _: View<'_>, _: &mut [u32]) -> (usize, usize) {
        match self.0 {}
    }

    fn cells(self, _: &mut Tile<'_>, _: &[u32], _: (usize, usize), _: &[u32], _: f32, _: bool) {
        match self.0 {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::abs_diff_eq;

    /// To the nearest of 8 bits, to even between two.
    fn rounded(x: f32) -> f64 {
        let bits = x.to_bits();
        let up = 0x7fff + (bits >> 16 & 1);
        f64::from(f32::from_bits(bits.wrapping_add(up) & 0xffff_0000))
    }

    fn values(n: usize, seed: u64) -> Vec<f32> {
        crate::philox::uniform(seed, 0, n, 1.0)
    }

    fn turned(x: &[f32], rows: usize, cols: usize) -> Vec<f32> {
        (0..rows * cols).map(|i| x[i % rows * cols + i / rows]).collect()
    }

    #[test]
    fn sums_are_of_rounded_operands() {
        let Some(bf16) = Bf16::detect() else { return };
        let shapes = [
            (1, 1, 1),
            (3, 5, 2),
            (8, 32, 64),
            (9, 33, 65),
            (33, 16, 255),
            (70, 161, 257),
            (17, 129, 600),
            (2, 2, 0),
            (0, 3, 5),
            (3, 0, 5),
            (3, 0, 0),
        ];
        for (m, n, k) in shapes {
            let (a, b) = (values(m * k, 1), values(k * n, 2));
            let (at, bt) = (turned(&a, m, k), turned(&b, k, n));
            for layout in 0..8 {
                let va = if layout & 1 == 0 { View::new(&a, m, k, k) } else { View::new(&at, k, m, m).transposed() };
                let vb = if layout & 2 == 0 { View::new(&b, k, n, n) } else { View::new(&bt, n, k, k).transposed() };
                let mut words = vec![u32::MAX; Packed::words(k, n)];
                bf16.pack_all(vb, &mut words);
                let right = if layout & 4 == 0 { Right::Plain(vb) } else { Right::Packed(Packed::new(&words, k, n)) };
                let mut out = vec![f32::NAN; m * (n + 2)];
                bf16.multiply(&mut Tile::new(&mut out, m, n, n + 2), va, right, 2.0, false);
                bf16.multiply(&mut Tile::new(&mut out, m, n, n + 2), va, right, -0.5, true);
                for (i, x) in out.iter().enumerate() {
                    let (r, c) = (i / (n + 2), i % (n + 2));
                    if c >= n {
                        assert!(x.is_nan(), "{m} {n} {k}: column {c} was written");
                        continue;
                    }
                    let products = (0..k).map(|i| rounded(a[r * k + i]) * rounded(b[i * n + c]));
                    let (want, size) = products.fold((0.0, 0.0), |(sum, size), x| (sum + x, size + x.abs()));
                    // f32's rounding of each addition.
                    let most = 1.5 * size * (k as f64) * f64::from(f32::EPSILON);
                    let close = abs_diff_eq!(f64::from(*x), 1.5 * want, epsilon = most);
                    assert!(close, "{m} {n} {k} {layout}: {x} at ({r}, {c}) for {}", 1.5 * want);
                }
            }
        }
    }
}
