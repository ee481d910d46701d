//! From events in the order of the files to a [`Dataset`]: sorting by (user, part, time, order in the input).

use crate::columns::{ColumnBuilder, ColumnSet, permuted};
use crate::ids::Ids;
use crate::{Dataset, Features};

/// Everything that readers collect. Events stand in the order of the input.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    pub(crate) users: Ids,
    pub(crate) items: Ids,
    pub(crate) user: Vec<u32>,
    pub(crate) item: Vec<u32>,
    /// As long as `user`, or empty where the input has no time.
    pub(crate) time: Vec<i64>,
    /// As long as `user`, or empty where one file was given.
    pub(crate) part: Vec<u8>,
    pub(crate) user_columns: ColumnSet,
    pub(crate) item_columns: ColumnSet,
    /// Row = number of the event in the input.
    pub(crate) event_columns: Vec<(String, ColumnBuilder)>,
    pub(crate) titles: Vec<String>,
    pub(crate) has_titles: bool,
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

    /// Sorts, gathers and seals. `order_input`: the lines are in order, times are places in it.
    pub(crate) fn finish(mut self, name: String, order_input: bool) -> Dataset {
        let users = self.users.vocab;
        let items = self.items.vocab;
        let count = self.user.len();
        if order_input {
            self.time.clear();
        }

        // Counting sort by user keeps the order of the input; then each user's events by (part, time), stable.
        let mut user_start = vec![0u32; users.rows() + 1];
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
        for user in 0..users.rows() {
            let own = &mut order[user_start[user] as usize..user_start[user + 1] as usize];
            match (part.is_empty(), time.is_empty()) {
                (true, true) => {}
                (true, false) => own.sort_by_key(|&event| time[event as usize]),
                (false, true) => own.sort_by_key(|&event| part[event as usize]),
                (false, false) => own.sort_by_key(|&event| (part[event as usize], time[event as usize])),
            }
        }

        let event_user = gather(self.user, &order);
        let event_item = gather(self.item, &order);
        let event_part = gather(self.part, &order);
        let mut event_time = gather(self.time, &order);
        if order_input {
            event_time = event_user
                .iter()
                .enumerate()
                .map(|(event, &user)| event as i64 - i64::from(user_start[user as usize]) + 1)
                .collect();
        }
        // Times that only count a user's events, as in the files of the sequence papers, are no clock.
        let time_is_order = !event_time.is_empty()
            && event_time
                .iter()
                .zip(&event_user)
                .enumerate()
                .all(|(event, (&time, &user))| time == event as i64 - i64::from(user_start[user as usize]) + 1);

        let mut has_events = vec![false; items.rows()];
        for &item in &event_item {
            has_events[item as usize] = true;
        }
        let catalogue = (0..items.rows() as u32).filter(|&item| has_events[item as usize]).collect();

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
            user_features: self.user_columns.finish(users.rows()),
            item_features: self.item_columns.finish(items.rows()),
            event_features: Features { columns: event_columns },
            users,
            items,
            event_item,
            event_user,
            event_time,
            time_is_order,
            event_part,
            user_start,
            titles: self.titles,
            catalogue,
        }
    }
}

/// `values` in the order `order`; an empty vector stays empty.
fn gather<T: Copy>(values: Vec<T>, order: &[u32]) -> Vec<T> {
    if values.is_empty() {
        return values;
    }
    order.iter().map(|&event| values[event as usize]).collect()
}
