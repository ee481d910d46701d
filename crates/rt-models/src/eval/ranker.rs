//! The places of one case's targets: scores in, places under a mask out.

use rt_data::{Dataset, EvalCase, Mask};

use super::top::top;
use super::{Place, Result};

/// Place of an item that is not in the catalogue.
const NOWHERE: u32 = u32::MAX;

/// What a thread needs to rank a case; reused from case to case.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Scores of the catalogue, in its order.
    scores: Vec<f32>,
    /// True for the catalogue places in `masked_places`.
    masked: Vec<bool>,
    masked_places: Vec<u32>,
    keys: Vec<u64>,
    list: Vec<u32>,
}

impl Scratch {
    /// Catalogue places of the best `k` unmasked items, by the scores and the mask of the latest places.
    pub(super) fn best(&mut self, k: usize) -> &[u32] {
        top(&self.scores, &self.masked, k, &mut self.keys, &mut self.list);
        &self.list
    }
}

/// Ranks one case after the other.
pub(super) struct Ranker<'a> {
    data: &'a Dataset,
    catalogue: &'a [u32],
    /// Place in the catalogue of each dense item.
    places: Vec<u32>,
}

impl<'a> Ranker<'a> {
    pub(super) fn new(data: &'a Dataset) -> Self {
        let mut places = vec![NOWHERE; data.items.rows()];
        for (place, &item) in data.ranked().iter().enumerate() {
            places[item as usize] = place as u32;
        }
        Self { data, catalogue: data.ranked(), places }
    }

    /// Target events of a case with distinct items.
    pub(super) fn targets(&self, case: &EvalCase) -> Result<Vec<u32>> {
        let mut targets: Vec<u32> = Vec::with_capacity(case.targets.len());
        for &event in &case.targets {
            if self.place(event) == NOWHERE {
                return Err(format!("user {}: a target is no item of the catalogue", self.user(case)).into());
            }
            // Few targets a case: a search is cheaper than a set.
            if targets.iter().all(|&other| self.place(other) != self.place(event)) {
                targets.push(event);
            }
        }
        if targets.is_empty() {
            return Err(format!("user {}: a case without a target cannot be ranked", self.user(case)).into());
        }
        Ok(targets)
    }

    /// Takes the scores of a case in; they are `[items]`.
    pub(super) fn load(&self, case: &EvalCase, scores: &[f32], scratch: &mut Scratch) -> Result<()> {
        scratch.scores.clear();
        scratch.scores.extend(self.catalogue.iter().map(|&item| scores[item as usize]));
        scratch.masked.resize(self.catalogue.len(), false);
        if scratch.scores.iter().fold(false, |any, score| any | score.is_nan()) {
            let place = scratch.scores.iter().position(|score| score.is_nan()).unwrap_or_default();
            let item = self.data.items.raw(self.catalogue[place]);
            return Err(format!("user {}: the score of item {item} is not a number", self.user(case)).into());
        }
        Ok(())
    }

    /// The targets (events) that `mask` leaves in the ranking, and where they stand by the scores that [`Self::load`] took in.
    pub(super) fn places(
        &self,
        case: &EvalCase,
        targets: &[u32],
        mask: Mask,
        scratch: &mut Scratch,
        out: &mut Vec<(u32, Place)>,
    ) {
        self.mask(case, mask, scratch);
        let scores = &scratch.scores;
        for &target in targets {
            let own = self.place(target) as usize;
            if scratch.masked[own] {
                continue;
            }
            let own = scores[own];
            // Over everything without a branch, then less what is masked: a few against thousands.
            let (mut before, mut tied) = (0u32, 0u32);
            for &score in scores {
                before += u32::from(score > own);
                tied += u32::from(score == own);
            }
            for &place in &scratch.masked_places {
                before -= u32::from(scores[place as usize] > own);
                tied -= u32::from(scores[place as usize] == own);
            }
            out.push((target, Place { before, tied }));
        }
    }

    /// Marks the items of the masked events, each once.
    fn mask(&self, case: &EvalCase, mask: Mask, scratch: &mut Scratch) {
        for place in scratch.masked_places.drain(..) {
            scratch.masked[place as usize] = false;
        }
        for event in case.masked(mask) {
            let place = self.place(event);
            if place != NOWHERE && !scratch.masked[place as usize] {
                scratch.masked[place as usize] = true;
                scratch.masked_places.push(place);
            }
        }
    }

    fn place(&self, event: u32) -> u32 {
        self.places[self.data.event_item[event as usize] as usize]
    }

    fn user(&self, case: &EvalCase) -> &str {
        self.data.users.raw(case.user)
    }
}
