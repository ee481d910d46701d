//! The true model: vectors, release times, and the logits that events are drawn from.

use std::ops::Range;

use crate::Dataset;

/// The score of what cannot happen: unknown (row 0), unreleased, watched already.
pub const NEVER: f32 = -1e30;

/// Seconds of a day.
pub(super) const DAY: i64 = 86_400;

/// Days after which newness is worth a quarter.
const FRESH_DAYS: f32 = 30.0;

/// What a user is like.
#[derive(Debug, Clone)]
pub(super) struct Person {
    /// Taste at the first event, weighted; `dim` long.
    pub(super) taste: Vec<f32>,
    /// What is added to it by the last event, weighted.
    pub(super) drift: Vec<f32>,
    /// Active time, seconds.
    pub(super) active: Range<i64>,
}

/// The latent factors behind a generated [`Dataset`]. Items are counted from 0 inside; `item_of_row` maps dense ids.
#[derive(Debug, Clone)]
pub struct Latent {
    pub(super) items: usize,
    /// `[dim, items]`: one factor of all items is contiguous, so that logits vectorise over items.
    pub(super) factors: Vec<f32>,
    /// Weighted popularity of each item.
    pub(super) popularity: Vec<f32>,
    /// Release time of each item, seconds.
    pub(super) release: Vec<i64>,
    /// Days from the origin of `day_of` to the release.
    pub(super) release_day: Vec<f32>,
    pub(super) sequence: f32,
    pub(super) freshness: f32,
    /// By dense user id less 1.
    pub(super) people: Vec<Person>,
    /// Item of each dense id; row 0 is not one.
    pub(super) item_of_row: Vec<u32>,
}

/// A time in days since the start of 2000, fine enough for the age of an item.
pub(super) fn day_of(time: i64) -> f32 {
    ((time - super::world::START) as f64 / DAY as f64) as f32
}

impl Latent {
    /// The true logit of every dense item for the next event of `user` after `history` at `time` (seconds).
    ///
    /// `out` is `items.rows()` long; [`NEVER`] stands for row 0, unreleased items and those of the history. Ranking
    /// by `out` is the best that any model can do. `history` are the user's events before the target, in order, as in
    /// an [`EvalCase`](crate::EvalCase).
    ///
    /// # Panics
    ///
    /// If `data` is not the data set that was generated with these factors (lengths differ).
    pub fn scores(&self, data: &Dataset, user: u32, history: Range<u32>, time: i64, out: &mut [f32]) {
        assert_eq!(out.len(), self.item_of_row.len(), "one score a dense item");
        let items = &data.event_item[history.start as usize..history.end as usize];
        let watched: Vec<u32> = items.iter().map(|&row| self.item_of_row[row as usize]).collect();
        let mut logits = vec![NEVER; self.items];
        if let Some(person) = self.people.get((user as usize).wrapping_sub(1)) {
            self.logits(person, &watched, time, &mut logits);
        }
        out[0] = NEVER;
        for (score, &item) in out.iter_mut().zip(&self.item_of_row).skip(1) {
            *score = logits[item as usize];
        }
    }

    /// The logits over items counted from 0; `watched` in order, the last one last.
    pub(super) fn logits(&self, person: &Person, watched: &[u32], time: i64, out: &mut [f32]) {
        let span = (person.active.end - person.active.start).max(1);
        let phase = ((time - person.active.start) as f64 / span as f64).clamp(0.0, 1.0) as f32;
        let recent = |back: usize| watched.len().checked_sub(back).map(|place| watched[place] as usize);
        let (last, second) = (recent(1), recent(2));
        out.copy_from_slice(&self.popularity);
        for (d, factor) in self.factors.chunks_exact(self.items).enumerate() {
            let mut weight = person.taste[d] + phase * person.drift[d];
            if let Some(last) = last {
                let pull = 0.7 * factor[last] + second.map_or(0.0, |second| 0.3 * factor[second]);
                weight += self.sequence * pull;
            }
            for (logit, &value) in out.iter_mut().zip(factor) {
                *logit += weight * value;
            }
        }
        let today = day_of(time);
        for (logit, &release) in out.iter_mut().zip(&self.release_day) {
            let age = 1.0 + (today - release) * (1.0 / FRESH_DAYS);
            let fresh = *logit + self.freshness / (age * age);
            *logit = if today < release { NEVER } else { fresh };
        }
        for &item in watched {
            out[item as usize] = NEVER;
        }
    }

    /// When an item (dense id) was released, seconds.
    #[must_use]
    pub fn released(&self, item: u32) -> Option<i64> {
        if item == 0 {
            return None;
        }
        self.item_of_row.get(item as usize).map(|&item| self.release[item as usize])
    }
}
