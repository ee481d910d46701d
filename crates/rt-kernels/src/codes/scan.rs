//! Products of codes, kept to one bit an item: can it pass?

use super::vnni::Vnni;
use super::{BLOCK, Queries};
use crate::Mat;
use crate::simd::vectorize;
use std::ops::Range;

/// Queries of a group, whose products with a block are made together.
pub(crate) const GROUP: usize = 6;

/// Queries as codes, in groups, and how their products with blocks of items are made.
#[derive(Debug)]
pub(crate) struct Scan {
    queries: Queries,
    /// For each group, for each four columns, a word of each query of the group.
    words: Vec<u32>,
    /// Queries of a group: [`GROUP`], or all where they are fewer.
    group: usize,
    /// Words of a query.
    depth: usize,
    /// The processor's instructions for it; without, plain loops.
    vnni: Option<Vnni>,
}

impl Scan {
    /// Rows `rows` of `queries`.
    pub(crate) fn new(queries: Mat<'_>, rows: Range<usize>, vnni: Option<Vnni>) -> Self {
        let depth = queries.cols.div_ceil(4);
        let group = rows.len().clamp(1, GROUP);
        let mut scan = Self {
            queries: Queries::default(),
            words: vec![0; rows.len().next_multiple_of(group) * depth],
            group,
            depth,
            vnni,
        };
        let mut words = vec![0; depth];
        for (q, row) in rows.enumerate() {
            scan.queries.push(queries.row(row), &mut words);
            let group = &mut scan.words[q / group * group * depth..];
            for (c, word) in words.iter().enumerate() {
                group[c * scan.group + q % scan.group] = *word;
            }
        }
        scan
    }

