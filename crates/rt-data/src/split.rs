//! Which events train, and which are targets.

mod everything;
mod examples;
mod files;
mod leave_last_out;
mod mask;
mod report;
mod time;

use std::fmt;
use std::ops::Range;

use crate::{Dataset, Error, Result};

pub use examples::Examples;
pub use mask::Mask;
pub use report::is_tied;

/// How events are divided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SplitKind {
    /// Last event of a user = test, the one before = validation.
    LeaveLastOut,
    /// Global time split: shares of validation and test, `time:0.8,0.1` = train 0.8, valid 0.1.
    Time {
        /// Share of the interactions before the first cut.
        train: f64,
        /// Share between the two cuts.
        valid: f64,
    },
    /// Three files were given.
    Files,
    /// Everything trains and nothing is tested: a model that is to be used, not judged.
    None,
}

impl SplitKind {
    /// Reads `leave-last-out`, `time:0.8,0.1` (train 0.8, valid 0.1, the rest test), `files` or `none`.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] for anything else, and for shares that are not positive or leave nothing to test.
    pub fn parse(text: &str) -> Result<Self> {
        let fail = |what: String| Error::Request(format!("split `{text}`: {what}"));
        match text {
            "leave-last-out" => return Ok(Self::LeaveLastOut),
            "files" => return Ok(Self::Files),
            "none" => return Ok(Self::None),
            _ => {}
        }
        let Some(shares) = text.strip_prefix("time:") else {
            return Err(fail("is not leave-last-out, time:TRAIN,VALID (such as time:0.8,0.1), files or none".into()));
        };
        let Some((train, valid)) = shares.split_once(',') else {
            return Err(fail("two shares are wanted, such as time:0.8,0.1".into()));
        };
        let share = |share: &str| match share.trim().parse::<f64>() {
            Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
            _ => Err(fail(format!("`{share}` is no share between 0 and 1"))),
        };
        let (train, valid) = (share(train)?, share(valid)?);
        if train + valid > 1.0 - 1e-9 {
            return Err(fail("the shares of train and valid leave nothing to test".into()));
        }
        Ok(Self::Time { train, valid })
    }
}

impl fmt::Display for SplitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeaveLastOut => f.write_str("leave-last-out"),
            Self::Time { train, valid } => write!(f, "time:{train},{valid}"),
            Self::Files => f.write_str("files"),
            Self::None => f.write_str("none"),
        }
    }
}

/// What [`split`] needs to know beside the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SplitOptions {
    /// Of the time split: which events after a cut are targets.
    pub targets: Targets,
    /// Of given files: what stands in the history at test.
    pub eval_history: EvalHistory,
    /// Only events of this dense source are validated and tested ([`Dataset::event_source`]); all train.
    pub eval_source: Option<u32>,
    /// What rankings leave out; `None` looks at how often the train part repeats itself, see [`Split::mask_reason`].
    pub mask: Option<Mask>,
}

/// Divides the events of `data`.
///
/// - [`SplitKind::LeaveLastOut`]: a user's last event is the test target, the one before the validation target, the
///   rest trains; the history is everything before the target. Users with fewer than 3 events train on all of them
///   and are not tested.
/// - [`SplitKind::Time`]: t1 and t2 are the times of the interactions number ceil(train n) and ceil((train + valid) n)
///   in time order; train < t1 <= valid < t2 <= test. One case a target; its history is everything of the user that
///   is strictly earlier than the target.
/// - [`SplitKind::Files`]: the parts are the files; one case a user, with all of the user's events of the part as
///   targets and the train events as history.
/// - [`SplitKind::None`]: every event trains, those of all three files too; see [`Split::hold_back`].
///
/// The training examples are positions 1 and up of each user's train events; where a history is a set (three files
/// without times) all train events of users with at least two.
///
/// # Errors
///
/// [`Error::Request`] if the data cannot be divided so: no times, times that are only an order (time split), three
/// files given or not given, nothing left to train on or to test.
pub fn split(data: &Dataset, kind: SplitKind, options: SplitOptions) -> Result<Split> {
    if kind != SplitKind::None && (kind == SplitKind::Files) == data.event_part.is_empty() {
        let what = match kind {
            SplitKind::Files => "it needs three files: train, valid and test",
            _ => "the division is given by three files; take the split `files`",
        };
        return Err(Error::Request(format!("split `{kind}` of {}: {what}", data.name)));
    }
    let mut split = match kind {
        SplitKind::LeaveLastOut => leave_last_out::split(data)?,
        SplitKind::Time { train, valid } => time::split(data, train, valid, options.targets)?,
        SplitKind::Files => files::split(data, options.eval_history),
        SplitKind::None => everything::split(data),
    };
    if let Some(source) = options.eval_source {
        if data.event_source.is_empty() {
            let what = "the data has no source column; name it (`--source-col`)";
            return Err(Error::Request(format!("split `{kind}` of {}: {what}", data.name)));
        }
        for cases in [&mut split.valid, &mut split.test] {
            cases.retain_mut(|case| {
                case.targets.retain(|&target| data.event_source[target as usize] == source);
                !case.targets.is_empty()
            });
        }
    }
    if split.examples.is_empty() {
        let what = "no user has two train events, so there is nothing to learn from";
        return Err(Error::Request(format!("split `{kind}` of {}: {what}", data.name)));
    }
    split.train_after_test = report::train_after_test(data, &split);
    (split.mask, split.mask_reason) = match options.mask {
        Some(mask) => (mask, "as asked for".into()),
        None => mask::choose(data, &split),
    };
    Ok(split)
}

