//! What is left out of a ranking: one rule for the figures, for the choice of an epoch, and for the lists of every request.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use super::{EvalCase, Split};
use crate::Dataset;

/// Items that are left out of a user's ranking. A target that is one of them cannot be answered: it is left out of the
/// figures and counted. A mask that spares the target hands the answer over where people come back to what they had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mask {
    /// All that the user had before the target.
    #[default]
    History,
    /// What the user had in the train part.
    Train,
    /// Nothing.
    None,
}

impl Mask {
    /// As `--mask` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::History => "history",
            Self::Train => "train",
            Self::None => "none",
        }
    }

    /// The mask of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::History, Self::Train, Self::None].into_iter().find(|mask| mask.name() == name)
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Share of repeats in the train part above which nothing is masked by default.
const REPEATS: f64 = 0.05;

/// The mask that the train part asks for, and why: [`Mask::None`] where more than 5 % of its events repeat an item of their
/// user, else [`Mask::History`].
pub(super) fn choose(data: &Dataset, split: &Split) -> (Mask, String) {
    let share = split.repeats(data);
    let percent = if share > 0.0 && share < 0.001 { "under 0.1".to_owned() } else { format!("{:.1}", 100.0 * share) };
    let (mask, more) = if share > REPEATS { (Mask::None, "more than") } else { (Mask::History, "no more than") };
    (mask, format!("{percent} % of the train events repeat an item of their user, {more} {:.0} %", 100.0 * REPEATS))
}

impl Split {
    /// Share of the train events whose item the user had in an earlier one; 0 where there is no train event.
    #[must_use]
    pub fn repeats(&self, data: &Dataset) -> f64 {
        let (mut repeats, mut all, mut items) = (0usize, 0usize, Vec::new());
        for user in 0..data.users.rows() as u32 {
            items.clear();
            items.extend_from_slice(&data.event_item[self.train_events(data, user)]);
            all += items.len();
            repeats += items.len();
            items.sort_unstable();
            items.dedup();
            repeats -= items.len();
        }
        repeats as f64 / all.max(1) as f64
    }
}

impl EvalCase {
    /// Events whose items are masked.
    #[must_use]
    pub fn masked(&self, mask: Mask) -> Range<u32> {
        match mask {
            Mask::History => self.history.clone(),
            Mask::Train => self.train.clone(),
            Mask::None => 0..0,
        }
    }

    /// Of the targets, one an item: which are of items that `events` of the user have.
    pub fn targets_among<'a>(
        &'a self,
        data: &'a Dataset,
        events: Range<u32>,
    ) -> impl Iterator<Item = (u32, bool)> + 'a {
        let item = |event: u32| data.event_item[event as usize];
        let mut wanted: HashSet<u32> = self.targets.iter().map(|&event| item(event)).collect();
        let had: HashSet<u32> = events.map(item).filter(|item| wanted.contains(item)).collect();
        let first = self.targets.iter().copied().filter(move |&event| wanted.remove(&item(event)));
        first.map(move |event| (event, had.contains(&item(event))))
    }
}
