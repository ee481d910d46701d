//! Places of the targets over the whole catalogue, by exact score.
//!
//! A place is counted among the catalogue items that are not masked. A target that is masked cannot be answered: it is left out
//! and counted, and so is a case that has no other. Where a case has several, each is ranked among the unmasked items, the
//! other targets included.

use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;
use rt_data::{Dataset, EvalCase, Mask};

use super::ranker::{Ranker, Scratch};
use super::{KS, Place, Result};

/// Cases that are scored together, at most.
const CHUNK: usize = 256;
/// Scores that are held together, at most (16 MiB), unless one case alone has more.
const CHUNK_SCORES: usize = 1 << 22;
/// Places of the lists that coverage looks at.
const LIST: usize = KS[KS.len() - 1];
/// Lists that are kept for the figures of pairs of items, about.
const SAMPLES: usize = 1_000;

/// Anything that gives every item a score: a model, a baseline, the bound of synthetic data.
pub trait Scorer: Sync {
    /// Writes the scores of every item, for each case: `out` is `[cases, items]`, row-major by dense item id
    /// (`data.items.rows()` wide). Row 0 and items outside the catalogue may hold anything. `out` holds what an
    /// earlier call left.
    ///
    /// # Errors
    ///
    /// Whatever keeps the scorer from answering.
    fn scores(&self, cases: &[&EvalCase], out: &mut [f32]) -> Result<()>;
}

/// Places of the targets of many cases, under one mask.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseRanks {
    /// What was masked.
    pub mask: Mask,
    /// Items that were ranked.
    pub catalogue: usize,
    /// Cases that were given and have no target that is not masked.
    pub cases_left_out: usize,
    /// Targets, one an item, that are masked.
    pub targets_left_out: usize,
    cases: Vec<u32>,
    users: Vec<u32>,
    /// `targets[starts[c] .. starts[c + 1]]` and the same of `places` are case c's.
    starts: Vec<usize>,
    targets: Vec<u32>,
    places: Vec<Place>,
    /// By place in the catalogue: in how many lists it stands from one of `KS` to the next, `[catalogue, KS]`.
    listed: Vec<[u32; KS.len()]>,
    samples: Vec<Vec<u32>>,
}

/// One case of [`CaseRanks`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CaseRank<'a> {
    /// Number of the case among those that were given.
    pub case: usize,
    /// Dense user id.
    pub user: u32,
    /// Target events with distinct items (the first event of each item), but for those that are masked.
    pub targets: &'a [u32],
    /// Where each target stands.
    pub places: &'a [Place],
}

impl CaseRanks {
    fn with_capacity(mask: Mask, catalogue: usize, cases: usize) -> Self {
        let mut starts = Vec::with_capacity(cases + 1);
        starts.push(0);
        Self {
            mask,
            catalogue,
            cases_left_out: 0,
            targets_left_out: 0,
            cases: Vec::with_capacity(cases),
            users: Vec::with_capacity(cases),
            starts,
            targets: Vec::with_capacity(cases),
            places: Vec::with_capacity(cases),
            listed: Vec::new(),
            samples: Vec::new(),
        }
    }

    /// Takes what [`rank_case`] gave for a case with so many targets.
    fn push(&mut self, number: usize, user: u32, targets: usize, ranked: Ranked) {
        self.targets_left_out += targets - ranked.places.len();
        if ranked.places.is_empty() {
            self.cases_left_out += 1;
            return;
        }
        self.cases.push(number as u32);
        self.users.push(user);
        for (target, place) in ranked.places {
            self.targets.push(target);
            self.places.push(place);
        }
        self.starts.push(self.targets.len());
        self.samples.extend(ranked.sample);
    }

    /// Number of cases.
    #[must_use]
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// True if there is no case.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The cases, in the order they were given in.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = CaseRank<'_>> {
        (0..self.len()).map(|case| {
            let own = self.starts[case]..self.starts[case + 1];
            CaseRank {
                case: self.cases[case] as usize,
                user: self.users[case],
                targets: &self.targets[own.clone()],
                places: &self.places[own],
            }
        })
    }

    /// By place in the catalogue: in how many lists the item stands within the first `k` places, of those in [`KS`]. Within a
    /// list ties stand in the order of ids. Lists of cases that are left out are none.
    pub(super) fn listed(&self, k: usize) -> impl Iterator<Item = (usize, u32)> + '_ {
        let bands = KS.iter().filter(|&&own| own <= k).count();
        self.listed.iter().map(move |counts| counts[..bands].iter().sum()).enumerate()
    }

    /// The first ten catalogue places of some 1,000 lists at most, evenly taken.
    pub(super) fn samples(&self) -> &[Vec<u32>] {
        &self.samples
    }
}