/// Which events after a time cut are targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Targets {
    /// A user's first event after the cut.
    #[default]
    First,
    /// Every event after the cut.
    All,
}

/// What stands in the history at test where three files were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EvalHistory {
    /// The train rows.
    #[default]
    Train,
    /// The train and the validation rows (at test).
    TrainValid,
}

/// One ranking to make: a user, what came before, what came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvalCase {
    /// Dense user id.
    pub user: u32,
    /// Events before the target(s): all of them; the tower takes the last L.
    pub history: Range<u32>,
    /// The user's train events.
    pub train: Range<u32>,
    /// Target events (indices into the event arrays), at least one.
    pub targets: Vec<u32>,
}

/// A divided [`crate::Dataset`].
#[derive(Debug, Clone)]
pub struct Split {
    /// How it was divided.
    pub kind: SplitKind,
    /// Training examples: target events. The history of example e is `user_start[user] .. e`, or, where
    /// `history_is_set`, all train events of the user but e.
    pub examples: Examples,
    /// Train events of user u are `user_start[u] .. train_end[u]`; `users.rows()` long.
    pub train_end: Vec<u32>,
    /// Validation cases.
    pub valid: Vec<EvalCase>,
    /// Test cases.
    pub test: Vec<EvalCase>,
    /// True where the data has no time: a history is a set, windows are refused.
    pub history_is_set: bool,
    /// Mean over the test targets of the share of all train events that are strictly later than the target: how much
    /// of other users' future the training sees. `None` where there is no clock or no test target.
    pub train_after_test: Option<f64>,
    /// What rankings leave out: those of validation and test, and the lists of a model that was trained on this.
    pub mask: Mask,
    /// Why this mask, in words.
    pub mask_reason: String,
}

impl Split {
    /// A division of `users` rows of users that has nothing yet.
    #[must_use]
    pub fn empty(kind: SplitKind, users: usize) -> Self {
        Self {
            kind,
            examples: Examples::default(),
            train_end: vec![0; users],
            valid: Vec::new(),
            test: Vec::new(),
            history_is_set: false,
            train_after_test: None,
            mask: Mask::default(),
            mask_reason: String::new(),
        }
    }

    /// Train events of a user, as a range of the event arrays.
    #[must_use]
    pub fn train_events(&self, data: &crate::Dataset, user: u32) -> Range<usize> {
        data.user_start[user as usize] as usize..self.train_end[user as usize] as usize
    }

    /// Train events of each dense item; `items.rows()` long.
    #[must_use]
    pub fn item_counts(&self, data: &crate::Dataset) -> Vec<u32> {
        let mut counts = vec![0; data.items.rows()];
        for user in 0..data.users.rows() {
            for event in self.train_events(data, user as u32) {
                counts[data.event_item[event] as usize] += 1;
            }
        }
        counts
    }

    /// Users that have each dense item in their train part; `items.rows()` long.
    #[must_use]
    pub fn item_users(&self, data: &crate::Dataset) -> Vec<u32> {
        let (mut counts, mut last) = (vec![0; data.items.rows()], vec![u32::MAX; data.items.rows()]);
        for user in 0..data.users.rows() as u32 {
            for &item in &data.event_item[self.train_events(data, user)] {
                counts[item as usize] += u32::from(last[item as usize] != user);
                last[item as usize] = user;
            }
        }
        counts
    }

    /// How often each dense item is a training *target* (what the q of a logQ counts); `items.rows()` long.
    #[must_use]
    pub fn target_counts(&self, data: &crate::Dataset) -> Vec<u32> {
        let mut counts = vec![0; data.items.rows()];
        for event in self.examples.iter() {
            counts[data.event_item[event as usize] as usize] += 1;
        }
        counts
    }
}
