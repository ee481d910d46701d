//! Masked exact top-k.

use super::best::{Best, excluded_of};
use super::fit;
use crate::simd::vectorize;
use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, MOST_ITERATIONS, Operands, Signature, Slot, Target};
use rayon::prelude::*;

/// The k best columns of each row of scores, best first, ties in ascending id: scores `[queries, items]` (column c is item
/// `first + c`), slice `[queries, 2]` u32 and excluded `[any, 1]` u32 (items `excluded[start .. start + len]` never appear for
/// that query) or neither; value `[queries, k]`, id `[queries, k]` u32. Scores have the order of [`crate::rank::key`]: NaN and
/// minus infinity are never listed. Where fewer than k are left, the places that are missing come last, with id `u32::MAX` and
/// value -1e30, which a score may have too: the id alone tells. Reads `queries * items` words.
#[derive(Debug, Clone, PartialEq)]
pub struct TopK {
    /// Rows of scores.
    pub queries: usize,
    /// Columns of scores.
    pub items: usize,
    /// Items wanted.
    pub k: usize,
    /// Item of column 0.
    pub first: u32,
}

/// Entries of a query's list that a workgroup of 64 lanes takes out.
const EXCLUDED_SPAN: usize = 64 * (MOST_ITERATIONS - 1);

impl Kernel for TopK {
    fn name(&self) -> &'static str {
        "top_k"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![
                Slot::f32("scores", self.queries, self.items),
                Slot::u32("slice", self.queries, 2).optional(),
                Slot::u32("excluded", None, 1).optional(),
            ],
            writes: vec![Slot::f32("value", self.queries, self.k), Slot::u32("id", self.queries, self.k)],
        }
    }

    fn mismatch(&self, _: &Operands) -> Option<String> {
        let past = self.items.checked_add(self.first as usize);
        fit::unless(past.is_some_and(|past| u32::try_from(past).is_ok()), || {
            format!("{} items from id {} on: ids end at {}", self.items, self.first, u32::MAX)
        })
    }

    fn cost(&self) -> Cost {
        let cells = (self.queries * self.items) as f64;
        Cost { bytes: 4.0 * cells + 8.0 * (self.queries * self.k) as f64, flops: cells }
    }

    fn scratch(&self, target: Target) -> Vec<usize> {
        match target {
            Target::Cpu => Vec::new(),
            // Scores as ordered integers, 0 = never listed or excluded; and (key, id) of the k that were chosen.
            Target::Gpu => {
                vec![self.queries.saturating_mul(self.items), self.queries.saturating_mul(self.k).saturating_mul(2)]
            }
        }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (scores, slice, excluded) = (io.read(0), io.read_opt(1), io.read_opt(2));
        let (mut value, mut id) = (io.write(0), io.write(1));
        let best: Vec<Best> = (0..self.queries)
            .into_par_iter()
            .map(|q| {
                let mut best = Best::new(self.k, excluded_of(q, slice, excluded));
                vectorize(
                    #[inline(always)]
                    || best.scan(scores.row(q), self.first),
                );
                best
            })
            .collect();
        for (q, best) in best.into_iter().enumerate() {
            best.write(value.row(q), id.row_u32(q));
        }
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::top_k(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let scores = operands.read(0);
        let (value, id) = (operands.write(0), operands.write(1));
        let (keys, chosen) = (operands.scratch[0], operands.scratch[1]);
        let (queries, items, k) = (self.queries as u32, self.items as u32, self.k as u32);
        let plain = |shader, params, bindings, workgroups| Dispatch {
            shader,
            constants: Vec::new(),
            params,
            step: false,
            bindings,
            workgroups,
            iterations: 0,
        };
        let mut list = vec![plain(
            "top_k_keys",
            vec![queries, items, scores.offset as u32, scores.stride as u32],
            vec![Binding::Read(scores.buffer), Binding::Write(keys.buffer)],
            (self.queries * self.items).div_ceil(64),
        )];
        if let (Some(slice), Some(excluded)) = (operands.reads[1], operands.reads[2]) {
            let places = [slice, excluded].map(|o| [o.offset as u32, o.stride as u32]).concat();
            // A list is no longer than all of them, and may be: an id can repeat. Where a driver would end the walk of one workgroup,
            // several share a query's list.
            let parts = excluded.rows.div_ceil(EXCLUDED_SPAN).max(1);
            let longest = excluded.rows.min(EXCLUDED_SPAN);
            list.push(
                plain(
                    "top_k_exclude",
                    [
                        vec![queries, items, self.first, excluded.rows as u32],
                        places,
                        vec![parts as u32, EXCLUDED_SPAN as u32],
                    ]
                    .concat(),
                    vec![Binding::Read(slice.buffer), Binding::Read(excluded.buffer), Binding::Write(keys.buffer)],
                    self.queries * parts,
                )
                .looping(longest.div_ceil(64) + 1),
            );
        }
        let places = [value, id].map(|o| [o.offset as u32, o.stride as u32]).concat();
        // Four passes over the keys and over a histogram, one with a scan in it, and the places of the chosen.
        let (keys_of_a_lane, chosen_of_a_lane) = (self.items.div_ceil(256), self.k.div_ceil(256));
        let iterations = 4 * (2 + keys_of_a_lane + 257) + keys_of_a_lane * 10 + chosen_of_a_lane * (2 + self.k) + 8;
        list.push(
            plain(
                "top_k_select",
                [vec![queries, items, k, self.first], places].concat(),
                vec![
                    Binding::Read(keys.buffer),
                    Binding::Write(chosen.buffer),
                    Binding::Write(value.buffer),
                    Binding::Write(id.buffer),
                ],
                self.queries,
            )
            .looping(iterations),
        );
        list
    }
}
