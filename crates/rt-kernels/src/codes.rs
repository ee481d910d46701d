//! Rows as codes of 8 bits, and bounds of what that changes: an exact search reads a quarter of the bytes, multiplies four times as
//! many numbers an instruction, and takes the exact product of the few rows that can still be among the best (a
//! vector-approximation file: Weber, Schek and Blott 1998, section 4).

mod scan;
mod vnni;

pub(crate) use scan::Scan;
pub(crate) use vnni::Vnni;

use crate::simd::{LANES, sum_lanes, vectorize};
use rayon::prelude::*;

/// Rows of a block, which share a scale.
pub(crate) const BLOCK: usize = 64;
/// Columns of rows that a search takes codes of. Of more, sums could leave 32 bits, and their rounding what bounds allow for it; of
/// fewer than three, a matrix product has a way of its own to sum, and there is nothing to save.
pub const COLUMNS: std::ops::RangeInclusive<usize> = 3..=MOST_COLUMNS;
const MOST_COLUMNS: usize = 256;
/// Numbers of a block's bounds.
pub const BOUNDS: usize = 4;
/// Numbers whose squares neither overflow nor vanish.
const SIZES: std::ops::RangeInclusive<f32> = 1e-12..=1e12;
/// More than the relative error of a product of rows in f32, and of the threshold made here, in units of both norms.
const ROUNDING: f64 = 3e-5;
/// Codes are -127 to 127; those of items are kept with this on top, as instructions multiply unsigned by signed ones.
const BIAS: i32 = 128;

/// Rows as codes: item = scale of its block x code + rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Codes {
    /// `[blocks, words of a block]`: for each four columns, a word of four codes for each row of the block.
    pub words: Vec<u32>,
    /// `[blocks, 4]`: 1 / scale, greatest norm of the rests / scale, greatest norm of the rows / scale, 0. The first is NaN
    /// where rows are too large or too small, or not finite: then all of them have to be looked at.
    pub bounds: Vec<f32>,
}

/// Blocks of a matrix of `rows`.
#[must_use]
pub fn blocks(rows: usize) -> usize {
    rows.div_ceil(BLOCK)
}

/// Words of a block of rows of `dim` numbers.
#[must_use]
pub fn block_words(dim: usize) -> usize {
    dim.div_ceil(4).saturating_mul(BLOCK)
}

/// Name of the processor's instructions for products of codes, if it has any.
#[must_use]
pub fn instruction_set() -> Option<&'static str> {
    Vnni::best().map(Vnni::name)
}

impl Codes {
    /// Codes of rows of `dim` numbers, on all threads.
    ///
    /// # Panics
    ///
    /// For more than 256 columns.
    #[must_use]
    pub fn of(rows: &[f32], dim: usize) -> Self {
        assert!(dim <= MOST_COLUMNS, "codes of {dim} columns: {MOST_COLUMNS} at most");
        let count = blocks(rows.len() / dim.max(1));
        let mut codes = Self { words: vec![0; count * block_words(dim)], bounds: vec![0.0; count * BOUNDS] };
        if codes.words.is_empty() {
            return codes;
        }
        let words = codes.words.par_chunks_mut(block_words(dim));
        let rows = rows.par_chunks(BLOCK * dim);
        words.zip(codes.bounds.par_chunks_mut(BOUNDS)).zip(rows).with_min_len(64).for_each(
            |((words, bounds), rows)| {
                vectorize(
                    #[inline(always)]
                    || encode(rows, dim, words, bounds),
                );
            },
        );
        codes
    }
}

/// Greatest magnitude, or NaN.
#[inline(always)]
fn greatest(numbers: &[f32]) -> f32 {
    let mut most = [0.0f32; LANES];
    for chunk in numbers.chunks(LANES) {
        for (most, x) in most.iter_mut().zip(chunk) {
            // A NaN is taken and stays: no comparison with it holds.
            *most = if x.abs() > *most || x.is_nan() { x.abs() } else { *most };
        }
    }
    most.iter().fold(0.0, |a, x| if *x > a || x.is_nan() { *x } else { a })
}

/// The nearest integer, between -127 and 127 as |x| is at most a rounding above 127.
#[inline(always)]
fn nearest(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to the nearest integer
    (x + MAGIC) - MAGIC
}

