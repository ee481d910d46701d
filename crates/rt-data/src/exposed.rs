//! Items that users were shown and did not click: explicit negatives.

use std::ops::Range;

use crate::builder::gather;
use crate::times::Times;

/// What was shown and not clicked, so that each event finds what stood beside it or before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exposed {
    /// Dense items; those of one user stand together, in the order of part and time (or of impressions).
    pub items: Vec<u32>,
    /// (start, length) in `items` by event. Where there are impression ids: the items of the event's own list that were
    /// not clicked. Else what the user was shown and did not click up to the event's time (same part; all of it where
    /// the data has no times), so that the nearest before it stand last.
    pub spans: Vec<[u32; 2]>,
}

impl Exposed {
    /// Places in `items` that belong to an event.
    #[must_use]
    pub fn of(&self, event: u32) -> Range<usize> {
        let [start, length] = self.spans.get(event as usize).copied().unwrap_or([0, 0]);
        start as usize..(start + length) as usize
    }
}

/// Rows with label 0 in the order of the input.
#[derive(Debug, Default)]
pub(crate) struct ShownRows {
    pub(crate) user: Vec<u32>,
    pub(crate) item: Vec<u32>,
    /// Empty where the input has no time, or times are not read.
    pub(crate) time: Times,
    /// How many positives of all users were read before each.
    pub(crate) after: Vec<u32>,
    /// Empty where one file was given.
    pub(crate) part: Vec<u8>,
    /// Dense impression ids from 1; 0 = none. Empty where there is no such column.
    pub(crate) impression: Vec<u32>,
}

/// The sorted events that the rows are given to.
pub(crate) struct Sorted<'a> {
    pub(crate) user_start: &'a [u32],
    pub(crate) time: &'a Times,
    pub(crate) part: &'a [u8],
    pub(crate) impression: &'a [u32],
}

impl ShownRows {
    pub(crate) fn finish(self, events: &Sorted<'_>) -> Exposed {
        let lists = !self.impression.is_empty();
        // What decides where a row stands within its user: the part, then the list or the time.
        let key = |row: usize| {
            let part = self.part.get(row).copied().unwrap_or(0);
            let place = if lists { i64::from(self.impression[row]) } else { self.time.get(row).unwrap_or(0) };
            (part, place)
        };
        let mut order: Vec<u32> = (0..self.user.len() as u32).collect();
        order.sort_by_key(|&row| (self.user[row as usize], key(row as usize)));
        let keys: Vec<(u8, i64)> = order.iter().map(|&row| key(row as usize)).collect();
        let users: Vec<u32> = order.iter().map(|&row| self.user[row as usize]).collect();
        let events_of = |user: usize| events.user_start[user] as usize..events.user_start[user + 1] as usize;

        let mut spans = vec![[0, 0]; *events.user_start.last().unwrap_or(&0) as usize];
        for user in 0..events.user_start.len().saturating_sub(1) {
            let first = users.partition_point(|&shown| (shown as usize) < user);
            let last = first + users[first..].partition_point(|&shown| shown as usize == user);
            let own = &keys[first..last];
            for event in events_of(user) {
                let part = events.part.get(event).copied().unwrap_or(0);
                let (low, high) = if lists {
                    let list = events.impression.get(event).copied().unwrap_or(0);
                    if list == 0 {
                        continue; // the event belongs to no list
                    }
                    let wanted = (part, i64::from(list));
                    (own.partition_point(|key| *key < wanted), own.partition_point(|key| *key <= wanted))
                } else {
                    let until = events.time.get(event).filter(|_| !self.time.is_empty()).unwrap_or(i64::MAX);
                    (own.partition_point(|key| key.0 < part), own.partition_point(|key| *key <= (part, until)))
                };
                spans[event] = [(first + low) as u32, (high - low) as u32];
            }
        }
        Exposed { items: gather(self.item, &order), spans }
    }
}
