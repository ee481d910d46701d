//! Exact retrieval: scores and the masked top k in one.

use super::best::{Best, excluded_of};
use super::{Activation, Gemm, TopK};
use crate::codes::{BLOCK, BOUNDS, COLUMNS, Vnni, block_words, blocks};
use crate::matmul::{NO_COPY, Tile, View, apart, multiply, turn};
use crate::simd::{dot, vectorize};
use crate::{Cost, CpuIo, Dispatch, Kernel, Mat, Operand, Operands, Signature, Slot, Target, Variant};
use rayon::prelude::*;
use std::ops::Range;

mod coded;

/// The k items with the greatest dot products for each query, best first, ties in ascending id: a [`Gemm`] and a
/// [`TopK`], but on the CPU the scores never leave the cache.
///
/// Reads `queries` `[queries, dim]`, `items` `[items, dim]` (row r is item `first + r`), and as [`TopK`] `slice`
/// `[queries, 2]` u32 and `excluded` `[any, 1]` u32 or neither; with `coded` also the words and the bounds of the items'
/// [`crate::codes::Codes`]; writes `value` `[queries, k]`, `id` `[queries, k]` u32. NaN and
/// minus infinity are never listed; where fewer than k are left, the last ids are `u32::MAX`, as [`TopK`] says. Does `2 * queries * items * dim` operations and reads the items
/// once. On the CPU a task is a block of queries by a range of the items; few queries are dot products,
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
    /// Are codes of the items given? They are of use for [`COLUMNS`] columns. The CPU then looks at these first and makes the product
    /// of the few items that can be among the best: the same result, in every bit. A GPU does not read them.
    pub coded: bool,
}

/// Queries of a tile of scores, which stays in the second-level cache.
const QUERIES: usize = 96;
/// Queries of a task at most: they share the items that were turned for them.
const GROUP: usize = 1056;
/// Cells of the items of a tile.
const CELLS: usize = 1 << 16;
/// Items of a tile at most.
const ITEMS: usize = 1024;
/// Up to so many queries are dot products: the items are read at the speed of memory.
const FEW: usize = 4;

impl Search {
    fn product(&self) -> Gemm {
        let activation = Activation::None;
        Gemm { m: self.queries, n: self.items, k: self.dim, trans_a: false, trans_b: true, activation }
    }

    fn top_k(&self) -> TopK {
        TopK { queries: self.queries, items: self.items, k: self.k, first: self.first }
    }

    /// Items of a tile: whole blocks of codes.
    fn tile(&self) -> usize {
        (CELLS / self.dim.max(1) / BLOCK * BLOCK).clamp(4 * BLOCK, ITEMS)
    }

    /// Blocks of queries by ranges of items, as many as occupy all threads: what is found does not depend on the cut.
    fn tasks(&self, coded: bool) -> Vec<(Range<usize>, Range<usize>)> {
        let threads = rayon::current_num_threads();
        // Each part of the items has to find its own k best, and of few scores that are exact that is many; codes are read fast.
        let groups = if coded && self.queries >= threads * NO_COPY { threads } else { 1 };
        let groups = self.queries.div_ceil(GROUP).next_multiple_of(groups).max(1);
        let parts = (1..threads).find(|parts| (parts * groups).is_multiple_of(threads)).unwrap_or(threads);
        let parts = parts.min(self.items.div_ceil(4 * self.tile())).max(1);
        // In whole products, or with a small group at the end where that leaves less to the busiest thread.
        let up = self.queries.div_ceil(groups).next_multiple_of(NO_COPY);
        let down = (self.queries / groups / NO_COPY * NO_COPY).max(NO_COPY);
        let busiest = self.queries.saturating_sub(groups * down) + down;
        let rows = if busiest < up.min(self.queries) { down } else { up };
        let groups = self.queries.div_ceil(rows.max(1));
        let each = self.items.div_ceil(parts).next_multiple_of(self.tile());
        let range = |n: usize, of: usize, all: usize| (n * of).min(all)..((n + 1) * of).min(all);
        (0..groups)
            .flat_map(|g| (0..parts).map(move |p| (range(g, rows, self.queries), range(p, each, self.items))))
            .collect()
    }

    /// One task.
    fn task(&self, given: &Given<'_>, rows: &Range<usize>, range: &Range<usize>, best: &mut [Best]) {
        if let Some(coded) = given.coded.filter(|_| self.queries <= FEW || Vnni::best().is_some()) {
            return self.coded_task(given, coded, rows, range, best);
        }
        let tile = self.tile();
        let tiles = range.clone().step_by(tile).map(|from| from..range.end.min(from + tile));
        if self.queries <= FEW {
            let mut scores = [0.0f32; ITEMS];
            for items in tiles {
                for (q, best) in rows.clone().zip(best.iter_mut()) {
                    vectorize(
                        #[inline(always)]
                        || {
                            for (i, score) in items.clone().zip(&mut scores) {
                                *score = dot(given.queries.row(q), given.items.row(i));
                            }
                            best.scan(&scores[..items.len()], self.first + items.start as u32);
                        },
                    );
                }
            }
            return;
        }
        let mut products = Products::new(self, rows.len());
        for items in tiles {
            for (best, from) in best.chunks_mut(QUERIES).zip((rows.start..).step_by(QUERIES)) {
                products.scan(given, from, &items, best);
            }
        }
    }
}

