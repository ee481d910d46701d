//! The two baselines that stand beside every model: most-popular and item-kNN.

use std::fmt;

use rayon::prelude::*;
use rt_data::{Dataset, EvalCase, Mask, Split};
use serde::{Serialize, Serializer};

use super::cooccurrence::Cooccurrence;
use super::metrics::ndcg;
use super::ranker::{Ranker, Scratch};
use super::{Place, Result, Scorer};

/// most-popular: an item's score is the number of its train events, for every user.
#[derive(Debug, Clone)]
pub struct Popularity {
    counts: Vec<f32>,
}

impl Popularity {
    /// Counts the train part.
    #[must_use]
    pub fn new(data: &Dataset, split: &Split) -> Self {
        Self { counts: split.item_counts(data).into_iter().map(|count| count as f32).collect() }
    }
}

impl Scorer for Popularity {
    fn scores(&self, _: &[&EvalCase], out: &mut [f32]) -> Result<()> {
        for row in out.chunks_mut(self.counts.len()) {
            row.copy_from_slice(&self.counts);
        }
        Ok(())
    }
}

/// How much of a history item-kNN looks at. A number in JSON, or `"all"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// The last so many events.
    Events(usize),
    /// The whole history.
    All,
}

/// What [`ItemKnn::fit`] chooses from, ascending.
pub const LASTS: [Last; 8] = [
    Last::Events(1),
    Last::Events(2),
    Last::Events(3),
    Last::Events(5),
    Last::Events(10),
    Last::Events(20),
    Last::Events(50),
    Last::All,
];

impl Last {
    fn events(self) -> usize {
        match self {
            Self::Events(events) => events,
            Self::All => usize::MAX,
        }
    }
}

impl fmt::Display for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Events(events) => events.fmt(f),
            Self::All => f.write_str("all"),
        }
    }
}

impl Serialize for Last {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Events(events) => serializer.serialize_u64(*events as u64),
            Self::All => serializer.serialize_str("all"),
        }
    }
}

/// item-kNN: cosine between the binary item columns of the train part, zero diagonal, summed over the last h events of
/// the history; an item that occurs twice among them counts twice.
pub struct ItemKnn<'a> {
    data: &'a Dataset,
    together: Cooccurrence,
    /// 1 / sqrt(users) of each item, 0 for items without any: the cosine is count * scale * scale.
    scale: Vec<f32>,
    last: Last,
    tried: Vec<(Last, f64)>,
}

impl fmt::Debug for ItemKnn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ItemKnn").field("last", &self.last).field("tried", &self.tried).finish_non_exhaustive()
    }
}

impl<'a> ItemKnn<'a> {
    /// Counts the train part and takes the h of [`LASTS`] with the best NDCG@10 on the validation cases under the split's mask,
    /// the smallest of equals. Where a history is a set, or there is nothing to validate on, h is the whole history.
    ///
    /// # Errors
    ///
    /// As [`super::rank_cases`].
    pub fn fit(data: &'a Dataset, split: &Split) -> Result<Self> {
        let mut knn = Self::with_last(data, split, Last::All);
        if split.history_is_set || split.valid.is_empty() {
            return Ok(knn);
        }
        let ranker = Ranker::new(data);
        let cases: Result<Vec<Option<[f64; LASTS.len()]>>> = split
            .valid
            .par_iter()
            .map_init(
                || (Scratch::default(), vec![0.0; knn.scale.len()], vec![0.0; knn.scale.len()]),
                |(scratch, sums, scores), case| {
                    knn.ndcg_of_lasts(&ranker, case, split.mask, None, scratch, sums, scores)
                },
            )
            .collect();
        knn.tried = means(cases?);
        let mut best = f64::NEG_INFINITY;
        for &(last, value) in &knn.tried {
            if value > best {
                (best, knn.last) = (value, last);
            }
        }
        Ok(knn)
    }

    /// NDCG@10 for each of [`LASTS`] of the last `asked` train events of each user, from those before them, at least three, under
    /// the split's mask; empty where there is no such event. The counts hold the user's own events: what they add to the target is
    /// taken off.
    ///
    /// # Errors
    ///
    /// As [`super::rank_cases`].
    pub(crate) fn probe(data: &'a Dataset, split: &Split, asked: usize) -> Result<Vec<(Last, f64)>> {
        let knn = Self::with_last(data, split, Last::All);
        let ranker = Ranker::new(data);
        let targets = |user: u32| {
            let events = split.train_events(data, user);
            let first = (events.start + 3).max(events.end.saturating_sub(asked));
            (first..events.end).map(move |target| (user, events.start as u32, target as u32))
        };
        let targets: Vec<(u32, u32, u32)> = (0..data.users.rows() as u32).flat_map(targets).collect();
        let cases: Result<Vec<Option<[f64; LASTS.len()]>>> = targets
            .par_iter()
            .map_init(
                || (Scratch::default(), vec![0.0; knn.scale.len()], vec![0.0; knn.scale.len()]),
                |(scratch, sums, scores), &(user, start, target)| {
                    let history = start..target;
                    let case = EvalCase { user, history: history.clone(), train: history, targets: vec![target] };
                    knn.ndcg_of_lasts(&ranker, &case, split.mask, Some(target), scratch, sums, scores)
                },
            )
            .collect();
        Ok(means(cases?))
    }

