//! Whether there is something to learn: examples whose negatives are all left out teach nothing.

use crate::config::{Config, Loss};
use crate::{Error, Result};
use rt_data::{Dataset, Split};
use std::collections::BTreeSet;

/// How many training examples have no negative, by what the settings leave out. `config` is resolved and within the examples.
///
/// # Errors
///
/// [`Error::Config`] where that is so of all of them, with the setting that makes it so.
pub(crate) fn without_negatives(config: &Config, data: &Dataset, split: &Split) -> Result<usize> {
    let nothing = |what: String| Err(Error::Config(format!("there is nothing to learn: {what}")));
    let candidates = crate::sampler::candidates(data, split);
    if candidates.len() < 2 {
        return nothing("the data has one item, and a model learns to tell items apart".into());
    }
    let examples = split.examples.len();
    let in_batch = config.loss == Loss::InBatch && config.mixed == 0;
    let targets = split.target_counts(data);
    if in_batch && config.queue == 0 && config.batch < 2 {
        let why = if examples < 2 { "the data has one example".into() } else { format!("batch = {}", config.batch) };
        return nothing(format!(
            "the negatives of loss = in-batch are the other examples of a batch, and with {why} there are none; use a larger \
             batch, mixed, or loss = sampled"
        ));
    }
    if in_batch && targets.iter().filter(|n| **n > 0).count() < 2 {
        return nothing(format!(
            "the negatives of loss = in-batch are the targets of other examples, and all {examples} have the same; use mixed, or \
             loss = sampled"
        ));
    }
    let masked = if config.masks_own() { "mask_own" } else { "exclude_own" };
    // Where there are too few examples for a whole batch, the last of an epoch may stand alone.
    let chooses = config.subsample > 0.0 || config.examples_per_user > 0;
    let alone = in_batch && config.queue == 0 && !chooses && examples % config.batch == 1;
    let mut without = usize::from(alone);
    if config.masks_own() || config.exclude_own {
        let could_be = |item: u32| !in_batch || targets[item as usize] > 0;
        without += of_owners(data, split, candidates.iter().filter(|item| could_be(**item)).count(), could_be);
    }
    if without >= examples {
        return nothing(format!(
            "with {masked} all that could be a negative is the user's own, for all {examples} examples"
        ));
    }
    Ok(without)
}

/// Would most examples keep a negative if the user's own train items were none?
pub(crate) fn could_mask_own(data: &Dataset, split: &Split) -> bool {
    let candidates = crate::sampler::candidates(data, split).len();
    2 * of_owners(data, split, candidates, |_| true) < split.examples.len()
}

/// Examples of users whose train items are all `candidates` that could be a negative.
fn of_owners(data: &Dataset, split: &Split, candidates: usize, could_be: impl Fn(u32) -> bool) -> usize {
    let owns_all = |user: usize| {
        let events = split.train_events(data, user as u32);
        if events.len() < candidates {
            return false;
        }
        let own: BTreeSet<u32> = data.event_item[events].iter().copied().filter(|item| could_be(*item)).collect();
        own.len() == candidates
    };
    let owners: Vec<bool> = (0..split.train_end.len()).map(owns_all).collect();
    if !owners.contains(&true) {
        return 0;
    }
    split.examples.iter().filter(|event| owners[data.user_of(*event as usize) as usize]).count()
}

#[cfg(test)]
mod tests;
