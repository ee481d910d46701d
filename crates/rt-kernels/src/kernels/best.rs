//! The k best of many scores.

use super::bag::Slices;
use crate::{Mat, rank};
use std::cmp::Ordering;

/// Value of a place that no item is left for.
pub(super) const NOTHING: f32 = -1e30;

/// An item and its score, ordered best first; ties in ascending id.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) score: f32,
    pub(super) id: u32,
}

impl Eq for Candidate {}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        rank::key(other.score).cmp(&rank::key(self.score)).then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The `k` best candidates so far. Candidates above a threshold gather in a list that is cut to its k best when it is
/// full, which raises the threshold: nearly every score costs one comparison.
#[derive(Debug, Clone)]
pub(super) struct Best {
    k: usize,
    /// Score of the k-th best at the last cut: a later one has to be greater, because later ids lose ties. Minus infinity until
    /// then: neither that nor NaN is greater, so neither ever gets in.
    threshold: f32,
    list: Vec<Candidate>,
    excluded: Vec<u32>,
}

impl Best {
    /// `excluded` items never get in.
    pub(super) fn new(k: usize, mut excluded: Vec<u32>) -> Self {
        excluded.sort_unstable();
        Self { k, threshold: f32::NEG_INFINITY, list: Vec::new(), excluded }
    }

    /// Takes the scores of items `first ..`, all greater than the ids that it has seen.
    #[inline(always)]
    pub(super) fn scan(&mut self, scores: &[f32], first: u32) {
        const LANES: usize = 64;
        let mut chunks = scores.chunks_exact(LANES);
        let mut c = first;
        for chunk in &mut chunks {
            let mut any = false;
            for score in chunk {
                any |= *score > self.threshold;
            }
            if any {
                self.take(chunk, c);
            }
            c += LANES as u32;
        }
        self.take(chunks.remainder(), c);
    }

    /// A score that is not greater will not get in.
    pub(super) fn threshold(&self) -> f32 {
        self.threshold
    }

    /// Takes the score of one item, whose id is greater than all that it has seen.
    #[inline(always)]
    pub(super) fn offer(&mut self, score: f32, id: u32) {
        self.take(&[score], id);
    }

    fn take(&mut self, scores: &[f32], first: u32) {
        for (c, score) in scores.iter().enumerate() {
            if *score > self.threshold {
                self.push(Candidate { score: *score + 0.0, id: first + c as u32 }); // -0 ties with 0
            }
        }
    }

    fn push(&mut self, candidate: Candidate) {
        if self.excluded.binary_search(&candidate.id).is_ok() {
            return;
        }
        self.list.push(candidate);
        if self.list.len() >= 2 * self.k + 64 {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.k == 0 || self.list.len() < self.k {
            return;
        }
        let (_, worst, _) = self.list.select_nth_unstable(self.k - 1);
        self.threshold = worst.score;
        self.list.truncate(self.k);
    }

    /// The candidates of both.
    pub(super) fn merge(&mut self, other: Self) {
        self.list.extend(other.list);
        self.cut();
    }

    /// Writes values and ids, best first.
    pub(super) fn write(mut self, values: &mut [f32], ids: &mut [u32]) {
        self.list.sort_unstable();
        for (j, (value, id)) in values.iter_mut().zip(ids).enumerate() {
            (*value, *id) = self.list.get(j).map_or((NOTHING, u32::MAX), |c| (c.score, c.id));
        }
    }
}

/// What query `query` must not get: `excluded[start .. start + len]` of its slice, nothing where that does not lie in them.
pub(super) fn excluded_of(query: usize, slice: Option<Mat<'_>>, excluded: Option<Mat<'_>>) -> Vec<u32> {
    match (slice, excluded) {
        (Some(slice), Some(excluded)) => {
            let [len, end] = Slices::within(slice.row_u32(query)[0], slice.row_u32(query)[1], excluded.rows);
            (end - len..end).map(|i| excluded.id(i as usize)).collect()
        }
        _ => Vec::new(),
    }
}
