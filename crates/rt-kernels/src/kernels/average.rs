//! Exponential averages of parameters, which touch only what a step touches.
//!
//! The average of a weight w is `e_T = (1 - d) sum over t = 1 ..= T of d^(T - t) w_t`, divided by `1 - d^T` when it is read
//! (the bias correction of Kingma and Ba, ICLR 2015, section 3). A row that stands still for k steps only moves its
//! average towards itself: `e = w + d^k (e - w)`. So a row is brought up to date when it is about to be moved, and all
//! of them when the average is read: nothing in a step is as large as the vocabulary.

use super::cells::dispatch;
use crate::simd::vectorize;
use crate::slabs::each_slab;
use crate::{Cost, CpuIo, Dispatch, Kernel, MatMut, Operands, Signature, SlabCall, Slot};
use rayon::prelude::*;
use std::ops::Range;

/// Before a step moves them, brings the averages of the rows that it touches up to the step before:
/// `average[r, :] = table[r, :] + decay^(step - 1 - last[r]) (average[r, :] - table[r, :])`.
///
/// Reads `keys` and `first` of [`Group`](super::Group), `table` `[any, dim]`, `last` `[any, 1]` (the step up to which the
/// average of a row is right, as a float: exact up to 2^24 steps); updates `average` `[any, dim]` in place. Moves `3 dim + 2`
/// words a distinct id.
#[derive(Debug, Clone, PartialEq)]
pub struct AverageRows {
    /// The table's number in the grouping.
    pub table: usize,
    /// Its first global key.
    pub base: u32,
    /// Most distinct ids that the table can have in a step.
    pub capacity: usize,
    /// Columns.
    pub dim: usize,
    /// Tables of the grouping.
    pub tables: usize,
    /// Share of the average that a step keeps.
    pub decay: f32,
}

/// After [`AverageRows`]: `last[r] = step - 1` for the rows that the step touches.
///
/// Reads `keys`, `first`; updates `last` `[any, 1]` in place.
#[derive(Debug, Clone, PartialEq)]
pub struct StampRows {
    /// The table's number in the grouping.
    pub table: usize,
    /// Its first global key.
    pub base: u32,
    /// Most distinct ids that the table can have in a step.
    pub capacity: usize,
    /// Tables of the grouping.
    pub tables: usize,
}

/// Before a step moves them, the averages of n dense parameters: `average = w + d (average - w)`, where d is 1 in the
/// first step, which has no step before it, else `decay`. Reads `params` `[n, 1]`, updates `average` `[n, 1]` in place, both
/// without gaps. Moves `3 n` words.
#[derive(Debug, Clone, PartialEq)]
pub struct AverageDense {
    /// Parameters.
    pub n: usize,
    /// Share of the average that a step keeps.
    pub decay: f32,
}

/// Distinct ids `from..to` of a table in `keys`.
fn span(first: &crate::Mat<'_>, table: usize, capacity: usize) -> Range<usize> {
    let (from, to) = (first.id(table) as usize, first.id(table + 1) as usize);
    from..to.min(from + capacity)
}

/// Rows of a table that one CPU task takes: ids ascend, so a task finds its own by bisection.
const BLOCK: usize = 8_192;

impl Kernel for AverageRows {
    fn name(&self) -> &'static str {
        "average_rows"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![
                Slot::u32("keys", 0, 1),
                Slot::u32("first", self.tables + 1, 1),
                Slot::f32("table", 0, self.dim),
                Slot::f32("last", 0, 1),
            ],
            writes: vec![Slot::f32("average", 0, self.dim).in_place()],
        }
    }

    fn cost(&self) -> Cost {
        let cells = (self.capacity * self.dim) as f64;
        Cost { bytes: 12.0 * cells + 8.0 * self.capacity as f64, flops: 3.0 * cells }
    }

    fn on_slabs(&self, slabs: &[Range<usize>]) -> Option<Vec<SlabCall>> {
        Some(each_slab(slabs, |dim| Self { dim, ..self.clone() }))
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (keys, first, table, last) = (io.read(0), io.read(1), io.read(2), io.read(3));
        let before = io.step.step.saturating_sub(1) as f32;
        let ids = span(&first, self.table, self.capacity);
        let keys: Vec<u32> = ids.map(|k| keys.id(k) - self.base).collect();
        let ln = self.decay.ln();
        let task = |block: usize, mut average: MatMut<'_>| {
            let from = keys.partition_point(|r| (*r as usize) < block);
            let end = block + average.rows;
            vectorize(
                #[inline(always)]
                || {
                    for r in keys[from..].iter().map(|r| *r as usize).take_while(|r| *r < end) {
                        let factor = ((before - last.row(r)[0]) * ln).exp();
                        for (e, w) in average.row(r - block).iter_mut().zip(table.row(r)) {
                            *e = w + factor * (*e - w);
                        }
                    }
                },
            );
        };
        io.write(0).par_blocks(BLOCK, task);
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let mut attributes = vec![self.table as u32, self.base, self.capacity as u32, self.dim as u32];
        attributes.push(self.decay.ln().to_bits());
        let cells = self.capacity * self.dim;
        let mut d = dispatch("average_rows", &attributes, &operands.reads, &operands.writes, cells);
        d.step = true;
        vec![d]
    }
}

impl Kernel for StampRows {
    fn name(&self) -> &'static str {
        "stamp_rows"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![Slot::u32("keys", 0, 1), Slot::u32("first", self.tables + 1, 1)],
            writes: vec![Slot::f32("last", 0, 1).in_place()],
        }
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 8.0 * self.capacity as f64, flops: 0.0 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (keys, first, mut last) = (io.read(0), io.read(1), io.write(0));
        let before = io.step.step.saturating_sub(1) as f32;
        for k in span(&first, self.table, self.capacity) {
            last.row((keys.id(k) - self.base) as usize)[0] = before;
        }
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.table as u32, self.base, self.capacity as u32];
        let mut d = dispatch("stamp_rows", &attributes, &operands.reads, &operands.writes, self.capacity);
        d.step = true;
        vec![d]
    }
}

impl Kernel for AverageDense {
    fn name(&self) -> &'static str {
        "average_dense"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![Slot::f32("params", self.n, 1)],
            writes: vec![Slot::f32("average", self.n, 1).in_place()],
        }
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 12.0 * self.n as f64, flops: 3.0 * self.n as f64 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        const CHUNK: usize = 16_384;
        let factor = if io.step.step > 1 { self.decay } else { 1.0 };
        let w = &io.read(0).f32()[..self.n];
        let e = &mut io.write(0).into_f32()[..self.n];
        e.par_chunks_mut(CHUNK).zip(w.par_chunks(CHUNK)).for_each(|(e, w)| {
            vectorize(
                #[inline(always)]
                || {
                    for (e, w) in e.iter_mut().zip(w) {
                        *e = w + factor * (*e - w);
                    }
                },
            );
        });
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.n as u32, self.decay.to_bits()];
        let mut d = dispatch("average_dense", &attributes, &operands.reads, &operands.writes, self.n);
        d.step = true;
        vec![d]
    }
}
