//! Defaults that read the train part: sizes of steps, when to stop, and whether the order of a history says anything.
//!
//! What a setting is worth depends on the data. Numbers that were best on one data set fit no other: an epoch of a first app is
//! a handful of steps, its sessions are days apart, and its histories have no order. `docs/training.md` has the figures.

use crate::config::{Config, Loss, ModelKind, Switch};
use crate::eval::{ItemKnn, Last};
use crate::select::Select;
use crate::{Error, Result};
use rt_data::{Dataset, Mask, Split};

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
/// Training examples below which dropout rises: at 3,300, the first app, the best of a search on validation.
const ENOUGH: usize = 65_000;
/// Natural logarithms of the lift of [`Probe`] between which the temperature falls from 0.4 to 0.1, by searches on validation of
/// small logs.
const LIFTS: [f64; 2] = [1.2, 3.6];
/// Share of the train events that have to follow the one before within [`SESSION`] for sessions to say anything.
const IN_SESSION: f64 = 0.1;
/// How much better than the whole history the last few items have to be, as neighbours of the next item, for the order to matter.
/// It is 1.2 to 2.3 times on Beauty and MovieLens, and 0.7 to 1.06 on logs that were made without an order.
const ORDER: f64 = 1.1;
/// Train events that the probe asks for, about, in up to four of a user: fewer say little.
const ASKED: usize = 12_000;
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

    /// Gives `dropout`, `history_dropout`, `temperature` and `select` values if they have none: the less data, and the less a history says
    /// of what comes next, the more noise. The temperature follows the second alone: scores are cosines, so that exp(2 / temperature)
    /// is the largest ratio of two items' probabilities. If the best items are only some times as likely as any, a low temperature
    /// can only fit noise.
    pub(crate) fn resolve_noise(&mut self, split: &Split, probe: Option<&Probe>) {
        let examples = split.examples.len().max(1);
        let rate = if examples >= MUCH { 0.1 } else { 0.2 };
        let small = (ENOUGH as f32 / examples as f32).max(1.0);
        let vague = probe.map_or(0.0, |probe| probe.vague(split));
        if self.select.is_auto() {
            // Few hits among ten choose an epoch by chance, and often one that is too early.
            self.select = Select::ndcg(if vague > 0.0 { 100 } else { 10 });
        }
        let (of_size, of_history) = ((rate * small.powf(0.23)).min(0.4), 0.2 + 0.2 * vague);
        self.dropout.get_or_insert(if vague > 0.0 { of_size.max(of_history) } else { of_size });
        let (of_size, of_history) = ((rate * small.powf(0.37)).min(0.6), 0.2 + 0.3 * vague);
        self.history_dropout.get_or_insert(if vague > 0.0 { of_size.max(of_history) } else { of_size });
        self.temperature.get_or_insert(0.1 + 0.3 * vague);
    }

    /// Gives what has none a value for histories that are sets: everything but the target predicts it. A tower that only pools such
    /// a set learns as much as a linear autoencoder does if half of the set is dropped, the user's id cannot stand in for it,
    /// and the user's other items, which a ranking leaves out, are no negatives.
    pub(crate) fn resolve_sets(&mut self, data: &Dataset, split: &Split) {
        if !split.history_is_set {
            self.mask_own.get_or_insert(false);
            return;
        }
        let fits = [Loss::InBatch, Loss::Full, Loss::Sampled].contains(&self.loss) && !self.symmetric;
        let masks = || fits && split.mask != Mask::None && crate::learnable::could_mask_own(data, split);
        self.mask_own.get_or_insert_with(masks);
        self.history_dropout.get_or_insert(0.5);
        self.temperature.get_or_insert(0.07);
        if self.user_id == Switch::Auto {
            self.user_id = Switch::Off;
        }
    }

    /// Are the user's other train items no candidates of the loss?
    pub(crate) fn masks_own(&self) -> bool {
        self.mask_own == Some(true)
    }

    /// Gives `user_hidden` a value if it has none.
    pub(crate) fn resolve_width(&mut self, split: &Split) {
        let wide = self.model == ModelKind::YoutubeDnn && split.examples.len() >= ENOUGH;
        self.user_hidden.get_or_insert_with(|| if wide { vec![256, 256] } else { vec![128] });
    }

    /// Is there a default that the probe decides? `timed` says that sessions can be told.
    pub(crate) fn asks(&self, timed: bool) -> bool {
        let noise = self.dropout.is_none() || self.history_dropout.is_none() || self.temperature.is_none();
        noise || self.select.is_auto() || self.windows.is_empty() || self.session.is_none() && timed
    }

    /// Gives `windows` and `session` values if they have none and histories have an order; `timed` says that sessions can be
    /// told. If the last few items tell the next one better than the whole history does, windows are nested and
    /// the session is on: a session that is one event long is the last item. Else there is one window of all, and a session only
    /// if events follow each other fast.
    pub(crate) fn resolve_order(&mut self, data: &Dataset, split: &Split, timed: bool, probe: Option<&Probe>) {
        // Nothing is known of data that is too small to say: windows then do no harm.
        let order = probe.is_none_or(|probe| probe.few >= ORDER * probe.all);
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

/// What item-kNN makes of the last train events of users, as the mean NDCG@10: how much a history says of what comes next. No
/// validation or test event is read. (Repeats are not seen by it: an item is no neighbour of its own.)
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    /// The best of the last 1 to 3 items.
    few: f64,
    /// All of the history.
    all: f64,
    /// The best of all, over what a random order of the items would reach.
    lift: f64,
}

