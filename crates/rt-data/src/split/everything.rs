//! No split: every event trains, and a share can be held back to find out for how long.

use super::{EvalCase, Split, SplitKind};
use crate::{Dataset, Error, Result};

/// Validation cases that are held back at least, if there are so many users: fewer judge an epoch by chance.
const LEAST: usize = 1_000;
/// Of so many users one is held back, if that gives more.
const SHARE: usize = 10;

pub(super) fn split(data: &Dataset) -> Split {
    let mut split = Split::empty(SplitKind::None, data.users.rows());
    split.history_is_set = data.event_time.is_empty();
    for user in 0..data.users.rows() as u32 {
        let (start, end) = data.event_span(user);
        split.train_end[user as usize] = end;
        if end - start >= 2 {
            let first = if split.history_is_set { start } else { start + 1 };
            split.examples.push(first..end);
        }
    }
    split
}

impl Split {
    /// Takes the last train event of some users out of training and makes validation cases of them, to find the number of epochs
    /// before everything trains: a tenth of the users with three train events or more, but 1,000 if there are so many. Of three
    /// files it is the validation file that is held back.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] if nothing can be held back: no user has three train events of which the last is an example, or there
    /// is no order in which an event is the last.
    pub fn hold_back(&self, data: &Dataset) -> Result<Self> {
        let refuse = |what: &str| {
            let remedy = "give the number of epochs of an earlier run (--set epochs=N)";
            Error::Request(format!("split `{}` of {}: {what}; {remedy}", self.kind, data.name))
        };
        let mut held = self.clone();
        if !data.event_part.is_empty() {
            let of_files = super::files::split(data, super::EvalHistory::Train);
            if of_files.valid.is_empty() || of_files.examples.is_empty() {
                return Err(refuse("the files leave nothing to train on, or nothing to validate on"));
            }
            let mut trains = vec![false; data.event_item.len()];
            of_files.examples.iter().for_each(|event| trains[event as usize] = true);
            held.examples.retain(|event| trains[*event as usize]);
            (held.train_end, held.valid) = (of_files.train_end, of_files.valid);
            return Ok(held);
        }
        if self.history_is_set {
            return Err(refuse("without times no event is the last, so none can be held back"));
        }
        let mut last = vec![u32::MAX; data.users.rows()];
        self.examples.iter().for_each(|event| last[data.user_of(event as usize) as usize] = event);
        let can = |user: &u32| {
            let events = self.train_events(data, *user);
            events.len() >= 3 && last[*user as usize] as usize + 1 == events.end
        };
        let users: Vec<u32> = (0..data.users.rows() as u32).filter(can).collect();
        if users.is_empty() {
            return Err(refuse("no user has three events, of which the last could be held back"));
        }
        let count = (users.len() / SHARE).max(LEAST).min(users.len());
        let mut targets = Vec::with_capacity(count);
        for place in 0..count {
            let user = users[place * users.len() / count];
            let start = data.user_start[user as usize];
            let target = self.train_end[user as usize] - 1;
            held.train_end[user as usize] = target;
            held.valid.push(EvalCase { user, history: start..target, train: start..target, targets: vec![target] });
            targets.push(target);
        }
        held.examples.retain(|event| targets.binary_search(event).is_err());
        if held.examples.is_empty() {
            return Err(refuse("no training example is left after an event of each user is held back"));
        }
        Ok(held)
    }
}
