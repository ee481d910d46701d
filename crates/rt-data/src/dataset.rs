//! The data in memory: events, vocabularies, features.

use crate::{Exposed, Searches, Times, Vocab};

/// One feature of users, items or events; row `r` belongs to dense id `r` (or event `r`), and row 0 of
/// users and items is "unknown": category 0, an empty bag, number 0.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// One category a row.
    Category {
        /// The categories; dense id 0 is unknown.
        vocab: Vocab,
        /// Dense category of each row.
        values: Vec<u32>,
    },
    /// Several categories a row (genres).
    Bag {
        /// The categories.
        vocab: Vocab,
        /// `values[offsets[r] .. offsets[r + 1]]` are row r's.
        offsets: Vec<u32>,
        /// Dense categories.
        values: Vec<u32>,
    },
    /// A number a row, as read (not standardised); NaN from row 1 on where it is missing.
    Number {
        /// One a row.
        values: Vec<f32>,
    },
}

impl Column {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            Self::Category { values, .. } => values.len(),
            Self::Bag { offsets, .. } => offsets.len().saturating_sub(1),
            Self::Number { values } => values.len(),
        }
    }
}

/// Named columns, all with the same number of rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Features {
    /// (name, column), in the order of the file.
    pub columns: Vec<(String, Column)>,
}

impl Features {
    /// These rows alone, in this order. Row 0, who is not known, has no number.
    #[must_use]
    pub fn rows_of(&self, rows: &[u32]) -> Self {
        let one = |(name, column): &(String, Column)| {
            let mut column = crate::columns::permuted(column.clone(), rows);
            if let Column::Number { values } = &mut column {
                values.iter_mut().zip(rows).filter(|(_, row)| **row == 0).for_each(|(value, _)| *value = f32::NAN);
            }
            (name.clone(), column)
        };
        Self { columns: self.columns.iter().map(one).collect() }
    }
}

/// Everything that was read.
#[derive(Debug, Clone, Default)]
pub struct Dataset {
    /// What it is called in tables: the last part of the path, or `synthetic`.
    pub name: String,
    /// Users: those with events, in the order of first appearance, then those of the user file without.
    pub users: Vocab,
    /// Items: those with events, then those of the item file without.
    pub items: Vocab,
    /// Dense item of each event. Events are sorted by (user, part, time, order in the input); `part` (train,
    /// valid, test) counts only where three files were given.
    pub event_item: Vec<u32>,
    /// Time of each event in seconds (any origin); empty where the data has none.
    pub event_time: Times,
    /// True if `event_time` is only a position in the order, not a clock (no time split, no ties to report).
    pub time_is_order: bool,
    /// 0 = train, 1 = valid, 2 = test of each event where three files were given; else empty.
    pub event_part: Vec<u8>,
    /// Events of user u are `user_start[u] .. user_start[u + 1]`; `users.rows() + 1` long; user 0 has none.
    pub user_start: Vec<u32>,
    /// Columns by dense user id.
    pub user_features: Features,
    /// Columns by dense item id.
    pub item_features: Features,
    /// Columns by event (context known at request time, such as a device); often none.
    pub event_features: Features,
    /// Title by dense item id; empty where the data has none.
    pub titles: Vec<String>,
    /// Dense items with an interaction anywhere in the data, ascending: what is ranked in evaluation, and what training knows.
    pub catalogue: Vec<u32>,
    /// Dense items that may be recommended, ascending: those of the catalogue and those of a table of items beside the log. Empty
    /// where there is no such table: then those of the catalogue.
    pub offered: Vec<u32>,
    /// Evaluation ranks all items that may be recommended ([`Dataset::rank_all_items`]).
    pub rank_all: bool,
    /// Seconds at which each dense item was released, where a table of items says it; else empty.
    pub item_release: Vec<Option<i64>>,
    /// Weight of each event's example in the loss, at least 0; empty where the data has none.
    pub event_weight: Vec<f32>,
    /// Where interactions came from; empty where the data does not say.
    pub sources: Vocab,
    /// Dense source of each event, or empty.
    pub event_source: Vec<u32>,
    /// What was shown and not clicked, where the data has a label column.
    pub exposed: Option<Exposed>,
    /// What users searched for, where that was read ([`crate::read_searches`]); its users are those of `users`.
    pub searches: Option<Searches>,
    /// Rows that were read and are no positives: they stand in no history, target, count or catalogue.
    pub left_out: LeftOut,
    /// What the reader noticed and a person should know, a line each: units of times that were converted, ids that are missing,
    /// files without a header.
    pub notes: Vec<String>,
}