impl Probe {
    /// 0 if histories say much of the next item, 1 if little; 0 too if repeats are ranked, which neighbours do not find.
    fn vague(&self, split: &Split) -> f32 {
        let low = (LIFTS[1] - self.lift.ln()) / (LIFTS[1] - LIFTS[0]);
        if split.mask == Mask::None { 0.0 } else { low.clamp(0.0, 1.0) as f32 }
    }

    /// Asks a sample of the users; `None` if none has enough events.
    ///
    /// # Errors
    ///
    /// [`Error::Evaluation`] if it cannot rank.
    pub(crate) fn of(data: &Dataset, split: &Split) -> Result<Option<Self>> {
        let mut sample = split.clone();
        let longest = |user: usize| (split.train_end[user] - data.user_start[user]) as usize;
        let pairs: usize = (0..data.users.rows()).map(|user| longest(user) * longest(user)).sum();
        let step = pairs.div_ceil(PAIRS).max(1);
        for user in (0..data.users.rows()).filter(|user| !user.is_multiple_of(step) || longest(*user) > LONG) {
            sample.train_end[user] = data.user_start[user];
        }
        let asked = (ASKED / data.users.rows().max(1)).clamp(1, 4);
        let tried = ItemKnn::probe(data, &sample, asked)
            .map_err(|e| Error::Evaluation(format!("how much histories say of the next item: {e}")))?;
        let best = |of: &dyn Fn(Last) -> bool| {
            tried.iter().filter(|(last, _)| of(*last)).map(|(_, value)| *value).fold(0.0, f64::max)
        };
        let random: f64 =
            (1..=10).map(|place| 1.0 / f64::from(place + 1).log2()).sum::<f64>() / data.catalogue.len().max(1) as f64;
        let probe = Self {
            few: best(&|last| matches!(last, Last::Events(events) if events <= 3)),
            all: best(&|last| last == Last::All),
            lift: (best(&|_| true) / random).max(1.0),
        };
        Ok((!tried.is_empty()).then_some(probe))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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

    fn noise(split: &Split, lift: Option<f64>) -> [f32; 3] {
        let mut config = Config::new(ModelKind::Dssm);
        config.resolve_noise(split, lift.map(|lift| Probe { few: 0.1, all: 0.1, lift }).as_ref());
        [config.dropout.unwrap(), config.history_dropout.unwrap(), config.temperature.unwrap()]
    }

    #[test]
    fn noise_falls_as_examples_grow() {
        let data = log(false, 3_600);
        let mut split = cut(&data);
        let mut of = |examples: u32| {
            split.examples = (0..examples).collect();
            noise(&split, Some(100.0))
        };
        let figures = [500, 3_300, 20_000, 65_000, 100_000, 200_000].map(&mut of);
        assert_eq!((figures[0], figures[3], figures[4]), ([0.4, 0.6, 0.1], [0.2, 0.2, 0.1], [0.2, 0.2, 0.1]));
        assert_eq!(figures[5], [0.1; 3]);
        assert!(
            figures.windows(2).all(|pair| pair[0].iter().zip(pair[1]).all(|(more, less)| *more >= less)),
            "{figures:?}"
        );
    }

    #[test]
    fn noise_falls_as_histories_say_more() {
        let data = log(false, 3_600);
        let mut split = cut(&data);
        split.examples = (0..100_000).collect();
        let figures = [1.0, 3.0, 6.0, 20.0, 36.0, 60.0].map(|lift| noise(&split, Some(lift)));
        assert_eq!((figures[0], figures[5]), ([0.4, 0.5, 0.4], [0.2, 0.2, 0.1]));
        assert!(
            figures.windows(2).all(|pair| pair[0].iter().zip(pair[1]).all(|(more, less)| *more >= less)),
            "{figures:?}"
        );
        assert_eq!(noise(&split, None), [0.2, 0.2, 0.1]);
        let select = |lift: f64| {
            let mut config = Config::new(ModelKind::Dssm);
            config.resolve_noise(&split, Some(&Probe { few: 0.1, all: 0.1, lift }));
            config.select.name().to_owned()
        };
        assert_eq!((select(6.0), select(60.0)), ("NDCG@100".into(), "NDCG@10".into()));
        split.mask = Mask::None;
        assert_eq!(noise(&split, Some(1.0)), [0.2, 0.2, 0.1], "repeats are not what neighbours tell");
    }

    #[test]
    fn the_probe_tells_chance_from_knowledge() {
        let lift = |data: &Dataset| Probe::of(data, &cut(data)).unwrap().unwrap().lift;
        assert!(lift(&log(true, 3_600)) > 15.0, "of 100 items the next is known: {}", lift(&log(true, 3_600)));
        assert!(lift(&log(false, 3_600)) < lift(&log(true, 3_600)) / 2.0, "{}", lift(&log(false, 3_600)));
    }

    #[test]
    fn the_probe_asks_for_the_last_events_alone() {
        // Seven items of chance, then a pair: only the last event follows from the one before.
        let events = (0..150u64).flat_map(|user| {
            (0..9u64).map(move |place| {
                let pair = 60 + 2 * (user % 20);
                let item = if place < 7 { word(user * 1_000 + place) % 60 } else { pair + place - 7 };
                (format!("u{user}"), format!("i{item}"), 1_600_000_000 + place as i64)
            })
        });
        let data = Dataset::from_events(events);
        let split = split(&data, SplitKind::None, SplitOptions::default()).unwrap();
        let best = |asked| {
            let tried = ItemKnn::probe(&data, &split, asked).unwrap();
            tried.iter().map(|(_, value)| *value).fold(0.0, f64::max)
        };
        assert!(best(1) > 0.9 && best(4) < 0.6, "{} and {}", best(1), best(4));
    }

    #[test]
    fn sets_mask_the_users_own_items() {
        let data = log(false, 3_600);
        let mut split = cut(&data);
        split.history_is_set = true;
        let of = |split: &Split, pairs: &[&str]| {
            let mut config = Config::new(ModelKind::Dssm);
            pairs.iter().for_each(|pair| config.set_pair(pair).unwrap());
            config.resolve_sets(&data, split);
            (config.masks_own(), config.history_dropout, config.user_id)
        };
        assert_eq!(of(&split, &[]), (true, Some(0.5), Switch::Off));
        assert_eq!(
            of(&split, &["mask_own=false", "history_dropout=0.1", "user_id=on"]),
            (false, Some(0.1), Switch::On)
        );
        assert!(!of(&split, &["loss=bpr"]).0 && !of(&split, &["symmetric=true"]).0, "these losses cannot");
        let everyone_has_all =
            Dataset::from_events([1, 2, 3].iter().flat_map(|u| [1, 2].map(|i| (format!("u{u}"), format!("i{i}"), 0))));
        assert!(
            !crate::learnable::could_mask_own(&everyone_has_all, &cut(&everyone_has_all)),
            "no negative would be left"
        );
        split.mask = Mask::None;
        assert!(!of(&split, &[]).0, "own items are ranked too");
        split.history_is_set = false;
        assert_eq!(of(&split, &[]), (false, None, Switch::Auto));
    }

    #[test]
    fn width_follows_the_examples() {
        let data = log(false, 3_600);
        let mut split = cut(&data);
        let mut of = |kind, examples: u32| {
            split.examples = (0..examples).collect();
            let mut config = Config::new(kind);
            config.resolve_width(&split);
            config.user_hidden.unwrap()
        };
        assert_eq!(of(ModelKind::YoutubeDnn, 64_999), [128]);
        assert_eq!(of(ModelKind::YoutubeDnn, 65_000), [256, 256]);
        assert_eq!(of(ModelKind::Dssm, 65_000), [128]);
        let mut own = Config::new(ModelKind::YoutubeDnn);
        own.set("user_hidden", "").unwrap();
        own.resolve_width(&split);
        assert_eq!(own.user_hidden, Some(vec![]), "no layer is a choice of its own");
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
