//! The instructions themselves.
#![allow(
    unsafe_code,
    reason = "only a check at run time tells that the instructions are there, and vectors are loaded through pointers"
)]

use super::{Bf16, COLUMNS, PAIRS, PANEL, ROWS};
use crate::matmul::{Tile, View};
use std::arch::x86_64::*;

/// Values of a vector.
const LANES: usize = 16;
/// A panel that is turned is columns.
const _: () = assert!(PANEL == COLUMNS);

impl Bf16 {
    /// Rounds at most [`COLUMNS`] columns, pair by pair; zeros behind them.
    pub(super) fn pack_columns(self, b: View<'_>, out: &mut [u32]) {
        // SAFETY: a value is made by `detect` alone, where the processor has these features.
        unsafe { pack_columns(b, out) }
    }

    /// Rounds at most [`PANEL`] rows and twice [`PAIRS`] columns. Gives the words from a row to the next and from a pair to the next.
    pub(super) fn pack_panel(self, a: View<'_>, out: &mut [u32]) -> (usize, usize) {
        // SAFETY: as above.
        unsafe { pack_panel(a, out) }
    }

    /// The product of the first [`ROWS`] rows of a panel, or of as many as `out` has, with [`COLUMNS`] columns, or as many as `out` has.
    #[inline]
    pub(super) fn cells(
        self,
        out: &mut Tile<'_>,
        a: &[u32],
        steps: (usize, usize),
        b: &[u32],
        factor: f32,
        accumulate: bool,
    ) {
        // SAFETY: as above.
        unsafe { cells(out, a, steps, b, factor, accumulate) }
    }
}

/// A bit for each of the first `n` lanes.
#[inline]
fn lanes(n: usize) -> u16 {
    if n < LANES { (1 << n) - 1 } else { u16::MAX }
}

/// The values of a slice from `at` on, a vector at most, with zeros behind.
#[inline]
#[target_feature(enable = "avx512f")]
fn load(x: &[f32], at: usize) -> __m512 {
    let mask = lanes(x.len().saturating_sub(at));
    // SAFETY: the mask leaves out what is past the end of the slice.
    unsafe { _mm512_maskz_loadu_ps(mask, x.as_ptr().wrapping_add(at)) }
}

/// Writes a vector's words from `at` on.
#[inline]
#[target_feature(enable = "avx512f")]
fn store(x: __m512i, out: &mut [u32], at: usize) {
    let out = &mut out[at..at + LANES];
    // SAFETY: the slice has a vector's words.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), x) }
}

/// Rounded values, to the nearest and to even: those of `first` in the low halves of the words, those of `second` in the high ones.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pairs(first: __m512, second: __m512) -> __m512i {
    // A word of each in turn.
    const TURNS: [u32; LANES] = {
        let mut turns = [0; LANES];
        let mut i = 0;
        while i < LANES {
            turns[i] = (i | (i + LANES) << 16) as u32;
            i += 1;
        }
        turns
    };
    // SAFETY: the array has a vector's words.
    let turns = unsafe { _mm512_loadu_si512(TURNS.as_ptr().cast()) };
    _mm512_permutexvar_epi16(turns, in_order(first, second))
}

/// Rounded values in order: two neighbours are a word.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn in_order(first: __m512, second: __m512) -> __m512i {
    // SAFETY: vectors of as many bits.
    unsafe { std::mem::transmute(_mm512_cvtne2ps_pbh(second, first)) }
}

