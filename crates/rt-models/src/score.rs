//! A model as a scorer of evaluation cases, on its own data or on data read anew.

use crate::eval;
use crate::model::{Model, product};
use crate::newcomers::{UserRow, UserRows};
use crate::query::Query;
use rt_data::{Dataset, EvalCase, Searches};
use std::borrow::Cow;

/// Scores the cases of a data set with a model. Ids are matched by their raw form where the data is not the model's own:
/// users whom the model does not know are served from their features and history, items that it does not know stand last.
pub struct ModelScorer<'a> {
    model: &'a Model,
    data: &'a Dataset,
    context: &'a [u32],
    /// Model's dense id of each dense id of the data; `None` where they are the same.
    map: Option<(Vec<u32>, Vec<u32>)>,
    /// The data's columns of users, where it has users whom the model does not know.
    features: Option<UserRows>,
    /// Searches of the data in the model's words, where both have some.
    searches: Option<Cow<'a, Searches>>,
}

/// Score of items that the model does not know.
const UNKNOWN: f32 = -1e30;

impl<'a> ModelScorer<'a> {
    /// A scorer of cases of `data`, whose events have the context categories `context` ([`Model::event_context`]).
    #[must_use]
    pub fn new(model: &'a Model, data: &'a Dataset, context: &'a [u32]) -> Self {
        let same =
            std::ptr::eq(model.data(), data) || (model.data().users == data.users && model.data().items == data.items);
        let map = (!same).then(|| {
            let map = |from: &rt_data::Vocab, to: &rt_data::Vocab| {
                let known = from.iter().map(|raw| to.get(raw).unwrap_or(0));
                std::iter::once(0).chain(known).collect()
            };
            (map(&data.users, &model.data().users), map(&data.items, &model.data().items))
        });
        let searches = match (&model.searches, &data.searches) {
            (Some(own), _) if std::ptr::eq(model.data(), data) => Some(Cow::Borrowed(own)),
            (Some(own), Some(all)) => Some(Cow::Owned(all.in_words_of(&own.tokens))),
            _ => None,
        };
        let strangers = |(users, _): &(Vec<u32>, Vec<u32>)| users.iter().skip(1).any(|user| *user == 0);
        let features = map.as_ref().filter(|map| strangers(map) && !data.user_features.columns.is_empty());
        let features = features.map(|(users, _)| model.user_rows(&data.user_features, users));
        Self { model, data, context, map, features, searches }
    }

    /// The model's dense id of an item of the data; 0 where it knows none.
    fn item(&self, item: u32) -> u32 {
        self.map.as_ref().map_or(item, |(_, items)| items[item as usize])
    }

    /// What the data says of a user whom the model does not know.
    fn features_of(&self, user: u32) -> Option<UserRow<'_>> {
        let known = self.map.as_ref().is_none_or(|(users, _)| users[user as usize] != 0);
        self.features.as_ref().filter(|_| !known).map(|features| features.row(user as usize))
    }

    /// Tokens of the searches that are known when a case is asked for.
    fn searches_before(&self, case: &EvalCase) -> &[u32] {
        let Some(searches) = &self.searches else { return &[] };
        let (config, target) = (self.model.config(), case.targets[0] as usize);
        let last = case.history.clone().next_back().map(|event| event as usize);
        &searches.token[crate::searches::known(config, searches, self.data, case.user, last, target)]
    }

    /// Items of the data that the model does not know.
    #[must_use]
    pub fn unknown_items(&self) -> usize {
        self.map.as_ref().map_or(0, |(_, items)| items.iter().skip(1).filter(|i| **i == 0).count())
    }
}

impl eval::Scorer for ModelScorer<'_> {
    fn scores(&self, cases: &[&EvalCase], out: &mut [f32]) -> eval::Result<()> {
        // Items that the model does not know leave the history together with their times.
        let history = |case: &EvalCase| -> (Vec<u32>, Vec<i64>) {
            let events = case.history.start as usize..case.history.end as usize;
            let known = |event: &usize| self.item(self.data.event_item[*event]) != 0;
            let items = events.clone().filter(known).map(|e| self.item(self.data.event_item[e])).collect();
            let timed = self.data.has_clock();
            let times = events.filter(|e| timed && known(e)).map(|e| self.data.time(e)).collect();
            (items, times)
        };
        let histories: Vec<(Vec<u32>, Vec<i64>)> = cases.iter().map(|case| history(case)).collect();
        let contexts: Vec<Vec<u32>> =
            cases.iter().map(|c| self.model.context_of(self.context, c.targets[0] as usize)).collect();
        let query = |(i, case): (usize, &&EvalCase)| Query {
            user: self.map.as_ref().map_or(case.user, |(users, _)| users[case.user as usize]),
            history: &histories[i].0,
            times: &histories[i].1,
            context: &contexts[i],
            searches: self.searches_before(case),
            features: self.features_of(case.user),
        };
        let queries: Vec<Query<'_>> = cases.iter().enumerate().map(query).collect();
        let Some((_, items)) = &self.map else {
            return Ok(self.model.scores(&queries, out)?);
        };
        let users = self.model.user_tower(&queries)?;
        let all = self.model.item_vectors()?;
        let dim = self.model.dim();
        let vectors: Vec<f32> = items.iter().flat_map(|i| all[*i as usize * dim..][..dim].iter().copied()).collect();
        product(&users, &vectors, cases.len(), items.len(), dim, out);
        for row in out.chunks_mut(items.len()) {
            for (score, item) in row.iter_mut().zip(items) {
                if *item == 0 {
                    *score = UNKNOWN;
                }
            }
        }
        Ok(())
    }
}
