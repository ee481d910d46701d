//! Which examples an epoch has, in which order, and what each of them weighs.

use crate::config::Config;
use crate::{Error, Result};
use rt_data::{Dataset, Split};
use rt_kernels::philox::{self, stream};
use rt_tensor::{BatchVars, Store, Tape, Var};

/// Probability of keeping an example by its target, times 2^32: `min(1, sqrt(t / f))` for the share f of the training
/// examples that have that target (Mikolov et al. 2013). `None` where nothing is left out.
fn keep_thresholds(config: &Config, data: &Dataset, split: &Split) -> Option<Vec<u64>> {
    let threshold = |p: f64| (p * 4_294_967_296.0) as u64;
    keep_probabilities(config, data, split).map(|keep| keep.into_iter().map(threshold).collect())
}

fn keep_probabilities(config: &Config, data: &Dataset, split: &Split) -> Option<Vec<f64>> {
    if config.subsample <= 0.0 {
        return None;
    }
    let all = split.examples.len() as f64;
    let keep = |count: u32| {
        let share = f64::from(count) / all;
        if count == 0 { 1.0 } else { (f64::from(config.subsample) / share).sqrt().min(1.0) }
    };
    Some(split.target_counts(data).into_iter().map(keep).collect())
}

/// Training examples of each user.
fn user_counts(data: &Dataset, examples: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut counts = vec![0; data.users.rows()];
    for event in examples {
        counts[data.user_of(event as usize) as usize] += 1;
    }
    counts
}

/// How often each item is expected as a target in an epoch: what the q of an in-batch logQ counts. `items.rows()` long.
pub(crate) fn expected_targets(config: &Config, data: &Dataset, split: &Split) -> Vec<f64> {
    let keep = keep_probabilities(config, data, split);
    let users = user_counts(data, split.examples.iter());
    let mut expected = vec![0.0; data.items.rows()];
    for event in split.examples.iter() {
        let item = data.event_item[event as usize] as usize;
        let of_user = f64::from(users[data.user_of(event as usize) as usize]);
        let capped = match config.examples_per_user {
            0 => 1.0,
            most => (most as f64 / of_user).min(1.0),
        };
        expected[item] += capped * keep.as_ref().map_or(1.0, |keep| keep[item]);
    }
    expected
}

/// How many examples an epoch is expected to have.
pub(crate) fn expected(config: &Config, data: &Dataset, split: &Split) -> usize {
    if config.subsample <= 0.0 && config.examples_per_user == 0 {
        return split.examples.len();
    }
    expected_targets(config, data, split).iter().sum::<f64>().ceil() as usize
}

/// The examples of one epoch after the other. Their order lives on the device alone: there is a copy here for as long as
/// it is made.
pub(crate) struct Epochs<'a> {
    config: &'a Config,
    data: &'a Dataset,
    split: &'a Split,
    keep: Option<Vec<u64>>,
}

impl<'a> Epochs<'a> {
    pub(crate) fn new(config: &'a Config, data: &'a Dataset, split: &'a Split) -> Self {
        Self { config, data, split, keep: keep_thresholds(config, data, split) }
    }

    /// Chooses and shuffles the examples of an epoch (from 1), puts them into the store and gives their number.
    pub(crate) fn next(&mut self, store: &Store, seed: u64, epoch: u32) -> Result<usize> {
        let chooses = self.keep.is_some() || self.config.examples_per_user > 0;
        // Where all take part, each epoch's order is made of the last one's.
        let mut order = if chooses { self.chosen(seed, epoch) } else { store.read("order")? };
        if order.is_empty() {
            let what = format!(
                "subsample = {} leaves no training example in epoch {epoch}: use a larger one",
                self.config.subsample
            );
            return Err(Error::Training(what));
        }
        philox::shuffle(seed, epoch, &mut order);
        if self.config.user_weight {
            store.put_f32("user.weight", &user_weights(self.data, order.iter().copied()))?;
        }
        let n = order.len();
        // The list on the device keeps its length; a step's offset stays below `n`.
        order.resize(self.split.examples.len(), 0);
        store.put_u32("order", &order)?;
        Ok(n)
    }

    /// At most so many examples of each user, those with the smallest draws; of these, each by the draw for its target.
    fn chosen(&self, seed: u64, epoch: u32) -> Vec<u32> {
        let key = philox::key(seed);
        let draw = |number: u32, i: usize| philox::draw(key, epoch, stream::EXAMPLES + number, i as u32);
        let examples = self.split.examples.to_vec();
        let mut chosen: Vec<usize> = (0..examples.len()).collect();
        let user = |i: usize| self.data.user_of(examples[i] as usize);
        if self.config.examples_per_user > 0 {
            chosen.sort_by_cached_key(|i| (user(*i), draw(0, *i), *i));
            let (mut last, mut taken) = (u32::MAX, 0);
            chosen.retain(|i| {
                taken = if user(*i) == last { taken + 1 } else { 1 };
                last = user(*i);
                taken <= self.config.examples_per_user
            });
            chosen.sort_unstable();
        }
        if let Some(keep) = &self.keep {
            let target = |i: usize| self.data.event_item[examples[i] as usize] as usize;
            chosen.retain(|i| u64::from(draw(1, *i)) < keep[target(*i)]);
        }
        chosen.into_iter().map(|i| examples[i]).collect()
    }
}

/// What an example of each user weighs, `[users, 1]`: 1 / (the user's examples), times what makes the mean over the
/// examples 1.
fn user_weights(data: &Dataset, examples: impl Iterator<Item = u32>) -> Vec<f32> {
    let counts = user_counts(data, examples);
    let examples: u32 = counts.iter().sum();
    let users = counts.iter().filter(|c| **c > 0).count();
    let scale = f64::from(examples) / users.max(1) as f64;
    counts.iter().map(|c| if *c == 0 { 0.0 } else { (scale / f64::from(*c)) as f32 }).collect()
}