/// Scores `cases` once and ranks their targets under each of `masks`; the answer has one entry a mask, in order.
///
/// Scores are made for at most 256 cases at a time, so that memory stays small; cases are ranked in parallel, and
/// the result does not depend on the number of threads.
///
/// # Errors
///
/// What the scorer answers; a score of a catalogue item that is not a number; a case without a target.
pub fn rank_cases(data: &Dataset, cases: &[EvalCase], scorer: &dyn Scorer, masks: &[Mask]) -> Result<Vec<CaseRanks>> {
    let ranker = Ranker::new(data);
    let width = data.items.rows();
    let chunk = (CHUNK_SCORES / width).clamp(1, CHUNK);
    let mut scores = vec![0.0; chunk.min(cases.len()) * width];
    let lists: Vec<Lists> = masks.iter().map(|_| Lists::new(data.ranked().len())).collect();
    let mut found: Vec<CaseRanks> =
        masks.iter().map(|&mask| CaseRanks::with_capacity(mask, data.ranked().len(), cases.len())).collect();
    let sampled = cases.len().div_ceil(SAMPLES).max(1);

    for (first, chunk) in cases.chunks(chunk).enumerate().map(|(i, cases)| (i * chunk, cases)) {
        let refs: Vec<&EvalCase> = chunk.iter().collect();
        let scores = &mut scores[..chunk.len() * width];
        scorer.scores(&refs, scores)?;
        let ranked: Result<Vec<(usize, Vec<Ranked>)>> = chunk
            .par_iter()
            .enumerate()
            .zip(scores.par_chunks(width))
            .map_init(Scratch::default, |scratch, ((i, case), scores)| {
                let targets = ranker.targets(case)?;
                ranker.load(case, scores, scratch)?;
                let sampled = (first + i).is_multiple_of(sampled);
                let one = |(&mask, lists)| rank_case(&ranker, case, &targets, mask, lists, sampled, scratch);
                Ok((targets.len(), masks.iter().zip(&lists).map(one).collect()))
            })
            .collect();
        for (i, (targets, ranked)) in ranked?.into_iter().enumerate() {
            for (found, ranked) in found.iter_mut().zip(ranked) {
                found.push(first + i, chunk[i].user, targets, ranked);
            }
        }
    }
    for (found, lists) in found.iter_mut().zip(lists) {
        found.listed = lists.counts();
    }
    Ok(found)
}

/// What one mask leaves of a case.
struct Ranked {
    /// The targets (events) that are not masked, and where they stand.
    places: Vec<(u32, Place)>,
    /// The first ten catalogue places, where they are wanted.
    sample: Option<Vec<u32>>,
}

fn rank_case(
    ranker: &Ranker,
    case: &EvalCase,
    targets: &[u32],
    mask: Mask,
    lists: &Lists,
    sampled: bool,
    scratch: &mut Scratch,
) -> Ranked {
    let mut places = Vec::with_capacity(targets.len());
    ranker.places(case, targets, mask, scratch, &mut places);
    if places.is_empty() {
        return Ranked { places, sample: None };
    }
    let best = scratch.best(LIST);
    lists.add(best);
    Ranked { places, sample: sampled.then(|| best[..best.len().min(KS[0])].to_vec()) }
}

/// In how many lists each catalogue item stands, by the bands of places that `KS` cuts: sums of whole numbers, which do not
/// depend on who comes first.
struct Lists(Vec<[AtomicU32; KS.len()]>);

impl Lists {
    fn new(catalogue: usize) -> Self {
        Self((0..catalogue).map(|_| Default::default()).collect())
    }

    /// Takes the catalogue places of a list, best first.
    fn add(&self, list: &[u32]) {
        let mut band = 0;
        for (rank, &place) in list.iter().enumerate() {
            band += usize::from(rank == KS[band]);
            self.0[place as usize][band].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counts(self) -> Vec<[u32; KS.len()]> {
        self.0.into_iter().map(|counts| counts.map(AtomicU32::into_inner)).collect()
    }
}