/// Loops over indices in what follows: an iterator that is not inlined would keep vectors out of registers.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pack_columns(b: View<'_>, out: &mut [u32]) {
    let (rows, cols) = (b.rows, b.cols);
    if b.col == 1 {
        return interleave(b, out);
    }
    debug_assert_eq!(b.row, 1, "cells of a column side by side");
    // Columns are turned: sixteen of them, as many pairs each.
    for at in (0..rows).step_by(2 * LANES) {
        for half in (0..COLUMNS).step_by(LANES) {
            let mut turned = [[0; LANES]; LANES];
            for i in half..cols.min(half + LANES) {
                let column = &b.data[i * b.col..][at..rows];
                store(in_order(load(column, 0), load(column, LANES)), &mut turned[i - half], 0);
            }
            let out = &mut out[at / 2 * COLUMNS..];
            for pair in 0..LANES.min(out.len() / COLUMNS) {
                let words = &mut out[pair * COLUMNS + half..][..LANES];
                for i in 0..LANES {
                    words[i] = turned[i][pair];
                }
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pack_panel(a: View<'_>, out: &mut [u32]) -> (usize, usize) {
    if a.col == 1 {
        for r in 0..a.rows {
            let (row, out) = (&a.data[r * a.row..][..a.cols], &mut out[r * PAIRS..][..PAIRS]);
            for at in (0..row.len()).step_by(2 * LANES) {
                store(in_order(load(row, at), load(row, at + LANES)), out, at / 2);
            }
        }
        return (PAIRS, 1);
    }
    interleave(a.transposed(), out);
    (1, COLUMNS)
}

/// Rounds rows whose cells lie side by side, two at a time: a word for each of their columns, of which there are [`COLUMNS`] at most.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn interleave(mat: View<'_>, out: &mut [u32]) {
    debug_assert_eq!(mat.col, 1, "cells of a row side by side");
    let masks = [lanes(mat.cols), lanes(mat.cols.saturating_sub(LANES))];
    for pair in 0..mat.rows.div_ceil(2) {
        let row = |r: usize| &mat.data[r * mat.row..][..mat.cols];
        let first = row(2 * pair);
        let (second, seconds) = if 2 * pair + 1 < mat.rows { (row(2 * pair + 1), masks) } else { (first, [0; 2]) };
        let out = &mut out[pair * COLUMNS..][..COLUMNS];
        for half in 0..2 {
            // SAFETY: the masks leave out what is past the end of a row.
            let [first, second] = unsafe {
                let at = |row: &[f32]| row.as_ptr().wrapping_add(half * LANES);
                [_mm512_maskz_loadu_ps(masks[half], at(first)), _mm512_maskz_loadu_ps(seconds[half], at(second))]
            };
            store(pairs(first, second), out, half * LANES);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn bf16(x: __m512i) -> __m512bh {
    // SAFETY: vectors of as many bits.
    unsafe { std::mem::transmute(x) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn columns(words: &[u32; LANES]) -> __m512bh {
    // SAFETY: the array has a vector's words.
    bf16(unsafe { _mm512_loadu_si512(words.as_ptr().cast()) })
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn cells(out: &mut Tile<'_>, a: &[u32], (row, pair): (usize, usize), b: &[u32], factor: f32, accumulate: bool) {
    let depth = b.len() / COLUMNS;
    let past = depth.checked_sub(1).and_then(|last| last.checked_mul(pair)?.checked_add(row.checked_mul(ROWS - 1)?));
    assert!(past.is_some_and(|last| last < a.len()), "the rows of a panel");
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    for (p, b) in b.as_chunks::<COLUMNS>().0.iter().enumerate() {
        let halves = b.as_chunks::<LANES>().0;
        let b = [columns(&halves[0]), columns(&halves[1])];
        for r in 0..ROWS {
            // SAFETY: the largest index was checked above.
            let a = unsafe { *a.get_unchecked(r * row + p * pair) };
            let a = bf16(_mm512_set1_epi32(a as i32));
            sums[r][0] = _mm512_dpbf16_ps(sums[r][0], b[0], a);
            sums[r][1] = _mm512_dpbf16_ps(sums[r][1], b[1], a);
        }
    }
    let factor = _mm512_set1_ps(factor);
    for r in 0..ROWS {
        if r < out.rows {
            let row = out.row(r);
            for half in 0..2 {
                let at = (half * LANES).min(row.len());
                put(_mm512_mul_ps(sums[r][half], factor), accumulate, &mut row[at..]);
            }
        }
    }
}

/// Writes or adds as many lanes as the slice has, a vector at most.
#[inline]
#[target_feature(enable = "avx512f")]
fn put(x: __m512, accumulate: bool, to: &mut [f32]) {
    let mask = lanes(to.len());
    // SAFETY: the mask leaves out what is past the end of the slice.
    unsafe {
        let x = if accumulate { _mm512_add_ps(x, _mm512_maskz_loadu_ps(mask, to.as_ptr())) } else { x };
        _mm512_mask_storeu_ps(to.as_mut_ptr(), mask, x);
    }
}
