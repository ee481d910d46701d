//! What people do to logs: lines in the order of items, one person under two ids, an event written twice.

use std::collections::HashMap;

use super::{Finding, Severity, cases};
use crate::{Dataset, Split};

/// Seconds within which the same user and item are one event that was logged twice.
const MINUTES: i64 = 600;
/// Share of targets from which these decide the figures.
const MANY: f64 = 0.05;
/// Pairs of neighbours of one second below which their order says nothing.
const FEW: u64 = 30;
/// Share of them in ascending order that no chance gives.
const SORTED: f64 = 0.95;
/// Users with the same event that are compared with each other: where more have it, it is an event of many.
const CROWD: usize = 8;

/// Targets whose item the user already had a few minutes before the cut.
pub(super) fn repeats_across_the_cut(data: &Dataset, split: &Split) -> Finding {
    let check = "repeat_across_cut";
    if !data.has_clock() {
        return Finding::new(check, Severity::Note, 0, 0, "the data has no clock: nobody can say how long ago it was");
    }
    let (mut count, mut of) = (0u64, 0u64);
    for case in cases(split) {
        for &target in &case.targets {
            of += 1;
            let (item, time) = (data.event_item[target as usize], data.time(target as usize));
            let near =
                |event: &u32| data.event_item[*event as usize] == item && time - data.time(*event as usize) <= MINUTES;
            // The history ascends in time: the near ones are its last.
            let recent = case.history.clone().rev().take_while(|event| time - data.time(*event as usize) <= MINUTES);
            count += u64::from({ recent }.any(|event| near(&event)));
        }
    }
    let severity = match count {
        0 => Severity::Clean,
        _ if count as f64 >= MANY * of as f64 => Severity::Leak,
        _ => Severity::Note,
    };
    let what = "targets whose user had the same item within ten minutes before: one event that was logged twice";
    Finding::new(check, severity, count, of, what)
}

/// Are events of the same user and second sorted by item? If so, the last of them, which is tested, always has the largest id.
pub(super) fn order_of_lines(data: &Dataset) -> Finding {
    let check = "lines_sorted_by_item";
    if !data.has_clock() {
        return Finding::new(check, Severity::Clean, 0, 0, "the data has no clock, so no events of one second");
    }
    let (mut up, mut down) = (0u64, 0u64);
    let (mut last_tied, mut users) = (0u64, 0u64);
    for user in 1..data.users.rows() as u32 {
        let events = data.events_of(user);
        users += 1;
        for event in events.start + 1..events.end {
            if data.time(event) == data.time(event - 1) {
                last_tied += u64::from(event + 1 == events.end);
                match compare(data.items.raw(data.event_item[event - 1]), data.items.raw(data.event_item[event])) {
                    std::cmp::Ordering::Less => up += 1,
                    std::cmp::Ordering::Greater => down += 1,
                    std::cmp::Ordering::Equal => {}
                }
            }
        }
    }
    let (most, of) = (up.max(down), up + down);
    let sorted = of >= FEW && most as f64 >= SORTED * of as f64;
    let severity = match sorted {
        false => Severity::Clean,
        true if last_tied as f64 >= MANY * users as f64 => Severity::Leak,
        true => Severity::Note,
    };
    let what = "neighbouring events of one user and second stand in the order of their items' ids: of these the last, which is \
                tested, is told by its id; shuffle the lines of a second, or take finer times";
    Finding::new(check, severity, most, of, what)
}

/// Ids as numbers where both are, else as text.
fn compare(a: &str, b: &str) -> std::cmp::Ordering {
    match (a.parse::<i64>(), b.parse::<i64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => a.cmp(b),
    }
}

/// Users who share most of their events, to the second, with another user; and ids that differ in writing alone.
pub(super) fn one_person(data: &Dataset) -> Vec<Finding> {
    let of = (data.users.rows() - 1) as u64;
    let twins = if data.has_clock() { twins_by_time(data) } else { twins_by_order(data) };
    let severity = |count: u64| match count {
        0 => Severity::Clean,
        _ if count as f64 >= MANY * of as f64 => Severity::Leak,
        _ => Severity::Note,
    };
    let same = "users who share at least half of their events with another one: a person under two ids, whose test event the other \
                one trains on";
    let mut written: HashMap<String, u64> = HashMap::new();
    for raw in data.users.iter() {
        *written.entry(plain(raw)).or_default() += 1;
    }
    let alike: u64 = written.values().filter(|count| **count > 1).sum();
    let note = if alike == 0 { Severity::Clean } else { Severity::Note };
    let what = "users whose ids are those of others but for case, blanks or leading zeros";
    vec![
        Finding::new("one_person_two_ids", severity(twins), twins, of, same),
        Finding::new("ids_written_alike", note, alike, of, what),
    ]
}

fn plain(raw: &str) -> String {
    let text: String = raw.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
    let digits = text.strip_suffix(".0").unwrap_or(&text).trim_start_matches('0');
    if digits.is_empty() { "0".into() } else { digits.into() }
}

/// Users with at least three events, and half of all of theirs, at the same item and second as one other user.
fn twins_by_time(data: &Dataset) -> u64 {
    let mut together: Vec<(u32, i64, u32)> = Vec::with_capacity(data.event_item.len());
    for user in 1..data.users.rows() as u32 {
        together.extend(data.events_of(user).map(|event| (data.event_item[event], data.time(event), user)));
    }
    together.sort_unstable();
    together.dedup();
    let mut shared: HashMap<(u32, u32), u32> = HashMap::new();
    for group in together.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).filter(|group| (2..=CROWD).contains(&group.len())) {
        for (i, a) in group.iter().enumerate() {
            for b in &group[..i] {
                *shared.entry((b.2, a.2)).or_default() += 1;
            }
        }
    }
    let mut twins = vec![false; data.users.rows()];
    for ((a, b), count) in shared {
        for user in [a, b] {
            let half = data.events_of(user).len().div_ceil(2).max(3);
            twins[user as usize] |= count as usize >= half;
        }
    }
    twins.iter().filter(|twin| **twin).count() as u64
}

/// Users with at least five events whose items are those of another user in the same order.
fn twins_by_order(data: &Dataset) -> u64 {
    let mut lists: HashMap<&[u32], u64> = HashMap::new();
    for user in 1..data.users.rows() as u32 {
        let items = &data.event_item[data.events_of(user)];
        if items.len() >= 5 {
            *lists.entry(items).or_default() += 1;
        }
    }
    lists.values().filter(|count| **count > 1).sum()
}
