//! Columns that tell the target: a function of its item, of its time, or of its being the last.

use std::hash::Hash;

use super::columns::words;
use super::explained::{FUNCTION, MORE, apart, explained};
use super::{Finding, Severity};
use crate::{Column, Dataset, EvalCase, Split};

const ITEM: &str = "feature_of_target_item";
pub(super) const TIME: &str = "feature_of_target_time";
const LAST: &str = "feature_of_last_event";
/// Distance of the last events' values from those before them, from which a column says which event is the last.
const FLAG: f64 = 0.5;
/// Users below which nothing is said about their last events.
const FEW: usize = 20;

/// Event and user columns that are a function of the target's item, noise allowed.
pub(super) fn of_item(data: &Dataset, split: &Split) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, column) in &data.event_features.columns {
        let values = words(column);
        let user = explained(&events(data, &values, |event| u64::from(data.user_of(event))));
        let item = explained(&events(data, &values, |event| u64::from(data.event_item[event])));
        let what =
            "percent of the column follow from the item of the event that is predicted: nobody knows it at the request";
        findings.push(function(ITEM, item, user, what).about(name));
    }
    let item = |event: u32| data.event_item[event as usize];
    for (name, column) in &data.user_features.columns {
        let [target, earlier] = of_users(split, &words(column), item);
        let what = "percent of the column follow from the item that the user is tested on, and less from earlier ones";
        findings.push(function(ITEM, target, earlier, what).about(name));
    }
    if findings.is_empty() {
        findings.push(Finding::new(ITEM, Severity::Clean, 0, 0, "there is no column of the event or of the user"));
    }
    findings
}

/// What a time is taken by: its name and the key.
type Unit = (&'static str, fn(i64) -> i64);

const UNITS: [Unit; 5] = [
    ("hour of the day", |time| time.div_euclid(3_600).rem_euclid(24)),
    ("day of the week", |time| time.div_euclid(86_400).rem_euclid(7)),
    ("hour", |time| time.div_euclid(3_600)),
    ("day", |time| time.div_euclid(86_400)),
    ("month", |time| time.div_euclid(2_629_746)),
];

/// Event and user columns that are a function of the time of the target, noise allowed. Columns of `told` were found already.
pub(super) fn of_time(data: &Dataset, split: &Split, told: &[String]) -> Vec<Finding> {
    if !data.has_clock() {
        return Vec::new();
    }
    let worst = |of: &dyn Fn(Unit) -> Finding| UNITS.into_iter().map(of).max_by_key(|f| (f.severity as u8, f.count));
    let mut findings = Vec::new();
    for (name, column) in data.event_features.columns.iter().filter(|(name, _)| !told.contains(name)) {
        let values = words(column);
        let user = explained(&events(data, &values, |event| u64::from(data.user_of(event))));
        let of = |(unit, key): Unit| {
            let share = explained(&events(data, &values, |event| key(data.time(event))));
            let what = format!("percent of the column follow from the {unit} of the event that is predicted");
            function(TIME, share, user, &what).about(name)
        };
        findings.extend(worst(&of));
    }
    for (name, column) in &data.user_features.columns {
        let values = words(column);
        let of = |(unit, key): Unit| {
            let [target, earlier] = of_users(split, &values, |event| key(data.time(event as usize)));
            let what = format!(
                "percent of the column follow from the {unit} at which the user is tested, and less from earlier ones"
            );
            function(TIME, target, earlier, &what).about(name)
        };
        findings.extend(worst(&of));
    }
    findings
}

/// How much of a user column a key of the target explains, and how much the same key of an event in the middle of the train part:
/// of validation and of test the worse.
fn of_users<K: Hash + Eq + Copy>(split: &Split, values: &[Option<u64>], key: impl Fn(u32) -> K) -> [f64; 2] {
    let of = |cases: &[EvalCase]| {
        let rows = |event: &dyn Fn(&EvalCase) -> Option<u32>| {
            let row = |case: &EvalCase| Some((key(event(case)?), values.get(case.user as usize).copied()??));
            explained(&cases.iter().filter_map(row).collect::<Vec<_>>())
        };
        [rows(&|case| case.targets.first().copied()), rows(&|case| case.train.clone().nth(case.train.len() / 2))]
    };
    let [valid, test] = [&split.valid, &split.test].map(|cases| of(cases));
    if valid[0] - valid[1] > test[0] - test[1] { valid } else { test }
}

/// Event columns whose values at users' last events are others than at the events before: a flag of the last one.
pub(super) fn of_last(data: &Dataset) -> Vec<Finding> {
    let finding = |(name, column): &(String, Column)| {
        let values = words(column);
        let last = |user: u32| {
            let events = data.events_of(user);
            let [last, before] = [1, 2].map(|back| events.end.checked_sub(back).filter(|event| *event >= events.start));
            // A missing value is a value here: a flag may stand at the last event alone.
            Some([last?, before?].map(|event| values[event].unwrap_or(u64::MAX)))
        };
        let pairs: Vec<[u64; 2]> = (1..data.users.rows() as u32).filter_map(last).collect();
        let share = if pairs.len() < FEW { 0.0 } else { apart(&pairs) };
        let severity = if share >= FLAG { Severity::Leak } else { Severity::Clean };
        let what = "percent of users' last events have values that the events before them have not: the column says which is last";
        Finding::new(LAST, severity, percent(share), 100, what).about(name)
    };
    let findings: Vec<Finding> = data.event_features.columns.iter().map(finding).collect();
    match findings.is_empty() {
        true => vec![Finding::new(LAST, Severity::Clean, 0, 0, "there is no column of the event")],
        false => findings,
    }
}

/// (key, value) of the events that have a value.
fn events<K>(data: &Dataset, values: &[Option<u64>], key: impl Fn(usize) -> K) -> Vec<(K, u64)> {
    (0..data.event_item.len()).filter_map(|event| Some((key(event), values[event]?))).collect()
}

fn function(check: &'static str, share: f64, harmless: f64, what: &str) -> Finding {
    let leak = share >= FUNCTION && share >= harmless + MORE;
    Finding::new(check, if leak { Severity::Leak } else { Severity::Clean }, percent(share), 100, what)
}

fn percent(share: f64) -> u64 {
    (100.0 * share.max(0.0)).round() as u64
}
