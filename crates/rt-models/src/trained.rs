//! What a model keeps of its training beside its weights: whose events it saw, which, and what its rankings left out.

use crate::model::Model;
use rt_data::{Dataset, EvalCase, Mask, Split};
use std::collections::HashSet;

/// What a model was trained on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trained {
    /// By dense user: had the user a training event?
    pub users: Vec<bool>,
    /// A bit for each event of the model's data: did it train? Empty where that is not known, in folders of older versions.
    pub events: Vec<u32>,
    /// What the rankings left out that chose the model; its lists leave out the same.
    pub mask: Mask,
}

impl Trained {
    /// That of a split: its train part.
    pub(crate) fn of(data: &Dataset, split: &Split) -> Self {
        let users = split.train_end.iter().zip(&data.user_start).map(|(end, start)| end > start).collect();
        let mut trained = Self { users, events: vec![0; words(data)], mask: split.mask };
        for user in 0..data.users.rows() as u32 {
            split.train_events(data, user).for_each(|event| trained.events[event / 32] |= 1 << (event % 32));
        }
        trained
    }

    /// The number of words that `events` has for a data set.
    pub(crate) fn fits(&self, data: &Dataset) -> bool {
        self.users.len() == data.users.rows() && (self.events.is_empty() || self.events.len() == words(data))
    }

    /// Did this event train?
    fn has(&self, event: usize) -> bool {
        self.events.get(event / 32).is_some_and(|word| word >> (event % 32) & 1 == 1)
    }

    /// Takes for each user whom `untouched` names the events of `base`, whose events of the user stand first: nothing new of
    /// them was trained on.
    pub(crate) fn keep(&mut self, data: &Dataset, base: &Model, untouched: impl Fn(u32) -> bool) {
        for user in (0..base.data.users.rows() as u32).filter(|user| untouched(*user)) {
            let old = base.data.events_of(user);
            for (place, event) in data.events_of(user).enumerate() {
                let had = place < old.len() && base.trained.has(old.start + place);
                self.events[event / 32] &= !(1 << (event % 32));
                self.events[event / 32] |= u32::from(had) << (event % 32);
            }
        }
    }
}

fn words(data: &Dataset) -> usize {
    data.event_item.len().div_ceil(32)
}

impl Model {
    /// For each case: is a target one of the events that the model was trained on? Events are the same if user and item are,
    /// by their raw ids, and the time; where one of the two data sets has no clock, their place among the user's events; and
    /// user and item alone where histories are sets. `None` for a model that was saved before models kept that.
    ///
    /// A figure over such cases says how well the model remembers, not how well it predicts.
    #[must_use]
    pub fn seen_cases(&self, data: &Dataset, cases: &[EvalCase]) -> Option<Vec<bool>> {
        if self.trained.events.is_empty() && !self.data.event_item.is_empty() {
            return None;
        }
        let clock = self.data.has_clock() && data.has_clock();
        let set = self.schema.history_is_set;
        let mut known: (u32, HashSet<(u32, i64)>) = (0, HashSet::new());
        let seen = |case: &EvalCase| {
            let Some(user) = self.data.users.get(data.users.raw(case.user)) else { return false };
            if known.0 != user {
                let own = self.data.events_of(user);
                let key = |event: usize| match (set, clock) {
                    (true, _) => 0,
                    (false, true) => self.data.time(event),
                    (false, false) => (event - own.start) as i64,
                };
                let trained = own.clone().filter(|&event| self.trained.has(event));
                known = (user, trained.map(|event| (self.data.event_item[event], key(event))).collect());
            }
            case.targets.iter().any(|&target| {
                let target = target as usize;
                let item = self.data.items.get(data.items.raw(data.event_item[target]));
                let key = match (set, clock) {
                    (true, _) => 0,
                    (false, true) => data.time(target),
                    (false, false) => (target - data.events_of(case.user).start) as i64,
                };
                item.is_some_and(|item| known.1.contains(&(item, key)))
            })
        };
        Some(cases.iter().map(seen).collect())
    }

    /// What was left out of the rankings that training judged the model by. Lists for users leave out the same:
    /// [`Model::left_out`].
    #[must_use]
    pub fn mask(&self) -> Mask {
        self.trained.mask
    }

    /// Of the dense items that a user had, those to leave out of a list for them, as the model's figures did: all of them, or
    /// none where people come back to what they had ([`Mask::None`]).
    #[must_use]
    pub fn left_out<'a>(&self, history: &'a [u32]) -> &'a [u32] {
        match self.mask() {
            Mask::History | Mask::Train => history,
            Mask::None => &[],
        }
    }

    /// Did training see the user? Others are served from their features and history.
    #[must_use]
    pub fn was_trained(&self, user: u32) -> bool {
        self.trained.users.get(user as usize).copied().unwrap_or(false)
    }
}
