//! Ranks of the targets over the whole catalogue, by exact score.
//!
//! rank = 1 + #greater + #other equal / 2, among the catalogue items that are not masked. A target is never masked;
//! where a case has several, each is ranked among the unmasked items, the other targets included.

use std::sync::atomic::{AtomicU8, Ordering};

use rayon::prelude::*;
use rt_data::{Dataset, EvalCase, Mask};

use super::ranker::{Ranker, Scratch};
use super::{KS, Result};

/// Cases that are scored together, at most.
const CHUNK: usize = 256;
/// Scores that are held together, at most (16 MiB), unless one case alone has more.
const CHUNK_SCORES: usize = 1 << 22;
/// Places of the lists that coverage looks at.
const LIST: usize = KS[KS.len() - 1];

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

/// Ranks of the targets of many cases, under one mask.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseRanks {
    /// What was masked.
    pub mask: Mask,
    /// Items that were ranked.
    pub catalogue: usize,
    users: Vec<u32>,
    /// `targets[starts[c] .. starts[c + 1]]` and the same of `ranks` are case c's.
    starts: Vec<usize>,
    targets: Vec<u32>,
    ranks: Vec<f64>,
    distinct: [usize; KS.len()],
}

/// One case of [`CaseRanks`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CaseRank<'a> {
    /// Dense user id.
    pub user: u32,
    /// Target events with distinct items (the first event of each item).
    pub targets: &'a [u32],
    /// Rank of each target, from 1; a tie stands at its mean position, so halves occur.
    pub ranks: &'a [f64],
}

impl CaseRanks {
    fn with_capacity(mask: Mask, catalogue: usize, cases: usize) -> Self {
        let mut starts = Vec::with_capacity(cases + 1);
        starts.push(0);
        Self {
            mask,
            catalogue,
            users: Vec::with_capacity(cases),
            starts,
            targets: Vec::with_capacity(cases),
            ranks: Vec::with_capacity(cases),
            distinct: [0; KS.len()],
        }
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
            CaseRank { user: self.users[case], targets: &self.targets[own.clone()], ranks: &self.ranks[own] }
        })
    }

    /// Distinct items over the first k places of all lists, for each k of [`KS`]. Within a list ties stand in the
    /// order of ids.
    #[must_use]
    pub fn distinct(&self) -> [usize; KS.len()] {
        self.distinct
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
    let lists: Vec<Lists> = masks.iter().map(|_| Lists::new(data.catalogue.len())).collect();
    let mut found: Vec<CaseRanks> =
        masks.iter().map(|&mask| CaseRanks::with_capacity(mask, data.catalogue.len(), cases.len())).collect();

    for chunk in cases.chunks(chunk) {
        let refs: Vec<&EvalCase> = chunk.iter().collect();
        let scores = &mut scores[..chunk.len() * width];
        scorer.scores(&refs, scores)?;
        let ranked: Result<Vec<Ranked>> = chunk
            .par_iter()
            .zip(scores.par_chunks(width))
            .map_init(Scratch::default, |scratch, (case, scores)| {
                rank_case(&ranker, case, scores, masks, &lists, scratch)
            })
            .collect();
        for (case, ranked) in chunk.iter().zip(ranked?) {
            for (found, ranks) in found.iter_mut().zip(ranked.ranks.chunks(ranked.targets.len())) {
                found.users.push(case.user);
                found.targets.extend(&ranked.targets);
                found.ranks.extend(ranks);
                found.starts.push(found.targets.len());
            }
        }
    }
    for (found, lists) in found.iter_mut().zip(lists) {
        found.distinct = KS.map(|k| lists.distinct(k));
    }
    Ok(found)
}

/// Target events of one case, and their ranks `[masks, targets]`.
struct Ranked {
    targets: Vec<u32>,
    ranks: Vec<f64>,
}

fn rank_case(
    ranker: &Ranker,
    case: &EvalCase,
    scores: &[f32],
    masks: &[Mask],
    lists: &[Lists],
    scratch: &mut Scratch,
) -> Result<Ranked> {
    let targets = ranker.targets(case)?;
    ranker.load(case, scores, scratch)?;
    let mut ranks = Vec::with_capacity(masks.len() * targets.len());
    for (&mask, lists) in masks.iter().zip(lists) {
        ranker.ranks(case, &targets, mask, scratch, &mut ranks);
        lists.add(scratch.best(LIST));
    }
    Ok(Ranked { targets, ranks })
}

/// The best place that each catalogue item has in any list: the smallest of them does not depend on who comes first.
struct Lists(Vec<AtomicU8>);

impl Lists {
    fn new(catalogue: usize) -> Self {
        const { assert!(LIST <= u8::MAX as usize) };
        Self((0..catalogue).map(|_| AtomicU8::new(u8::MAX)).collect())
    }

    fn add(&self, list: &[u32]) {
        for (place, &item) in list.iter().enumerate() {
            self.0[item as usize].fetch_min(place as u8, Ordering::Relaxed);
        }
    }

    fn distinct(&self, k: usize) -> usize {
        self.0.iter().filter(|best| usize::from(best.load(Ordering::Relaxed)) < k).count()
    }
}