#[inline(always)]
fn encode(rows: &[f32], dim: usize, words: &mut [u32], bounds: &mut [f32]) {
    let most = greatest(rows);
    let zero = most == 0.0;
    words.fill(BIAS as u32 * 0x0101_0101);
    if !zero && !SIZES.contains(&most) {
        bounds.copy_from_slice(&[f32::NAN, 0.0, 0.0, 0.0]);
        return;
    }
    let scale = if zero { 1.0 } else { most / 127.0 };
    let inverse = 1.0 / scale;
    let (mut rest, mut norm) = (0.0f32, 0.0f32);
    let mut codes = [0u8; MOST_COLUMNS.next_multiple_of(LANES)];
    for (i, row) in rows.chunks(dim).enumerate() {
        let (mut rests, mut squares) = ([0.0f32; LANES], [0.0f32; LANES]);
        let (whole, tail) = row.as_chunks::<LANES>();
        let mut last = [0.0f32; LANES];
        last[..tail.len()].copy_from_slice(tail);
        let last = (!tail.is_empty()).then_some(&last);
        for (x, codes) in whole.iter().chain(last).zip(codes.chunks_mut(LANES)) {
            for l in 0..LANES {
                let code = nearest(x[l] * inverse);
                let left = (-scale).mul_add(code, x[l]);
                rests[l] = left.mul_add(left, rests[l]);
                squares[l] = x[l].mul_add(x[l], squares[l]);
                codes[l] = (code as i32 + BIAS) as u8;
            }
        }
        rest = rest.max(sum_lanes(rests));
        norm = norm.max(sum_lanes(squares));
        for (words, four) in words.chunks_mut(BLOCK).zip(codes.chunks(4)) {
            words[i] = u32::from_le_bytes([four[0], four[1], four[2], four[3]]);
        }
    }
    // Upwards past all rounding, and past squares of rests that vanished.
    let up = |square: f32| square.sqrt() * inverse * (1.0 + 1e-4) + if zero { 0.0 } else { 1e-3 };
    bounds.copy_from_slice(&[inverse, up(rest), up(norm), 0.0]);
}

/// Queries as codes: query = scale x code + rest. What belongs to one of them stands at its place in each list.
#[derive(Debug, Default)]
struct Queries {
    /// 1 / scale, NaN where nothing can be said.
    inverse: Vec<f32>,
    /// Norms of the codes.
    codes: Vec<f32>,
    /// Norms of the rests, and rounding, / scale.
    rest: Vec<f32>,
    /// What the bias of the items' codes adds to a product.
    bias: Vec<i32>,
}

impl Queries {
    /// Takes one more; writes its codes, four a word.
    fn push(&mut self, row: &[f32], words: &mut [u32]) {
        let most = greatest(row);
        let known = most == 0.0 || SIZES.contains(&most);
        let scale = if known && most > 0.0 { f64::from(most) / 127.0 } else { 1.0 };
        let (mut sum, mut codes, mut rest, mut norm) = (0i32, 0.0f64, 0.0f64, 0.0f64);
        for (word, four) in words.iter_mut().zip(row.chunks(4)) {
            let mut bytes = [0u8; 4];
            for (byte, x) in bytes.iter_mut().zip(four).filter(|_| known) {
                let code = (f64::from(*x) / scale).round();
                *byte = (code as i8) as u8;
                sum += code as i32;
                codes += code * code;
                rest += (f64::from(*x) - scale * code).powi(2);
                norm += f64::from(*x).powi(2);
            }
            *word = u32::from_le_bytes(bytes);
        }
        let up = |x: f64| (x * (1.0 + 1e-6)) as f32;
        self.inverse.push(if known { (1.0 / scale) as f32 } else { f32::NAN });
        self.codes.push(up(codes.sqrt()));
        self.rest.push(up((rest.sqrt() + ROUNDING * norm.sqrt()) / scale));
        self.bias.push(BIAS * sum);
    }

    /// For a block of items with these bounds and each query from `first` on: the exact product of an item passes the threshold only
    /// where that of the codes as they are kept is greater than `least`.
    ///
    /// With query = a p + d and item = b q + e the product is a b pq + a pe + d item, so by Cauchy and Schwarz it differs from
    /// a b pq by at most a |p| |e| + |d| |item|.
    #[inline(always)]
    fn least(&self, first: usize, thresholds: &[f32], bounds: &[f32], least: &mut [i32]) {
        // More than any sum of products, and room for the bias.
        const FAR: f32 = 1e9;
        let all = first..first + thresholds.len();
        let (inverse, codes) = (&self.inverse[all.clone()], &self.codes[all.clone()]);
        let (rest, bias) = (&self.rest[all.clone()], &self.bias[all]);
        let least = &mut least[..thresholds.len()];
        for (i, threshold) in thresholds.iter().enumerate() {
            let t = threshold * inverse[i] * bounds[0] - codes[i] * bounds[1] - rest[i] * bounds[2];
            let t = if t > FAR { FAR } else { t };
            // NaN, which tells nothing, becomes the least.
            let t = if t > -FAR { t } else { -FAR };
            // Towards 0: less than t, or t - 1.
            least[i] = (t - 1.0) as i32 + bias[i];
        }
    }
}
