//! Defaults that read the train part: sizes of steps, when to stop, and whether the order of a history says anything.
//!
//! What a setting is worth depends on the data. Numbers that were best on one data set fit no other: an epoch of a first app is
//! a handful of steps, its sessions are days apart, and its histories have no order. `docs/training.md` has the figures.

use crate::config::Config;
use crate::eval::{ItemKnn, Last};
use crate::{Error, Result};
use rt_data::{Dataset, Split};

/// Examples a step by default, at most.
const BATCH: usize = 1024;
/// Steps that an epoch should have, where the data is small.
const STEPS: usize = 32;
/// Steps without a better validation that training waits for at least, and epochs.
const PATIENCE: (usize, usize) = (300, 4);
/// Steps that training may take at least, and epochs.
const LENGTH: (usize, usize) = (3_000, 40);
/// Seconds without an event that end a session: the best of 60, 300 and 1,800 on validation of ml-1m-half.
const SESSION: usize = 60;
/// Training examples from which on dropout is weaker.
const MUCH: usize = 200_000;
/// Training examples below which dropout and temperature rise: at 3,300, the first app, the best of a search on validation.
const ENOUGH: usize = 65_000;
/// Share of the train events that have to follow the one before within [`SESSION`] for sessions to say anything.
const IN_SESSION: f64 = 0.1;
/// How near the last few items have to come to the whole history, as neighbours of the next item, for the order to matter.
const ORDER: f64 = 0.9;
/// Pairs of items that the probe counts, about: it reads as many users as have so many.
const PAIRS: usize = 20_000_000;
/// Train events of a user whom the probe reads, at most: pairs grow with their square.
const LONG: usize = 1_000;

impl Config {
    /// Gives `batch`, `patience` and `epochs` values where they are 0.
    pub(crate) fn resolve_steps(&mut self, split: &Split) {
        let examples = split.examples.len().max(1);
        if self.batch == 0 {
            self.batch = (examples / STEPS).next_power_of_two().clamp(64, BATCH);
        }
        let steps = examples.div_ceil(self.step_examples());
        if self.patience == 0 {
            self.patience = PATIENCE.0.div_ceil(steps).max(PATIENCE.1);
        }
        if self.epochs == 0 {
            self.epochs = LENGTH.0.div_ceil(steps).max(LENGTH.1);
        }
    }

    /// Gives `dropout`, `history_dropout` and `temperature` values where they have none: the less data, the more noise and the
    /// flatter the softmax.
    pub(crate) fn resolve_noise(&mut self, split: &Split) {
        let examples = split.examples.len().max(1);
        let rate = if examples >= MUCH { 0.1 } else { 0.2 };
        let small = (ENOUGH as f32 / examples as f32).max(1.0);
        self.dropout.get_or_insert((rate * small.powf(0.23)).min(0.4));
        self.history_dropout.get_or_insert((rate * small.powf(0.37)).min(0.6));
        self.temperature.get_or_insert((0.1 * small.powf(0.23)).min(0.2));
    }

    /// Gives `windows` and `session` values where they have none and histories have an order; `timed` says that sessions can be
    /// told. Where the last few items tell the next one nearly as well as the whole history, or better, windows are nested and
    /// the session is on: a session that is one event long is the last item. Else there is one window of all, and a session only
    /// where events follow each other fast.
    ///
    /// # Errors
    ///
    /// [`Error::Evaluation`] where the probe cannot rank.
    pub(crate) fn resolve_order(&mut self, data: &Dataset, split: &Split, timed: bool) -> Result<()> {
        let ask = self.windows.is_empty() || self.session.is_none() && timed;
        let order = ask && order_matters(data, split)?;
        if self.windows.is_empty() {
            if order {
                self.windows = [1, 2, 3, 5, 10].into_iter().filter(|w| *w < self.history).collect();
            }
            self.windows.push(self.history);
        }
        if self.session.is_none() {
            let on = timed && (order || in_sessions(data, split));
            self.session = Some(if on { SESSION } else { 0 });
        }
        Ok(())
    }
}

/// Do events often follow each other as fast as in a session?
fn in_sessions(data: &Dataset, split: &Split) -> bool {
    let (mut near, mut all) = (0usize, 0usize);
    for user in 0..data.users.rows() as u32 {
        let events = split.train_events(data, user);
        for event in events.start + 1..events.end.max(events.start + 1) {
            all += 1;
            near += usize::from(data.time(event) - data.time(event - 1) <= SESSION as i64);
        }
    }
    near as f64 >= IN_SESSION * all as f64 && near > 0
}