/// What is searched.
#[derive(Debug, Clone, Copy)]
struct Given<'a> {
    queries: Mat<'a>,
    items: Mat<'a>,
    /// Words and bounds of the items' codes.
    coded: Option<[Mat<'a>; 2]>,
}

/// Scores of a tile as products of matrices.
#[derive(Debug)]
struct Products {
    first: u32,
    stride: usize,
    scores: Vec<f32>,
    turned: Vec<f32>,
    /// The items that are turned.
    of: Range<usize>,
}

impl Products {
    fn new(search: &Search, queries: usize) -> Self {
        let stride = apart(search.tile());
        Self {
            first: search.first,
            stride,
            scores: vec![0.0; QUERIES.min(queries) * stride],
            turned: vec![0.0; search.dim * stride],
            of: 0..0,
        }
    }

    /// Gives the scores of these items to the queries from row `from` on, one for each of `best`: [`QUERIES`] at most.
    #[inline(never)]
    fn scan(&mut self, given: &Given<'_>, from: usize, items: &Range<usize>, best: &mut [Best]) {
        let (stride, n) = (self.stride, items.len());
        if self.of != *items {
            turn(&given.items, items.clone(), stride, &mut self.turned);
            self.of = items.clone();
        }
        let turned = View::new(&self.turned, given.items.cols, n, stride);
        let queries = View::from(given.queries).rows(from, best.len());
        for (at, scores) in (0..best.len()).step_by(NO_COPY).zip(self.scores.chunks_mut(NO_COPY * stride)) {
            let many = NO_COPY.min(best.len() - at);
            multiply(&mut Tile::new(scores, many, n, stride), queries.rows(at, many), turned, 1.0, false);
        }
        vectorize(
            #[inline(always)]
            || {
                for (scores, best) in self.scores.chunks(stride).zip(best) {
                    best.scan(&scores[..n], self.first + items.start as u32);
                }
            },
        );
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
        if self.coded {
            let blocks = blocks(self.items);
            signature.reads.push(Slot::u32("codes", blocks, block_words(self.dim)));
            signature.reads.push(Slot::f32("code bounds", blocks, BOUNDS));
        }
        signature
    }

    fn mismatch(&self, _: &Operands) -> Option<String> {
        self.top_k().mismatch(&Operands::default())
    }

    fn cost(&self) -> Cost {
        let (queries, items, dim) = (self.queries as f64, self.items as f64, self.dim as f64);
        // Of an item that has a code no more than that need be read.
        let item = if self.coded { dim } else { 4.0 * dim };
        Cost { bytes: item * items + 4.0 * queries * (dim + 2.0 * self.k as f64), flops: 2.0 * queries * items * dim }
    }

    fn scratch(&self, target: Target) -> Vec<usize> {
        match target {
            Target::Cpu => Vec::new(),
            Target::Gpu => {
                let mut words = vec![self.queries.saturating_mul(self.items)];
                words.extend(self.top_k().scratch(target));
                words.extend(self.product().scratch(target));
                words
            }
        }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let coded = self.coded && COLUMNS.contains(&self.dim);
        let coded = coded.then(|| [io.read(4), io.read(5)]);
        let given = Given { queries: io.read(0), items: io.read(1), coded };
        let (slice, excluded) = (io.read_opt(2), io.read_opt(3));
        let (mut value, mut id) = (io.write(0), io.write(1));
        let tasks = self.tasks(coded.is_some() && Vnni::best().is_some());
        let found: Vec<Vec<Best>> = tasks
            .par_iter()
            .map(|(rows, range)| {
                let new = |q| Best::new(self.k, excluded_of(q, slice, excluded));
                let mut best: Vec<Best> = rows.clone().map(new).collect();
                self.task(&given, rows, range, &mut best);
                best
            })
            .collect();
        let mut found = tasks.iter().zip(found).peekable();
        while let Some(((rows, _), mut best)) = found.next() {
            while let Some((_, more)) = found.next_if(|((next, _), _)| next == rows) {
                best.iter_mut().zip(more).for_each(|(best, more)| best.merge(more));
            }
            for (q, best) in rows.clone().zip(best) {
                best.write(value.row(q), id.row_u32(q));
            }
        }
    }

    #[cfg(feature = "naive")]
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
