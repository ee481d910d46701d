//! Scores as probabilities over the catalogue.

use crate::model::Model;
use crate::query::Query;
use crate::{Error, Result};

impl Model {
    /// The softmax probability of each of `items` (dense ids) for a user:
    /// `p_i = exp(s_i / temperature) / sum_j exp(s_j / temperature)`, s being the scores of [`Model::recommend`], the
    /// temperature the learned one where the model has one, and j all items that may be recommended ([`Model::offered`]) and are not in
    /// `exclude`. An item of `exclude`, and one that may not be recommended, has probability 0. It is what the softmax losses train; after
    /// another loss it is a scale, no more.
    ///
    /// # Errors
    ///
    /// As [`Model::user_tower`]; [`Error::Evaluation`] where a score is not a finite number.
    pub fn probabilities(&self, query: &Query<'_>, exclude: &[u32], items: &[u32]) -> Result<Vec<f64>> {
        let mut scores = vec![0.0f32; self.schema.item_rows];
        self.scores(std::slice::from_ref(query), &mut scores)?;
        if let Some(item) = self.offered().iter().find(|item| !scores[**item as usize].is_finite()) {
            let what = format!("the score of item {} is not a finite number: the model's weights are damaged", item);
            return Err(Error::Evaluation(what));
        }
        let mut ranked = vec![false; scores.len()];
        for &item in self.offered() {
            ranked[item as usize] = true;
        }
        for &item in exclude {
            if let Some(r) = ranked.get_mut(item as usize) {
                *r = false;
            }
        }
        let learned = crate::candidates::learned_temperature(&self.store)?;
        let temperature = f64::from(learned.unwrap_or(self.config.softmax_temperature()));
        let logit = |item: usize| f64::from(scores[item]) / temperature;
        let counted = || (0..scores.len()).filter(|item| ranked[*item]);
        // The largest logit is taken off first, so that nothing overflows.
        let largest = counted().map(logit).fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = counted().map(|item| (logit(item) - largest).exp()).sum();
        let probability = |item: &u32| match ranked.get(*item as usize) {
            Some(true) => (logit(*item as usize) - largest).exp() / total,
            _ => 0.0,
        };
        Ok(items.iter().map(probability).collect())
    }
}
