//! Masked exact top-k.

use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, Mat, Operands, Signature, Slot, Target};
use rayon::prelude::*;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// The k best columns of each row of scores, best first, ties in ascending id: scores `[queries, items]` (column c is item
/// `first + c`), slice `[queries, 2]` u32 and excluded `[any, 1]` u32 (items `excluded[start .. start + len]` never appear for
/// that query) or neither; value `[queries, k]`, id `[queries, k]` u32. Where fewer than k are left, id is `u32::MAX` and
/// value -1e30. Reads `queries * items` words.
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

/// Value of a place that no item is left for.
const NOTHING: f32 = -1e30;

/// A candidate; the greatest is the worst, so that a heap's top is the one to beat.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Candidate {
    score: f32,
    id: u32,
}

impl Eq for Candidate {}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl TopK {
    fn best(&self, scores: &[f32], mut excluded: Vec<u32>) -> Vec<Candidate> {
        excluded.sort_unstable();
        let mut heap = BinaryHeap::with_capacity(self.k + 1);
        let mut worst = f32::NEG_INFINITY;
        for (c, &score) in scores.iter().enumerate() {
            let score = score + 0.0; // -0 ties with 0
            // Later ids lose ties, so only a better score gets in once the heap is full.
            if heap.len() == self.k && score <= worst {
                continue;
            }
            let id = self.first + c as u32;
            if excluded.binary_search(&id).is_ok() {
                continue;
            }
            heap.push(Candidate { score, id });
            if heap.len() > self.k {
                heap.pop();
            }
            if heap.len() == self.k {
                worst = heap.peek().map_or(worst, |c| c.score);
            }
        }
        heap.into_sorted_vec()
    }
}

fn excluded_of(query: usize, slice: Option<Mat<'_>>, excluded: Option<Mat<'_>>) -> Vec<u32> {
    match (slice, excluded) {
        (Some(slice), Some(excluded)) => {
            let [start, len] = [slice.row_u32(query)[0], slice.row_u32(query)[1]];
            (start..start + len).map(|i| excluded.id(i as usize)).collect()
        }
        _ => Vec::new(),
    }
}

impl Kernel for TopK {
    fn name(&self) -> &'static str {
        "top_k"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![
                Slot::f32("scores", self.queries, self.items),
                Slot::u32("slice", self.queries, 2).optional(),
                Slot::u32("excluded", 0, 1).optional(),
            ],
            writes: vec![Slot::f32("value", self.queries, self.k), Slot::u32("id", self.queries, self.k)],
        }
    }

    fn cost(&self) -> Cost {
        let cells = (self.queries * self.items) as f64;
        Cost { bytes: 4.0 * cells + 8.0 * (self.queries * self.k) as f64, flops: cells }
    }

    fn scratch(&self, target: Target) -> Vec<usize> {
        match target {
            Target::Cpu => Vec::new(),
            // Scores as ordered integers, 0 = excluded; and (key, id) of the k that were chosen.
            Target::Gpu => vec![self.queries * self.items, 2 * self.queries * self.k],
        }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (scores, slice, excluded) = (io.read(0), io.read_opt(1), io.read_opt(2));
        let best: Vec<Vec<Candidate>> = (0..self.queries)
            .into_par_iter()
            .map(|q| self.best(scores.row(q), excluded_of(q, slice, excluded)))
            .collect();
        let (mut value, mut id) = (io.write(0), io.write(1));
        for (q, best) in best.iter().enumerate() {
            for (j, (value, id)) in value.row(q).iter_mut().zip(id.row_u32(q)).enumerate() {
                (*value, *id) = best.get(j).map_or((NOTHING, u32::MAX), |c| (c.score, c.id));
            }
        }
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
        };
        let mut list = vec![plain(
            "top_k_keys",
            vec![queries, items, scores.offset as u32, scores.stride as u32],
            vec![Binding::Read(scores.buffer), Binding::Write(keys.buffer)],
            (self.queries * self.items).div_ceil(64),
        )];
        if let (Some(slice), Some(excluded)) = (operands.reads[1], operands.reads[2]) {
            let places = [slice, excluded].map(|o| [o.offset as u32, o.stride as u32]).concat();
            list.push(plain(
                "top_k_exclude",
                [vec![queries, items, self.first], places].concat(),
                vec![Binding::Read(slice.buffer), Binding::Read(excluded.buffer), Binding::Write(keys.buffer)],
                self.queries,
            ));
        }
        let places = [value, id].map(|o| [o.offset as u32, o.stride as u32]).concat();
        list.push(plain(
            "top_k_select",
            [vec![queries, items, k, self.first], places].concat(),
            vec![
                Binding::Read(keys.buffer),
                Binding::Write(chosen.buffer),
                Binding::Write(value.buffer),
                Binding::Write(id.buffer),
            ],
            self.queries,
        ));
        list
    }
}
