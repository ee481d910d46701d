//! From events in the order of the files to a [`Dataset`]: sorting by (user, part, time, order in the input).

use crate::clock::FileClock;
use crate::columns::{ColumnBuilder, ColumnSet, permuted};
use crate::exposed::{ShownRows, Sorted};
use crate::ids::Ids;
use crate::notes::Notes;
use crate::read::Verdict;
use crate::{Dataset, Features, LeftOut, Times, Vocab};
use std::path::Path;

/// Everything that readers collect. Events stand in the order of the input.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    pub(crate) users: Ids,
    pub(crate) items: Ids,
    pub(crate) user: Vec<u32>,
    pub(crate) item: Vec<u32>,
    /// As long as `user`, or empty where the input has no time.
    pub(crate) time: Times,
    /// As long as `user`, or empty where one file was given.
    pub(crate) part: Vec<u8>,
    pub(crate) user_columns: ColumnSet,
    pub(crate) item_columns: ColumnSet,
    /// Row = number of the event in the input.
    pub(crate) event_columns: Vec<(String, ColumnBuilder)>,
    pub(crate) titles: Vec<String>,
    pub(crate) has_titles: bool,
    /// As long as `user`, or empty where the input has no such column; likewise the next three.
    pub(crate) weight: Vec<f32>,
    pub(crate) source: Vec<u32>,
    pub(crate) sources: Vocab,
    pub(crate) impression: Vec<u32>,
    pub(crate) impressions: Ids,
    pub(crate) shown: ShownRows,
    pub(crate) left_out: LeftOut,
    pub(crate) notes: Notes,
    /// Columns of the tables beside the log, items of the item table, and when they were released.
    pub(crate) user_table: ColumnSet,
    pub(crate) item_table: ColumnSet,
    pub(crate) offered: Vec<u32>,
    pub(crate) released: Vec<(u32, i64)>,
}

impl Builder {
    /// Gives an item its title.
    pub(crate) fn set_title(&mut self, item: u32, title: &str) {
        let place = item as usize;
        if place >= self.titles.len() {
            self.titles.resize(place + 1, String::new());
        }
        title.clone_into(&mut self.titles[place]);
        self.has_titles = true;
    }

    /// At the end of a file: its times, from event `from` and shown row `shown` on, become seconds.
    pub(crate) fn settle(&mut self, file: &Path, clock: &FileClock, from: usize, shown: usize) {
        if let Some(told) = clock.settle(&mut self.time, from, (&mut self.shown.time, shown)) {
            self.notes.times(file, told);
        }
    }

    /// First event of each user, and the end; and the events by user, then by (part, time, place in the input).
    fn sorted(&self) -> (Vec<u32>, Vec<u32>) {
        let (users, count) = (self.users.vocab.rows(), self.user.len());
        // Counting sort by user keeps the order of the input; then each user's events by (part, time, place).
        let mut user_start = vec![0u32; users + 1];
        for &user in &self.user {
            user_start[user as usize + 1] += 1;
        }
        for user in 1..user_start.len() {
            user_start[user] += user_start[user - 1];
        }
        let mut next = user_start.clone();
        let mut order = vec![0u32; count];
        for (event, &user) in self.user.iter().enumerate() {
            let place = &mut next[user as usize];
            order[*place as usize] = event as u32;
            *place += 1;
        }
        drop(next);
        let (part, time) = (&self.part, &self.time);
        for user in 0..users {
            let own = &mut order[user_start[user] as usize..user_start[user + 1] as usize];
            if !part.is_empty() || !time.is_empty() {
                own.sort_unstable_by_key(|&event| {
                    let part = part.get(event as usize).copied().unwrap_or_default();
                    (part, if time.is_empty() { 0 } else { time.at(event as usize) }, event)
                });
            }
        }
        (user_start, order)
    }

    /// A user who has half of all events, in words.
    fn busiest(&self, user_start: &[u32]) -> Option<String> {
        let events = |user: &usize| user_start[user + 1] - user_start[*user];
        // Of one or two users one always has half.
        let users = 1..user_start.len().saturating_sub(1);
        let user = Some(users).filter(|users| users.len() > 2)?.max_by_key(events)?;
        let (own, all) = (events(&user) as usize, self.user.len());
        (2 * own >= all && own > 0).then(|| {
            let share = 100.0 * own as f64 / all as f64;
            let raw = self.users.vocab.raw(user as u32);
            format!("user `{raw}` has {own} of all {all} events, {share:.0} %: is that one person?")
        })
    }

    /// True before the first row.
    pub(crate) fn is_empty(&self) -> bool {
        self.user.is_empty() && self.left_out.total() == 0
    }

    /// Rows that were read.
    pub(crate) fn rows(&self) -> u64 {
        self.user.len() as u64 + self.left_out.total()
    }

    /// Makes room for so many more events, exactly: vectors that double would take up to twice the memory.
    pub(crate) fn reserve(&mut self, count: usize, times: bool) {
        self.user.reserve_exact(count);
        self.item.reserve_exact(count);
        if times {
            self.time.reserve(count);
        }
    }

    /// Counts a row that is no positive; what was shown and not clicked is kept.
    pub(crate) fn leave_out(&mut self, why: Verdict, user: u32, item: u32, time: Option<i64>, impression: Option<u32>) {
        match why {
            Verdict::Positive => {}
            Verdict::Rating => self.left_out.rating += 1,
            Verdict::Dwell => self.left_out.dwell += 1,
            Verdict::Shown => {
                self.left_out.label += 1;
                self.shown.user.push(user);
                self.shown.item.push(item);
                self.shown.after.push(self.user.len() as u32);
                self.shown.time.extend(time);
                self.shown.impression.extend(impression);
            }
        }
    }

