//! What of a data set a model does not know, by raw ids.

use crate::model::Model;
use rt_data::{Dataset, EvalCase, Vocab};
use std::collections::HashSet;

/// Ids that a model does not know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unknown {
    /// How many.
    pub count: usize,
    /// Of how many.
    pub of: usize,
    /// The first few of them, raw.
    pub names: Vec<String>,
}

impl Unknown {
    /// Which of these ids of `ours` are not in `theirs`; each is asked for once.
    fn of(ids: impl Iterator<Item = u32>, ours: &Vocab, theirs: &Vocab) -> Self {
        let mut unknown = Self::default();
        let mut asked = HashSet::new();
        for id in ids.filter(|id| asked.insert(*id)) {
            unknown.of += 1;
            let raw = ours.raw(id);
            if theirs.get(raw).is_none() {
                unknown.count += 1;
                if unknown.names.len() < 3 {
                    unknown.names.push(raw.into());
                }
            }
        }
        unknown
    }

    /// Is there some, and is all of it unknown?
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.of > 0 && self.count == self.of
    }
}

/// What of some cases a model does not know: see [`Model::unknown`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnknownIds {
    /// Users of the cases.
    pub users: Unknown,
    /// Items of their histories and targets.
    pub items: Unknown,
    /// Cases of whom the model knows nothing: neither the user, nor an item of the history, nor a feature of the user.
    pub strangers: usize,
}

impl Model {
    /// What of the cases of a data set the model does not know. Unknown users are served from their features and histories,
    /// unknown items leave the histories and stand last in the ranking.
    #[must_use]
    pub fn unknown(&self, data: &Dataset, cases: &[EvalCase]) -> UnknownIds {
        let item = |event: u32| data.event_item[event as usize];
        let events = |case: &EvalCase| case.history.clone().chain(case.targets.iter().copied()).collect::<Vec<_>>();
        let items = cases.iter().flat_map(events).map(item);
        let known = |item: u32| self.data.items.get(data.items.raw(item)).is_some();
        let named = |name: &str| self.data.user_features.columns.iter().any(|(own, _)| own == name);
        let features = data.user_features.columns.iter().any(|(name, _)| named(name));
        let stranger = |case: &&EvalCase| {
            !features
                && self.data.users.get(data.users.raw(case.user)).is_none()
                && !case.history.clone().any(|event| known(item(event)))
        };
        UnknownIds {
            users: Unknown::of(cases.iter().map(|case| case.user), &data.users, &self.data.users),
            items: Unknown::of(items, &data.items, &self.data.items),
            strangers: cases.iter().filter(stranger).count(),
        }
    }
}