/// Puts the weights of the whole split's examples into the store, where they are wanted; epochs put their own.
pub(crate) fn upload(store: &Store, config: &Config, data: &Dataset, split: &Split) -> Result<()> {
    if config.user_weight {
        store.put_f32("user.weight", &user_weights(data, split.examples.iter()))?;
    }
    Ok(())
}

/// The weight of each row: the batch's, times the user's.
pub(crate) fn weight(tape: &mut Tape, config: &Config, users: usize, batch: &BatchVars) -> Result<Var> {
    if !config.user_weight {
        return Ok(batch.weight);
    }
    let table = tape.input("user.weight", users, 1);
    let of_user = tape.take(table, batch.user)?;
    Ok(tape.weigh(batch.weight, of_user)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelKind;
    use approx::abs_diff_eq;
    use rt_data::{SplitKind, SplitOptions, Synthetic, split};
    use rt_tensor::{Device, Params, Store};

    fn small() -> (Dataset, Split) {
        let (data, _) = Synthetic::parse("synthetic:users=60,items=40,events=20,seed=2").unwrap().generate();
        let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
        (data, split)
    }

    fn config(settings: &[&str]) -> Config {
        let mut config = Config::new(ModelKind::Dssm);
        settings.iter().for_each(|pair| config.set_pair(pair).unwrap());
        config
    }

    fn store() -> Store {
        Store::new(&Device::cpu(1).unwrap(), &Params::default(), 1).unwrap()
    }

    #[test]
    fn without_settings_an_epoch_is_a_shuffle_of_all() {
        let (data, split) = small();
        let (config, store) = (config(&[]), store());
        store.put_u32("order", &split.examples.to_vec()).unwrap();
        let mut epochs = Epochs::new(&config, &data, &split);
        let mut want = split.examples.to_vec();
        for epoch in 1..=2 {
            philox::shuffle(9, epoch, &mut want);
            assert_eq!(epochs.next(&store, 9, epoch).unwrap(), want.len());
            assert_eq!(store.read("order").unwrap(), want);
        }
    }

    #[test]
    fn targets_come_as_often_as_expected() {
        let (data, split) = small();
        for settings in [&["subsample=0.02"][..], &["examples_per_user=4"], &["subsample=0.02", "examples_per_user=9"]]
        {
            let (config, store) = (config(settings), store());
            let expected = expected_targets(&config, &data, &split);
            let mut epochs = Epochs::new(&config, &data, &split);
            let (mut counts, rounds) = (vec![0.0; data.items.rows()], 400);
            let mut first = Vec::new();
            for epoch in 1..=rounds {
                let n = epochs.next(&store, 3, epoch).unwrap();
                let order = &store.read("order").unwrap()[..n];
                let mut once = order.to_vec();
                once.sort_unstable();
                once.dedup();
                assert_eq!(once.len(), n, "no example twice");
                if config.examples_per_user > 0 {
                    assert!(
                        user_counts(&data, order.iter().copied())
                            .iter()
                            .all(|c| *c as usize <= config.examples_per_user)
                    );
                }
                assert!(n < split.examples.len(), "{settings:?} leaves examples out");
                assert_ne!(once, first, "epoch {epoch} has other examples than the one before");
                first = once;
                order.iter().for_each(|e| counts[data.event_item[*e as usize] as usize] += 1.0);
            }
            for (item, (count, expected)) in counts.iter().zip(&expected).enumerate() {
                // A sum of draws of 0 or 1, or (per user) negatively correlated ones: variance at most the mean. Five deviations.
                let mean = expected * f64::from(rounds);
                assert!(
                    abs_diff_eq!(*count, mean, epsilon = 5.0 * mean.sqrt() + 1e-9),
                    "{settings:?}, item {item}: {count}, not {mean}"
                );
            }
        }
    }

    #[test]
    fn hot_targets_are_kept_with_the_root_of_their_share() {
        let (data, split) = small();
        let counts = split.target_counts(&data);
        let keep = keep_probabilities(&config(&["subsample=0.02"]), &data, &split).unwrap();
        let n = split.examples.len() as f64;
        for (keep, count) in keep.iter().zip(&counts).filter(|(_, c)| **c > 0) {
            let share = f64::from(*count) / n;
            let want = if share <= 0.02 { 1.0 } else { (0.02 / share).sqrt() };
            assert!(abs_diff_eq!(*keep, want, epsilon = 1e-6), "{keep} for a share of {share}");
        }
        assert!(keep.iter().any(|k| *k < 0.9) && keep.contains(&1.0), "hot and cold targets are among the cases");
    }

    #[test]
    fn users_weigh_the_same_and_one_on_average() {
        let (data, split) = small();
        let mut examples = split.examples.to_vec();
        examples.truncate(examples.len() - 7);
        let weights = user_weights(&data, examples.iter().copied());
        let of = |e: &u32| f64::from(weights[data.user_of(*e as usize) as usize]);
        let mean = examples.iter().map(of).sum::<f64>() / examples.len() as f64;
        assert!(abs_diff_eq!(mean, 1.0, epsilon = 1e-5), "{mean}");
        let mut totals = vec![0.0; data.users.rows()];
        examples.iter().for_each(|e| totals[data.user_of(*e as usize) as usize] += of(e));
        let some: Vec<f64> = totals.into_iter().filter(|t| *t > 0.0).collect();
        assert!(some.iter().all(|t| abs_diff_eq!(*t, some[0], epsilon = 1e-4)), "{some:?}");
        assert_eq!(weights[0], 0.0);
    }
}
