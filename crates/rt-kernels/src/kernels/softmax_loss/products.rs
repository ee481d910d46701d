//! The three products of a softmax loss on the CPU, and how their operands are laid out for them.

use super::SoftmaxLoss;
use crate::Mat;
use crate::matmul::{Bf16, NO_COPY, Packed, Precision, Right, Tile, View, apart, multiply, turn};
use crate::parallel::chunks_f32;
use crate::simd::LANES;

/// Candidates of one product in f32, at most: with all of them every step along k would be on a page of its own.
const TILE: usize = 512;

/// The candidates, laid out once a step.
pub(super) enum Candidates<'a> {
    F32 {
        v: Mat<'a>,
        /// As columns, in tiles of so many and so many words.
        turned: &'a [f32],
        tile: (usize, usize),
    },
    Bf16 {
        bf16: Bf16,
        columns: Packed<'a>,
        rows: Packed<'a>,
    },
}

/// Candidates of a tile, and its words.
fn tile(kernel: &SoftmaxLoss) -> (usize, usize) {
    let width = kernel.candidates.next_multiple_of(LANES).clamp(LANES, TILE);
    (width, kernel.dim * apart(width))
}

impl<'a> Candidates<'a> {
    /// Words that they take.
    pub(super) fn words(kernel: &SoftmaxLoss) -> usize {
        let (width, words) = tile(kernel);
        let (dim, candidates) = (kernel.dim, kernel.candidates);
        (candidates.div_ceil(width) * words).max(Packed::words(dim, candidates) + Packed::words(candidates, dim))
    }

    pub(super) fn new(kernel: &SoftmaxLoss, precision: Precision, v: Mat<'a>, words: &'a mut [u32]) -> Self {
        let (dim, candidates) = (kernel.dim, kernel.candidates);
        match precision {
            Precision::F32 => {
                let (width, tile_words) = tile(kernel);
                let turned = bytemuck::cast_slice_mut(&mut words[..candidates.div_ceil(width) * tile_words]);
                chunks_f32(turned, tile_words.max(1), &|t, tile| {
                    turn(&v, t * width..candidates.min((t + 1) * width), apart(width), tile);
                });
                Self::F32 { v, turned, tile: (width, tile_words) }
            }
            Precision::Bf16(bf16) => {
                let (columns, rows) = words.split_at_mut(Packed::words(dim, candidates));
                let rows = &mut rows[..Packed::words(candidates, dim)];
                let v = View::from(v);
                bf16.pack_all(v.transposed(), columns);
                bf16.pack_all(v, rows);
                Self::Bf16 {
                    bf16,
                    columns: Packed::new(columns, dim, candidates),
                    rows: Packed::new(rows, candidates, dim),
                }
            }
        }
    }

    /// `scale u v^T`, rows `stride` apart; what lies behind the candidates in a row is stale.
    pub(super) fn logits(&self, u: View<'_>, scale: f32, out: &mut [f32], stride: usize) {
        match *self {
            Self::F32 { v, turned, tile: (width, words) } => {
                for (t, turned) in turned.chunks_exact(words.max(1)).enumerate() {
                    // Whole vectors: the products past the end are of zeros.
                    let candidates = width.min((v.rows - t * width).next_multiple_of(LANES));
                    let turned = View::new(turned, v.cols, candidates, apart(width));
                    for at in (0..u.count()).step_by(NO_COPY) {
                        let u = u.rows(at, NO_COPY.min(u.count() - at));
                        let logits = &mut out[at * stride + t * width..];
                        multiply(&mut Tile::new(logits, u.count(), candidates, stride), u, turned, scale, false);
                    }
                }
            }
            Self::Bf16 { bf16, columns, .. } => {
                let mut out = Tile::new(out, u.count(), columns.cols(), stride);
                bf16.multiply(&mut out, u, Right::Packed(columns), scale, false);
            }
        }
    }

    /// `dU = g v`.
    pub(super) fn du(&self, g: View<'_>, out: Tile<'_>) {
        match *self {
            Self::F32 { v, .. } => {
                let mut left = out;
                for at in (0..g.count()).step_by(NO_COPY) {
                    let g = g.rows(at, NO_COPY.min(g.count() - at));
                    let (mut out, rest) = left.split_rows(g.count());
                    multiply(&mut out, g, View::from(v), 1.0, false);
                    left = rest;
                }
            }
            Self::Bf16 { bf16, rows, .. } => {
                let mut out = out;
                bf16.multiply(&mut out, g, Right::Packed(rows), 1.0, false);
            }
        }
    }
}

/// The user vectors of a panel of rows.
pub(super) enum Users<'a> {
    F32(View<'a>),
    Bf16(Bf16, Packed<'a>),
}

impl<'a> Users<'a> {
    /// Words that `rows` of them take.
    pub(super) fn words(rows: usize, dim: usize) -> usize {
        Packed::words(rows, dim)
    }

    pub(super) fn new(precision: Precision, u: View<'a>, words: &'a mut [u32]) -> Self {
        match precision {
            Precision::F32 => Self::F32(u),
            Precision::Bf16(bf16) => {
                let words = &mut words[..Packed::words(u.count(), u.width())];
                bf16.pack_all(u, words);
                Self::Bf16(bf16, Packed::new(words, u.count(), u.width()))
            }
        }
    }

    /// `dV = g^T u` for some candidates, whose rows of `g^T` are given; added to what is there where `accumulate`.
    pub(super) fn dv(&self, g: View<'_>, out: &mut Tile<'_>, accumulate: bool) {
        match *self {
            Self::F32(u) => multiply(out, g, u, 1.0, accumulate),
            Self::Bf16(bf16, u) => bf16.multiply(out, g, Right::Packed(u), 1.0, accumulate),
        }
    }
}