    /// Bytes that the counts of pairs take at most, which grow with the square of the longest history: to be asked before
    /// [`Self::fit`].
    #[must_use]
    pub fn bytes(data: &Dataset, split: &Split) -> u64 {
        Cooccurrence::bytes(data, split, rayon::current_num_threads())
    }

    /// Counts the train part; h is given.
    #[must_use]
    pub fn with_last(data: &'a Dataset, split: &Split, last: Last) -> Self {
        let together = Cooccurrence::new(data, split);
        let scale = |&users: &u32| {
            if users == 0 { 0.0 } else { 1.0 / (users as f32).sqrt() }
        };
        let scale = together.users().iter().map(scale).collect();
        Self { data, together, scale, last, tried: Vec::new() }
    }

    /// How much of a history it looks at.
    #[must_use]
    pub fn last(&self) -> Last {
        self.last
    }

    /// What was tried and its validation NDCG@10; empty where nothing was.
    #[must_use]
    pub fn tried(&self) -> &[(Last, f64)] {
        &self.tried
    }

    /// NDCG@10 of a case for every h, in one pass over its history, newest event first; `None` where all targets are masked. The
    /// user's own event `counted` is in the counts with all of the history: it is taken off.
    #[expect(clippy::too_many_arguments, reason = "a thread's scratch, and what is ranked")]
    fn ndcg_of_lasts(
        &self,
        ranker: &Ranker,
        case: &EvalCase,
        mask: Mask,
        counted: Option<u32>,
        scratch: &mut Scratch,
        sums: &mut [f32],
        scores: &mut [f32],
    ) -> Result<Option<[f64; LASTS.len()]>> {
        let targets = ranker.targets(case)?;
        let mut places = Vec::with_capacity(targets.len());
        let mut values = [0.0; LASTS.len()];
        let mut done = None;
        sums.fill(0.0);
        for (h, last) in LASTS.into_iter().enumerate() {
            let events = last.events().min(case.history.len());
            if done != Some(events) {
                for event in case.history.clone().rev().take(events).skip(done.unwrap_or(0)) {
                    self.add(event, sums);
                    let item = self.data.event_item[event as usize];
                    let own = counted.map(|own| self.data.event_item[own as usize]).filter(|own| *own != item);
                    if let Some(own) = own {
                        sums[own as usize] -= self.scale[item as usize];
                    }
                }
                done = Some(events);
                for ((score, sum), scale) in scores.iter_mut().zip(&*sums).zip(&self.scale) {
                    *score = sum * scale;
                }
                ranker.load(case, scores, scratch)?;
                places.clear();
                ranker.places(case, &targets, mask, scratch, &mut places);
                if places.is_empty() {
                    return Ok(None);
                }
            }
            let places: Vec<Place> = places.iter().map(|&(_, place)| place).collect();
            values[h] = ndcg(&places, 10);
        }
        Ok(Some(values))
    }

    /// Adds the cosines of an event's item, but for the scale of the other item: that one is common to the sum.
    fn add(&self, event: u32, sums: &mut [f32]) {
        let item = self.data.event_item[event as usize];
        self.together.add(item, self.scale[item as usize], sums);
    }
}

/// The mean for each of [`LASTS`] over the cases that have one; empty where none has.
fn means(cases: Vec<Option<[f64; LASTS.len()]>>) -> Vec<(Last, f64)> {
    let cases: Vec<_> = cases.into_iter().flatten().collect();
    if cases.is_empty() {
        return Vec::new();
    }
    let mean = |h: usize| cases.iter().map(|case| case[h]).sum::<f64>() / cases.len() as f64;
    LASTS.into_iter().enumerate().map(|(h, last)| (last, mean(h))).collect()
}

impl Scorer for ItemKnn<'_> {
    fn scores(&self, cases: &[&EvalCase], out: &mut [f32]) -> Result<()> {
        out.par_chunks_mut(self.scale.len()).zip(cases).for_each(|(out, case)| {
            out.fill(0.0);
            for event in case.history.clone().rev().take(self.last.events()) {
                self.add(event, out);
            }
            for (out, scale) in out.iter_mut().zip(&self.scale) {
                *out *= scale;
            }
        });
        Ok(())
    }
}
