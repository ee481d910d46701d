//! Exact retrieval: scores and the masked top k in one.

use super::best::{Best, excluded_of};
use super::{Activation, Gemm, TopK};
use crate::matmul::{Tile, View, multiply};
use crate::simd::{dot, vectorize};
use crate::{Cost, CpuIo, Dispatch, Kernel, Mat, Operand, Operands, Signature, Slot, Target, Variant};
use rayon::prelude::*;
use std::ops::Range;

/// The k items with the greatest dot products for each query, best first, ties in ascending id: a [`Gemm`] and a
/// [`TopK`], but on the CPU the scores never leave the cache.
///
/// Reads `queries` `[queries, dim]`, `items` `[items, dim]` (row r is item `first + r`), and as [`TopK`] `slice`
/// `[queries, 2]` u32 and `excluded` `[any, 1]` u32 or neither; writes `value` `[queries, k]`, `id` `[queries, k]` u32. Where
/// fewer than k are left, id is `u32::MAX` and value -1e30. Does `2 * queries * items * dim` operations and reads the items
/// once. On the CPU a task is a block of queries by a range of the items, cut by shapes alone; few queries are dot products,
/// more are products of matrices, whose sums differ in the last bits. Weak spot: on the GPU all scores are scratch.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// Rows of queries.
    pub queries: usize,
    /// Rows of items.
    pub items: usize,
    /// Columns.
    pub dim: usize,
    /// Items wanted.
    pub k: usize,
    /// Item of row 0.
    pub first: u32,
}

/// Queries of a task: with [`ITEMS`], a tile of scores that stays in the second-level cache.
const QUERIES: usize = 128;
const ITEMS: usize = 1024;
/// Up to so many queries are dot products: the items are read at the speed of memory.
const FEW: usize = 4;
/// Tasks that a search is cut in at least, where it is big enough.
const TASKS: usize = 16;

impl Search {
    fn product(&self) -> Gemm {
        let activation = Activation::None;
        Gemm { m: self.queries, n: self.items, k: self.dim, trans_a: false, trans_b: true, activation }
    }

    fn top_k(&self) -> TopK {
        TopK { queries: self.queries, items: self.items, k: self.k, first: self.first }
    }

    /// One task.
    fn task(&self, queries: Mat<'_>, items: Mat<'_>, rows: &Range<usize>, range: &Range<usize>, best: &mut [Best]) {
        if rows.len() <= FEW {
            let mut scores = [0.0f32; ITEMS];
            for from in range.clone().step_by(ITEMS) {
                let n = ITEMS.min(range.end - from);
                for (q, best) in rows.clone().zip(best.iter_mut()) {
                    vectorize(
                        #[inline(always)]
                        || {
                            for (i, score) in scores[..n].iter_mut().enumerate() {
                                *score = dot(queries.row(q), items.row(from + i));
                            }
                            best.scan(&scores[..n], self.first + from as u32);
                        },
                    );
                }
            }
            return;
        }
        // No power of two between rows: they would meet in the same lines of the cache.
        const STRIDE: usize = ITEMS + 16;
        let mut scores = vec![0.0f32; rows.len() * STRIDE];
        let queries = View::from(queries).rows(rows.start, rows.len());
        for from in range.clone().step_by(ITEMS) {
            let n = ITEMS.min(range.end - from);
            let items = View::from(items).rows(from, n).transposed();
            multiply(&mut Tile::new(&mut scores, rows.len(), n, STRIDE), queries, items, 1.0, false);
            vectorize(
                #[inline(always)]
                || {
                    for (scores, best) in scores.chunks(STRIDE).zip(best.iter_mut()) {
                        best.scan(&scores[..n], self.first + from as u32);
                    }
                },
            );
        }
    }
}

impl Kernel for Search {
    fn name(&self) -> &'static str {
        "search"
    }

    fn signature(&self) -> Signature {
        let mut signature = self.top_k().signature();
        let scores = vec![Slot::f32("queries", self.queries, self.dim), Slot::f32("items", self.items, self.dim)];
        signature.reads.splice(..1, scores);
        signature
    }

    fn cost(&self) -> Cost {
        let (queries, items, dim) = (self.queries as f64, self.items as f64, self.dim as f64);
        Cost {
            bytes: 4.0 * ((queries + items) * dim + 2.0 * queries * self.k as f64),
            flops: 2.0 * queries * items * dim,
        }
    }

    fn scratch(&self, target: Target) -> Vec<usize> {
        match target {
            Target::Cpu => Vec::new(),
            Target::Gpu => {
                let mut words = vec![self.queries * self.items];
                words.extend(self.top_k().scratch(target));
                words.extend(self.product().scratch(target));
                words
            }
        }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (queries, items, slice, excluded) = (io.read(0), io.read(1), io.read_opt(2), io.read_opt(3));
        let (mut value, mut id) = (io.write(0), io.write(1));
        let blocks = self.queries.div_ceil(QUERIES);
        let parts = TASKS.div_ceil(blocks.max(1)).min(self.items.div_ceil(4 * ITEMS)).max(1);
        let each = self.items.div_ceil(parts).next_multiple_of(ITEMS);
        let tasks: Vec<(Range<usize>, Range<usize>)> = (0..blocks)
            .flat_map(|b| (0..parts).map(move |p| (b, p)))
            .map(|(b, p)| {
                let rows = b * QUERIES..self.queries.min((b + 1) * QUERIES);
                (rows, (p * each).min(self.items)..self.items.min((p + 1) * each))
            })
            .collect();
        let found: Vec<Vec<Best>> = tasks
            .par_iter()
            .map(|(rows, range)| {
                let new = |q| Best::new(self.k, excluded_of(q, slice, excluded));
                let mut best: Vec<Best> = rows.clone().map(new).collect();
                self.task(queries, items, rows, range, &mut best);
                best
            })
            .collect();
        let mut found = found.into_iter();
        for rows in tasks.iter().step_by(parts).map(|(rows, _)| rows) {
            let mut best = found.next().unwrap_or_default();
            for more in found.by_ref().take(parts - 1) {
                best.iter_mut().zip(more).for_each(|(best, more)| best.merge(more));
            }
            for (q, best) in rows.clone().zip(best) {
                best.write(value.row(q), id.row_u32(q));
            }
        }
    }

    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::search(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        self.dispatches_as(operands, Variant::Portable)
    }

    fn variants(&self) -> Vec<Variant> {
        self.product().variants()
    }

    fn dispatches_as(&self, operands: &Operands, variant: Variant) -> Vec<Dispatch> {
        let scores = Operand::dense(operands.scratch[0].buffer, self.queries, self.items);
        let (selection, product) = operands.scratch[1..].split_at(self.top_k().scratch(Target::Gpu).len());
        let product = Operands {
            reads: vec![operands.reads[0], operands.reads[1], None, None],
            writes: vec![Some(scores)],
            scratch: product.to_vec(),
        };
        let selection = Operands {
            reads: vec![Some(scores), operands.reads[2], operands.reads[3]],
            writes: operands.writes.clone(),
            scratch: selection.to_vec(),
        };
        let mut list = self.product().dispatches_as(&product, variant);
        list.extend(self.top_k().dispatches(&selection));
        list
    }
}