/// Does the order of events say what comes next? Item-kNN over the last 1 to 3 items against all of the history, asked for each
/// user's last train event; no validation or test event is read.
fn order_matters(data: &Dataset, split: &Split) -> Result<bool> {
    let mut sample = split.clone();
    let longest = |user: usize| (split.train_end[user] - data.user_start[user]) as usize;
    let pairs: usize = (0..data.users.rows()).map(|user| longest(user) * longest(user)).sum();
    let step = pairs.div_ceil(PAIRS).max(1);
    for user in (0..data.users.rows()).filter(|user| !user.is_multiple_of(step) || longest(*user) > LONG) {
        sample.train_end[user] = data.user_start[user];
    }
    let tried = ItemKnn::probe(data, &sample).map_err(|e| Error::Evaluation(format!("the order of histories: {e}")))?;
    let best = |of: &dyn Fn(Last) -> bool| {
        tried.iter().filter(|(last, _)| of(*last)).map(|(_, value)| *value).fold(0.0, f64::max)
    };
    let few = best(&|last| matches!(last, Last::Events(events) if events <= 3));
    let all = best(&|last| last == Last::All);
    // Nothing is known of data that is too small to say: windows then do no harm.
    Ok(few >= ORDER * all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelKind;
    use rt_data::{SplitKind, SplitOptions, split};

    fn cut(data: &Dataset) -> Split {
        split(data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap()
    }

    /// A word from a counter.
    fn word(i: u64) -> u64 {
        let word = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40
    }

    /// 200 users with twelve events: each the successor of the item before, or of one of the user's three groups in any order.
    fn log(ordered: bool, seconds: i64) -> Dataset {
        let mut events = Vec::new();
        for user in 0..200u64 {
            let mut item = word(user) % 100;
            let liked = [0, 1, 2].map(|group| word(user * 3 + group + 90_000) % 12);
            let mut own: Vec<u64> = liked.iter().flat_map(|group| (0..8).map(move |i| i * 12 + group)).collect();
            own.sort_by_key(|item| word(user * 1_000 + item));
            own.dedup();
            for event in 0..12 {
                item = if ordered { (item * 37 + 11) % 100 } else { own[event as usize % own.len()] };
                events.push((format!("u{user}"), format!("i{item}"), 1_600_000_000 + event as i64 * seconds));
            }
        }
        Dataset::from_events(events.iter().map(|(u, i, t)| (u, i, *t)))
    }

    #[test]
    fn windows_follow_the_order() {
        for (ordered, want) in [(true, &[1, 2, 3, 5, 10, 50][..]), (false, &[50])] {
            let data = log(ordered, 3_600);
            let config = Config::new(ModelKind::Dssm).resolve(&data, &cut(&data)).unwrap();
            assert_eq!(config.windows, want, "ordered: {ordered}");
        }
    }

    #[test]
    fn sessions_follow_the_order_and_the_pauses() {
        let of = |ordered, seconds| {
            let data = log(ordered, seconds);
            Config::new(ModelKind::Dssm).resolve(&data, &cut(&data)).unwrap().session
        };
        assert_eq!((of(false, 30), of(false, 3_600), of(true, 3_600)), (Some(SESSION), Some(0), Some(SESSION)));
    }

    #[test]
    fn noise_falls_as_examples_grow() {
        let data = log(false, 3_600);
        let mut split = cut(&data);
        let mut of = |examples: u32| {
            split.examples = (0..examples).collect();
            let mut config = Config::new(ModelKind::Dssm);
            config.resolve_noise(&split);
            [config.dropout.unwrap(), config.history_dropout.unwrap(), config.temperature.unwrap()]
        };
        let figures = [500, 3_300, 20_000, 65_000, 100_000, 200_000].map(&mut of);
        assert_eq!((figures[0], figures[3], figures[4]), ([0.4, 0.6, 0.2], [0.2, 0.2, 0.1], [0.2, 0.2, 0.1]));
        assert_eq!(figures[5], [0.1; 3]);
        assert!(
            figures.windows(2).all(|pair| pair[0].iter().zip(pair[1]).all(|(more, less)| *more >= less)),
            "{figures:?}"
        );
    }

    #[test]
    fn steps_follow_the_examples() {
        let data = log(false, 3_600);
        let mut split = cut(&data);
        let of = |split: &Split| {
            let mut config = Config::new(ModelKind::Dssm);
            config.resolve_steps(split);
            (config.batch, config.patience, config.epochs)
        };
        // 1,800 examples are 29 steps of 64; 100,000 are 98 of 1,024.
        assert_eq!(of(&split), (64, 11, 104));
        split.examples = (0..100_000).collect();
        assert_eq!(of(&split), (1024, 4, 40));
    }
}
