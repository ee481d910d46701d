//! A task of a search where the items have codes.

use super::{FEW, Given, ITEMS, NO_COPY, Products, QUERIES, Search};
use crate::Mat;
use crate::codes::{BLOCK, Scan, Vnni};
use crate::kernels::best::Best;
use crate::kernels::prefetch::prefetch;
use crate::simd::{dot, vectorize};
use std::ops::Range;

/// Where more than one in so many scores of a tile has to be exact, all are made, as a product of matrices.
const SPARSE: usize = 16;

impl Search {
    /// As the task without codes, bit for bit.
    pub(super) fn coded_task(
        &self,
        given: &Given<'_>,
        coded: [Mat<'_>; 2],
        rows: &Range<usize>,
        range: &Range<usize>,
        best: &mut [Best],
    ) {
        let few = self.queries <= FEW;
        let scan = Scan::new(given.queries, rows.clone(), Vnni::best());
        let mut products = (!few).then(|| Products::new(self, rows.len()));
        let mut thresholds = [0.0f32; QUERIES];
        let (mut found, mut scores) = (Vec::with_capacity(ITEMS), [0.0f32; ITEMS]);
        let mut passes = vec![0u64; QUERIES.min(rows.len()) * (ITEMS / BLOCK)];
        for from in range.clone().step_by(self.tile()) {
            let items = from..range.end.min(from + self.tile());
            let blocks = from / BLOCK..items.end.div_ceil(BLOCK);
            for (best, at) in best.chunks_mut(QUERIES).zip((0..).step_by(QUERIES)) {
                best.iter().zip(&mut thresholds).for_each(|(best, t)| *t = best.threshold());
                let passes = &mut passes[..best.len() * blocks.len()];
                scan.blocks(at, &thresholds[..best.len()], coded, blocks.clone(), passes);
                // Rows that fill up the last block are no items.
                let fill = blocks.len() * BLOCK - items.len();
                passes.chunks_mut(blocks.len()).for_each(|passes| passes[blocks.len() - 1] &= u64::MAX >> fill);
                let some = best.chunks_mut(NO_COPY).zip(passes.chunks(NO_COPY * blocks.len()));
                for ((best, passes), q) in some.zip((rows.start + at..).step_by(NO_COPY)) {
                    let passed: u32 = passes.iter().map(|bits| bits.count_ones()).sum();
                    if let Some(products) = &mut products
                        && passed as usize * SPARSE > best.len() * items.len()
                    {
                        products.scan(given, q, &items, best);
                        continue;
                    }
                    for passes in passes.chunks(blocks.len()) {
                        set(passes, from).for_each(|item| prefetch(given.items.row(item)));
                    }
                    for ((best, passes), q) in best.iter_mut().zip(passes.chunks(blocks.len())).zip(q..) {
                        found.clear();
                        found.extend(set(passes, from));
                        let query = given.queries.row(q);
                        vectorize(
                            #[inline(always)]
                            || match few {
                                true => one_by_one(query, &given.items, &found, &mut scores),
                                false => together(query, &given.items, &found, &mut scores),
                            },
                        );
                        for (item, score) in found.iter().zip(&scores) {
                            best.offer(*score, self.first + *item as u32);
                        }
                    }
                }
            }
        }
    }
}

/// Scores as they are made for few queries.
#[inline(always)]
fn one_by_one(query: &[f32], items: &Mat<'_>, found: &[usize], scores: &mut [f32]) {
    for (item, score) in found.iter().zip(scores) {
        *score = dot(query, items.row(*item));
    }
}

/// Scores as a product of matrices has them: sums along the columns in order, fused. (Of one or two columns, or without fused
/// instructions, products have other sums: there nobody comes here.)
#[inline(always)]
fn together(query: &[f32], items: &Mat<'_>, found: &[usize], scores: &mut [f32]) {
    const TOGETHER: usize = 8;
    for (found, scores) in found.chunks(TOGETHER).zip(scores.chunks_mut(TOGETHER)) {
        // The last few are made up to eight by the first of them, whose sum is made again.
        let rows: [&[f32]; TOGETHER] = std::array::from_fn(|l| {
            let item = found.get(l).unwrap_or(&found[0]);
            &items.row(*item)[..query.len()]
        });
        let mut sums = [0.0f32; TOGETHER];
        for (c, x) in query.iter().enumerate() {
            for l in 0..TOGETHER {
                sums[l] = rows[l][c].mul_add(*x, sums[l]);
            }
        }
        scores.copy_from_slice(&sums[..scores.len()]);
    }
}

/// The numbers of the bits that are set, in order; the first bit is number `from`.
fn set(bits: &[u64], from: usize) -> impl Iterator<Item = usize> {
    bits.iter().zip((from..).step_by(BLOCK)).flat_map(|(bits, from)| {
        let mut left = *bits;
        std::iter::from_fn(move || {
            let item = from + left.trailing_zeros() as usize;
            (left != 0).then(|| {
                left &= left - 1;
                item
            })
        })
    })
}