/// How many rows were left out, by the reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// With label 0: shown and not clicked.
    pub label: u64,
    /// Rated too low.
    pub rating: u64,
    /// Looked at for too short a time.
    pub dwell: u64,
    /// Without a user's or an item's id.
    pub missing: u64,
}

impl LeftOut {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.label + self.rating + self.dwell + self.missing
    }
}

impl Dataset {
    /// Events of a user, as a range of the event arrays.
    #[must_use]
    pub fn events_of(&self, user: u32) -> std::ops::Range<usize> {
        self.user_start[user as usize] as usize..self.user_start[user as usize + 1] as usize
    }

    /// Items that may be recommended.
    #[must_use]
    pub fn offered(&self) -> &[u32] {
        if self.offered.is_empty() { &self.catalogue } else { &self.offered }
    }

    /// Items that evaluation ranks.
    #[must_use]
    pub fn ranked(&self) -> &[u32] {
        if self.rank_all { self.offered() } else { &self.catalogue }
    }

    /// From now on evaluation ranks all items, those of item files without an interaction too, and all may be recommended.
    pub fn rank_all_items(&mut self) {
        self.rank_all = true;
        if self.offered.is_empty() {
            self.offered = (1..self.items.rows() as u32).collect();
        }
    }

    /// Dense user of an event: the one whose range holds it. Finds it by halves, because a number an event would cost as
    /// much as the items themselves.
    #[must_use]
    pub fn user_of(&self, event: usize) -> u32 {
        self.user_start.partition_point(|&start| start as usize <= event).saturating_sub(1) as u32
    }

    /// Time of an event in seconds, where the data has times; 0 where it has none.
    #[must_use]
    pub fn time(&self, event: usize) -> i64 {
        self.event_time.get(event).unwrap_or(0)
    }

    /// Are the events' times those of a clock, and not only their order?
    #[must_use]
    pub fn has_clock(&self) -> bool {
        !self.event_time.is_empty() && !self.time_is_order
    }

    /// Seconds of events by the clock; empty where the data has no clock times.
    #[must_use]
    pub fn clock_times(&self, events: std::ops::Range<usize>) -> Vec<i64> {
        if self.has_clock() { events.map(|event| self.time(event)).collect() } else { Vec::new() }
    }

    /// Bytes of what is held for every event: item, time, part, weight, source and explicit negatives; features and what
    /// is held for users and items do not count.
    #[must_use]
    pub fn event_bytes(&self) -> usize {
        let exposed = self.exposed.as_ref().map_or(0, |exposed| 4 * exposed.items.len() + 8 * exposed.spans.len());
        let words = self.event_item.len() + self.event_weight.len() + self.event_source.len();
        4 * words + self.event_time.bytes() + self.event_part.len() + exposed
    }

    /// The data without those events for which `keep` is false. Users, items and the catalogue stay as they are.
    ///
    /// # Panics
    ///
    /// If there are not as many marks as events.
    #[must_use]
    pub fn keep_events(&self, keep: &[bool]) -> Self {
        assert_eq!(keep.len(), self.event_item.len(), "one mark an event");
        let order: Vec<u32> = (0..keep.len() as u32).filter(|&event| keep[event as usize]).collect();
        let before = |start: &u32| order.partition_point(|event| event < start) as u32;
        let gather = |values: &Vec<u32>| crate::builder::gather(values.clone(), &order);
        let exposed = self.exposed.as_ref().map(|exposed| Exposed {
            items: exposed.items.clone(),
            spans: crate::builder::gather(exposed.spans.clone(), &order),
        });
        let columns = self.event_features.columns.iter();
        let columns = columns.map(|(name, column)| (name.clone(), crate::columns::permuted(column.clone(), &order)));
        Self {
            event_item: gather(&self.event_item),
            event_time: self.event_time.clone().permuted(&order),
            event_part: crate::builder::gather(self.event_part.clone(), &order),
            user_start: self.user_start.iter().map(before).collect(),
            event_features: Features { columns: columns.collect() },
            event_weight: crate::builder::gather(self.event_weight.clone(), &order),
            event_source: gather(&self.event_source),
            exposed,
            ..self.clone()
        }
    }

    /// First event of a user and the one past the last, as the numbers that splits hold.
    pub(crate) fn event_span(&self, user: u32) -> (u32, u32) {
        (self.user_start[user as usize], self.user_start[user as usize + 1])
    }

    /// Title of an item, or its raw id where the data has no titles.
    #[must_use]
    pub fn title(&self, item: u32) -> &str {
        match self.titles.get(item as usize) {
            Some(title) if !title.is_empty() => title,
            _ => self.items.raw(item),
        }
    }
}
