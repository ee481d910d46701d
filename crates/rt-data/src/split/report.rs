//! What a table says about a split beside the metrics: ties, repeats, cold targets, other users' future.

use super::{EvalCase, Split};
use crate::Dataset;

/// True if `event` has the timestamp of the user's event before it (the same page of ratings, say); false for a
/// user's first event; `None` where there is no clock.
#[must_use]
pub fn is_tied(data: &Dataset, event: u32) -> Option<bool> {
    if data.event_time.is_empty() || data.time_is_order {
        return None;
    }
    let event = event as usize;
    let first = data.user_start[data.user_of(event) as usize] as usize;
    Some(event > first && data.time(event) == data.time(event - 1))
}

impl Split {
    /// Number of test cases with a target whose item stands in the history already.
    #[must_use]
    pub fn repeated_targets(&self, data: &Dataset) -> usize {
        let repeats = |case: &&EvalCase| case.targets_among(data, case.history.clone()).any(|(_, had)| had);
        self.test.iter().filter(repeats).count()
    }

    /// Number of test targets whose item has a train interaction, and of those whose item has none.
    #[must_use]
    pub fn warm_and_cold_targets(&self, data: &Dataset) -> (usize, usize) {
        let counts = self.item_counts(data);
        let targets = || self.test.iter().flat_map(|case| &case.targets);
        let warm = targets().filter(|&&target| counts[data.event_item[target as usize] as usize] > 0).count();
        (warm, targets().count() - warm)
    }

    /// Number of test cases with an empty history.
    #[must_use]
    pub fn without_history(&self) -> usize {
        self.test.iter().filter(|case| case.history.is_empty()).count()
    }
}

/// See [`Split::train_after_test`].
pub(super) fn train_after_test(data: &Dataset, split: &Split) -> Option<f64> {
    if data.event_time.is_empty() || data.time_is_order {
        return None;
    }
    // The targets are fewer: their times are sorted, and each train event asks how many of them are earlier.
    let mut targets: Vec<i64> =
        split.test.iter().flat_map(|case| &case.targets).map(|&target| data.time(target as usize)).collect();
    targets.sort_unstable();
    let (mut later, mut train) = (0u128, 0u64);
    for user in 0..data.users.rows() as u32 {
        for event in split.train_events(data, user) {
            let time = data.time(event);
            later += targets.partition_point(|&target| target < time) as u128;
            train += 1;
        }
    }
    let pairs = targets.len() as f64 * train as f64;
    (pairs > 0.0).then(|| later as f64 / pairs)
}