    /// Sorts, gathers and seals. Beside the events themselves (user, item, time: 12 bytes each) it takes 4 bytes an
    /// event for their order, and gathers one array after the other. `order_input`: the lines are in order, times are places in it.
    pub(crate) fn finish(mut self, name: String, order_input: bool) -> Dataset {
        let count = self.user.len();
        if order_input {
            self.time.clear();
            self.shown.time.clear();
        }
        self.time.seal();

        let (user_start, order) = self.sorted();
        let busiest = self.busiest(&user_start);
        let notes = std::mem::take(&mut self.notes).finish().into_iter().chain(busiest).collect();
        let (users, items) = (self.users.vocab, self.items.vocab);
        if order_input {
            // A row was shown before the user's next positive: the time of both is that one's place.
            let place = |(user, after): (&u32, &u32)| {
                let own = user_start[*user as usize] as usize..user_start[*user as usize + 1] as usize;
                1 + order[own].partition_point(|event| event < after) as i64
            };
            self.shown.time = self.shown.user.iter().zip(&self.shown.after).map(place).collect();
        }
        drop(self.user);
        let event_item = gather(self.item, &order);
        let event_part = gather(self.part, &order);
        let mut event_time = self.time.permuted(&order);
        // Place of each event among its user's, from 1.
        let places = || user_start.windows(2).flat_map(|own| 1..=i64::from(own[1] - own[0]));
        if order_input {
            event_time = places().collect();
        }
        // Times that only count a user's events, as in the files of the sequence papers, are no clock.
        let time_is_order = !event_time.is_empty() && event_time.iter().eq(places());
        let impression = gather(self.impression, &order);
        let sorted = Sorted { user_start: &user_start, time: &event_time, part: &event_part, impression: &impression };
        let exposed = (!self.shown.user.is_empty()).then(|| self.shown.finish(&sorted));

        let mut has_events = vec![false; items.rows()];
        for &item in &event_item {
            has_events[item as usize] = true;
        }
        let catalogue = (0..items.rows() as u32).filter(|&item| has_events[item as usize]).collect();
        self.offered.iter().for_each(|&item| has_events[item as usize] = true);
        let offered = match self.offered.is_empty() {
            true => Vec::new(),
            false => (0..items.rows() as u32).filter(|&item| has_events[item as usize]).collect(),
        };
        let mut item_release = if self.released.is_empty() { Vec::new() } else { vec![None; items.rows()] };
        self.released.iter().for_each(|&(item, time)| _ = item_release[item as usize].get_or_insert(time));
        let both = |log: ColumnSet, table: ColumnSet, rows: usize| {
            let columns = log.finish(rows).columns.into_iter().chain(table.finish(rows).columns);
            Features { columns: columns.collect() }
        };

        let event_columns = self
            .event_columns
            .into_iter()
            .map(|(name, column)| (name, permuted(column.finish(count), &order)))
            .collect();
        if self.has_titles {
            self.titles.resize(items.rows(), String::new());
        }
        Dataset {
            name,
            user_features: both(self.user_columns, self.user_table, users.rows()),
            item_features: both(self.item_columns, self.item_table, items.rows()),
            event_features: Features { columns: event_columns },
            users,
            items,
            event_item,
            event_time,
            time_is_order,
            event_part,
            user_start,
            titles: self.titles,
            catalogue,
            offered,
            rank_all: false,
            item_release,
            event_weight: gather(self.weight, &order),
            sources: self.sources,
            event_source: gather(self.source, &order),
            exposed,
            searches: None,
            left_out: self.left_out,
            notes,
        }
    }
}

/// `values` in the order `order`; an empty vector stays empty.
pub(crate) fn gather<T: Copy>(values: Vec<T>, order: &[u32]) -> Vec<T> {
    if values.is_empty() {
        return values;
    }
    order.iter().map(|&event| values[event as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Items of one user's events, (part, time) each, in the order of the data; item n is event n of the input.
    fn order(parts: bool, times: bool, events: &[(u8, i64)]) -> Vec<u32> {
        let mut builder = Builder::default();
        let user = builder.users.text("u");
        for (i, (part, time)) in events.iter().enumerate() {
            let item = builder.items.text(&format!("i{i}"));
            builder.user.push(user);
            builder.item.push(item);
            parts.then(|| builder.part.push(*part));
            times.then(|| builder.time.push(*time));
        }
        let first = builder.item[0];
        builder.finish("d".into(), false).event_item.iter().map(|item| item - first).collect()
    }

    #[test]
    fn a_users_events_go_by_part_then_time_then_place_in_the_input() {
        // More events than an insertion sort takes, with many ties.
        let events: Vec<(u8, i64)> = (0..200).map(|i| ((i * 7 % 3) as u8, i * 13 % 5)).collect();
        for (parts, times) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut want: Vec<u32> = (0..200).collect();
            let key = |i: &u32| {
                let (part, time) = events[*i as usize];
                (if parts { part } else { 0 }, if times { time } else { 0 })
            };
            want.sort_by_key(key);
            assert_eq!(order(parts, times, &events), want, "parts {parts}, times {times}");
        }
    }
}