    /// For each of the queries `first ..`, whose scores have to pass `thresholds`, for each of these blocks: a bit for each item that
    /// can. `first` starts a group; `passes` is `[thresholds, blocks]`.
    pub(crate) fn blocks(
        &self,
        first: usize,
        thresholds: &[f32],
        [codes, bounds]: [Mat<'_>; 2],
        blocks: Range<usize>,
        passes: &mut [u64],
    ) {
        let count = blocks.len();
        let mut least = vec![i32::MAX; thresholds.len().next_multiple_of(self.group)];
        for (b, block) in blocks.enumerate() {
            let codes = codes.row_u32(block);
            vectorize(
                #[inline(always)]
                || self.queries.least(first, thresholds, bounds.row(block), &mut least),
            );
            for (at, least) in (0..thresholds.len()).step_by(self.group).zip(least.chunks(self.group)) {
                let some = self.group.min(thresholds.len() - at);
                let words = &self.words[(first + at) * self.depth..][..self.group * self.depth];
                let bits = match self.vnni {
                    Some(vnni) => vnni.block(codes, words, least),
                    None => vectorize(
                        #[inline(always)]
                        || plain(codes, words, least),
                    ),
                };
                for (i, bits) in bits[..some].iter().enumerate() {
                    passes[(at + i) * count + b] = *bits;
                }
            }
        }
    }
}

/// Plain loops: sums of four products a word.
#[inline(always)]
fn plain(codes: &[u32], queries: &[u32], least: &[i32]) -> [u64; GROUP] {
    let mut bits = [0; GROUP];
    for q in 0..least.len() {
        let mut sums = [0i32; BLOCK];
        for (items, query) in codes.as_chunks::<BLOCK>().0.iter().zip(queries.chunks_exact(least.len())) {
            let [a, b, c, d] = query[q].to_le_bytes().map(|byte| i32::from(byte as i8));
            for (sum, word) in sums.iter_mut().zip(items) {
                let byte = |shift: u32| (word >> shift & 255) as i32;
                *sum += byte(0) * a + byte(8) * b + byte(16) * c + byte(24) * d;
            }
        }
        for (i, sum) in sums.iter().enumerate() {
            bits[q] |= u64::from(*sum > least[q]) << i;
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::super::{BOUNDS, Codes, block_words};
    use super::*;
    use crate::philox;

    fn numbers(rows: usize, dim: usize, seed: u64) -> Vec<f32> {
        let mut words = vec![0; rows * dim];
        philox::draws(philox::key(seed), 0, 0, 0, &mut words);
        words.iter().map(|w| *w as f32 / 2_147_483_648.0 - 1.0).collect()
    }

    fn mat(numbers: &[f32], cols: usize) -> Mat<'_> {
        Mat::new(bytemuck::cast_slice(numbers), numbers.len() / cols, cols, cols)
    }

    /// Bits of all items in all blocks, for each query.
    fn passes(queries: &[f32], codes: &Codes, dim: usize, thresholds: &[f32], vnni: Option<Vnni>) -> Vec<u64> {
        let blocks = codes.bounds.len() / BOUNDS;
        let words = Mat::new(&codes.words, blocks, block_words(dim), block_words(dim));
        let mut passes = vec![0; thresholds.len() * blocks];
        let scan = Scan::new(mat(queries, dim), 0..thresholds.len(), vnni);
        scan.blocks(0, thresholds, [words, mat(&codes.bounds, BOUNDS)], 0..blocks, &mut passes);
        passes
    }

    #[test]
    fn what_passes_is_all_that_can_and_little_else() {
        let rows = 1_000;
        for (n, dim) in [(1, 1), (2, 3), (3, 16), (4, 17), (5, 64), (6, 100), (7, 256), (13, 30)] {
            let (queries, items) = (numbers(n, dim, 1), numbers(rows, dim, 2));
            let codes = Codes::of(&items, dim);
            let score = |q: usize, i: usize| -> f64 {
                let pairs = queries[q * dim..][..dim].iter().zip(&items[i * dim..][..dim]);
                pairs.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
            };
            // Each item in turn is the one that just gets in.
            for at in (0..rows).step_by(37) {
                let thresholds: Vec<f32> = (0..n).map(|q| score(q, at) as f32).collect();
                let all = passes(&queries, &codes, dim, &thresholds, None);
                for vnni in Vnni::all() {
                    assert_eq!(all, passes(&queries, &codes, dim, &thresholds, Some(vnni)), "{vnni:?}");
                }
                for (q, bits) in all.chunks(rows.div_ceil(BLOCK)).enumerate() {
                    let norm = |row: &[f32]| row.iter().map(|x| f64::from(x * x)).sum::<f64>().sqrt();
                    // Rests are half a scale a column at most, on both sides; and that is too high by as much again.
                    let far = norm(&queries[q * dim..][..dim]) * (dim as f64).sqrt() * 2.2 / 127.0 + 1e-3;
                    for i in 0..rows {
                        let (passed, over) =
                            (bits[i / BLOCK] >> (i % BLOCK) & 1, score(q, i) - f64::from(thresholds[q]));
                        assert!(passed == 1 || over < 0.0, "{n} x {dim}: item {i} is {over} over");
                        assert!(passed == 0 || over > -far, "{n} x {dim}: item {i} is {over} under, {far} at most");
                    }
                }
            }
        }
    }

    #[test]
    fn what_codes_leave_out_counts_on_both_sides() {
        // 0.49 of a scale: no code has it.
        let rest = 0.49 / 127.0;
        let all = |row: [f32; 2], other: [f32; 2], at: usize| -> Vec<f32> {
            (0..64).flat_map(|i| if i == at { row } else { other }).collect()
        };
        for at in [0, 31, 63] {
            // The query's rest along an item that is the only long one, then the item's along the query.
            let cases = [([1.0, rest], all([0.0, 1.0], [0.0; 2], at)), ([0.0, 1.0], all([1.0, rest], [0.0; 2], at))];
            for (query, items) in cases {
                let passed = |threshold| passes(&query, &Codes::of(&items, 2), 2, &[threshold], Vnni::best())[0];
                assert_eq!(passed(rest * 0.99) >> at & 1, 1, "item {at} for {query:?}");
                assert_eq!(passed(rest * 4.0), 0, "item {at} for {query:?}");
            }
        }
    }

    #[test]
    fn numbers_that_tell_nothing_let_all_pass() {
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e20, 1e-20] {
            let mut items = vec![0.0f32; 128];
            items[70] = odd;
            let plain = [0.5, 0.5];
            let codes = Codes::of(&items, 1);
            assert_eq!(passes(&plain[..1], &codes, 1, &[9.0], Vnni::best()), [0, u64::MAX], "item {odd}");
            let codes = Codes::of(&[0.0; 64], 1);
            assert_eq!(passes(&[odd, 0.5], &codes, 1, &[9.0, 9.0], Vnni::best()), [u64::MAX, 0], "query {odd}");
        }
        let codes = Codes::of(&[0.0; 64], 1);
        for threshold in [f32::NAN, f32::NEG_INFINITY, -1e30, -1.0, 0.0] {
            assert_eq!(passes(&[0.5], &codes, 1, &[threshold], Vnni::best()), [u64::MAX], "threshold {threshold}");
        }
        for threshold in [0.5, 1e30, f32::INFINITY] {
            assert_eq!(passes(&[0.5], &codes, 1, &[threshold], Vnni::best()), [0], "threshold {threshold}");
        }
    }
}
