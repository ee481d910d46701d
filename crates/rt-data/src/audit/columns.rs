//! Feature columns that were made from what a test must not know.

use std::collections::HashMap;

use super::{Finding, Severity};
use crate::{Column, Dataset, Features, Split};

/// Share of rows that have to equal a count for the column to be that count.
const SAME: f64 = 0.95;
/// Rank correlation with a count from which a column is a function of it (a logarithm, a share).
const MONOTONE: f64 = 0.9999;
/// Groups that would disagree by chance, from which their agreement is no chance.
const EVIDENCE: f64 = 20.0;

/// Item and user columns that count events over all the data, where train counts differ.
pub(super) fn statistics(data: &Dataset, split: &Split) -> Vec<Finding> {
    let train_of_items: Vec<f64> = split.item_counts(data).into_iter().map(f64::from).collect();
    let mut all_of_items = vec![0.0; data.items.rows()];
    for &item in &data.event_item {
        all_of_items[item as usize] += 1.0;
    }
    let users = 0..data.users.rows() as u32;
    let train_of_users: Vec<f64> = users.clone().map(|user| split.train_events(data, user).len() as f64).collect();
    let all_of_users: Vec<f64> = users.map(|user| data.events_of(user).len() as f64).collect();

    let mut findings = Vec::new();
    for (side, features, all, train) in [
        ("item", &data.item_features, &all_of_items, &train_of_items),
        ("user", &data.user_features, &all_of_users, &train_of_users),
    ] {
        for (name, values) in numbers(features) {
            findings.push(counted(side, all, train, &values).about(&name));
        }
    }
    if findings.is_empty() {
        let what = "there is no column of numbers that could hold a statistic";
        findings.push(Finding::new("statistics_over_test", Severity::Clean, 0, 0, what));
    }
    findings
}

/// Columns of numbers, and categories that all read as numbers; NaN where a row has none.
fn numbers(features: &Features) -> Vec<(String, Vec<f64>)> {
    let column = |(name, column): &(String, Column)| match column {
        Column::Number { values } => Some((name.clone(), values.iter().map(|&value| f64::from(value)).collect())),
        Column::Category { vocab, values } => {
            let read: Option<Vec<f64>> =
                vocab.iter().map(|raw| raw.parse().ok().filter(|x: &f64| x.is_finite())).collect();
            let read = read.filter(|read| !read.is_empty())?;
            let value = |&id: &u32| if id == 0 { f64::NAN } else { read[id as usize - 1] };
            Some((name.clone(), values.iter().map(value).collect()))
        }
        Column::Bag { .. } => None,
    };
    features.columns.iter().filter_map(column).collect()
}

fn counted(side: &str, all: &[f64], train: &[f64], values: &[f64]) -> Finding {
    let known = |&row: &usize| all[row] > 0.0 && !values[row].is_nan();
    let rows: Vec<usize> = (1..all.len().min(values.len())).filter(known).collect();
    let pick = |from: &[f64]| -> Vec<f64> { rows.iter().map(|&row| from[row]).collect() };
    let (all, train, values) = (pick(all), pick(train), pick(values));
    let equal = |counts: &[f64]| values.iter().zip(counts).filter(|(value, count)| value == count).count();
    let (with_all, with_train) = (equal(&all), equal(&train));
    let is_count = with_all as f64 >= SAME * rows.len() as f64 && with_all > with_train;
    let (ranks, of_all) = (ranks(&values), correlation_of(&values, &all));
    let is_function = of_all >= MONOTONE && of_all > correlation(&ranks, &self::ranks(&train)) + 1e-9;
    let sided = sides_with_all(&all, &train, &values);
    let leak = rows.len() >= 5 && (is_count || is_function || sided >= SIDED);
    let severity = if leak { Severity::Leak } else { Severity::Clean };
    let what = match (leak, is_count) {
        (true, true) => {
            format!("{side}s whose value is their count over all the data, test included: count the train part")
        }
        (true, false) => {
            format!("{side}s whose value grows with their count over all the data, test included: use the train part")
        }
        _ => format!("{side}s whose value is their count over all the data"),
    };
    Finding::new("statistics_over_test", severity, with_all as u64, rows.len() as u64, what)
}

/// Rows that are compared pair by pair, at most.
const PAIRS: usize = 2_000;
/// Share of the pairs that a column takes the side of the count over all data in, from which it was made of it: one that has
/// nothing to do with either takes half of them.
const SIDED: f64 = 0.8;
/// Rows that such pairs have to be of.
const ROWS: usize = 20;

/// Of the pairs of rows that the two counts do not put in the same order, and that the column tells apart: the share in which
/// it sides with the count over all data. It sees bins of a count and counts with noise, of which both correlations are high.
fn sides_with_all(all: &[f64], train: &[f64], values: &[f64]) -> f64 {
    let step = all.len().div_ceil(PAIRS).max(1);
    let rows: Vec<usize> = (0..all.len()).step_by(step).collect();
    let (mut with, mut of) = (0u64, 0u64);
    let mut told = vec![false; all.len()];
    for (i, &a) in rows.iter().enumerate() {
        for &b in &rows[..i] {
            let (high, low) = if all[a] > all[b] { (a, b) } else { (b, a) };
            if all[high] > all[low] && train[high] <= train[low] && values[high] != values[low] {
                of += 1;
                with += u64::from(values[high] > values[low]);
                (told[a], told[b]) = (true, true);
            }
        }
    }
    if told.iter().filter(|told| **told).count() < ROWS {
        return 0.0;
    }
    // A column that falls as the count grows is the same leak.
    let with = if correlation_of(all, values) < 0.0 { of - with } else { with };
    with as f64 / of as f64
}

/// Spearman's rank correlation.
fn correlation_of(a: &[f64], b: &[f64]) -> f64 {
    correlation(&ranks(a), &ranks(b))
}

/// Ranks; equal values share their mean.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    for group in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let below = order.partition_point(|&row| values[row] < values[group[0]]);
        for &row in group {
            ranks[row] = below as f64 + (group.len() - 1) as f64 / 2.0;
        }
    }
    ranks
}

/// Pearson's; 0 where one of both is constant.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len().max(1) as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        ab += (x - mean_a) * (y - mean_b);
        aa += (x - mean_a).powi(2);
        bb += (y - mean_b).powi(2);
    }
    if aa * bb > 0.0 { ab / (aa * bb).sqrt() } else { 0.0 }
}

/// Event columns that follow from the time of the event, which no server knows before it happens.
pub(super) fn of_time(data: &Dataset) -> Vec<Finding> {
    let check = "feature_of_target_time";
    if data.event_features.columns.is_empty() {
        return vec![Finding::new(check, Severity::Clean, 0, 0, "there is no column of the event")];
    }
    if data.event_time.is_empty() || data.time_is_order {
        return vec![Finding::new(check, Severity::Note, 0, 0, "the data has no clock to compare the columns with")];
    }
    let finding = |(name, column): &(String, Column)| {
        let values = exact(column);
        for (seconds, unit) in [(1, "second"), (60, "minute"), (3_600, "hour"), (86_400, "day")] {
            if let Some(groups) = constant_within(data, &values, seconds) {
                let what = format!(
                    "groups of events within the same {unit} that all have one value: the column is made from the time \
                     of the event that is predicted"
                );
                return Finding::new(check, Severity::Leak, groups, groups, what).about(name);
            }
        }
        let (count, of) = determines(data, &values);
        let leak = of >= EVIDENCE as u64 && count == of;
        let severity = if leak { Severity::Leak } else { Severity::Clean };
        let what = "values that stand at one second alone: they tell the time of the event that is predicted";
        Finding::new(check, severity, count, of, what).about(name)
    };
    data.event_features.columns.iter().map(finding).collect()
}

/// Numbers of one column that are taken for one value, at most: of more, as many quantiles stand for them.
const BINS: usize = 16;

/// A word for each row's value, numbers by quantile where there are many; `None` where it has none, which says nothing.
pub(super) fn words(column: &Column) -> Vec<Option<u64>> {
    match column {
        Column::Category { values, .. } => {
            values.iter().map(|&value| (value > 0).then_some(u64::from(value))).collect()
        }
        Column::Number { values } => {
            let mut known: Vec<f32> = values.iter().copied().filter(|value| !value.is_nan()).collect();
            known.sort_unstable_by(f32::total_cmp);
            let distinct = known.chunk_by(|a, b| a == b).count();
            let bin = |value: f32| match distinct <= BINS {
                true => u64::from(value.to_bits()),
                false => (known.partition_point(|other| *other < value) * BINS / known.len()) as u64,
            };
            values.iter().map(|value| (!value.is_nan()).then(|| bin(*value))).collect()
        }
        Column::Bag { offsets, values, .. } => {
            let mut known: HashMap<&[u32], u64> = HashMap::new();
            let lists = offsets.windows(2).map(|w| &values[w[0] as usize..w[1] as usize]);
            lists
                .map(|list| {
                    let next = known.len() as u64;
                    (!list.is_empty()).then_some(*known.entry(list).or_insert(next))
                })
                .collect()
        }
    }
}

/// The same with every number for itself.
fn exact(column: &Column) -> Vec<Option<u64>> {
    match column {
        Column::Number { values } => {
            values.iter().map(|value| (!value.is_nan()).then_some(u64::from(value.to_bits()))).collect()
        }
        Column::Category { .. } | Column::Bag { .. } => words(column),
    }
}

/// Number of groups of events of one time (in units of `seconds`) by more than one user, where the value is the same
/// within every one of them and by chance would not be; else `None`.
fn constant_within(data: &Dataset, values: &[Option<u64>], seconds: i64) -> Option<u64> {
    let mut counts: HashMap<u64, f64> = HashMap::new();
    values.iter().flatten().for_each(|&value| *counts.entry(value).or_default() += 1.0);
    let n = counts.values().sum::<f64>();
    let same: f64 = counts.values().map(|count| (count / n).powi(2)).sum();

    // Of each group the value and the user that came first, and whether another user came.
    let mut groups: HashMap<i64, (u64, u32, bool)> = HashMap::new();
    for user in 0..data.users.rows() as u32 {
        for event in data.events_of(user) {
            let Some(own) = values[event] else { continue };
            let group = data.time(event).div_euclid(seconds);
            let (value, first, shared) = groups.entry(group).or_insert((own, user, false));
            if *value != own {
                return None;
            }
            *shared |= *first != user;
        }
    }
    let shared = groups.values().filter(|group| group.2).count();
    (shared as f64 * (1.0 - same) >= EVIDENCE).then_some(shared as u64)
}

/// Values that occur at one second alone although they occur more than once, and values that occur more than once. A value
/// of its own for every event says nothing of the sort.
fn determines(data: &Dataset, values: &[Option<u64>]) -> (u64, u64) {
    let mut times: HashMap<u64, (i64, u64, bool)> = HashMap::new();
    for (event, value) in values.iter().enumerate().filter_map(|(event, value)| Some((event, (*value)?))) {
        let time = data.time(event);
        let seen = times.entry(value).or_insert((time, 0, true));
        seen.1 += 1;
        seen.2 &= seen.0 == time;
    }
    let repeated: Vec<_> = times.values().filter(|seen| seen.1 > 1).collect();
    (repeated.iter().filter(|seen| seen.2).count() as u64, repeated.len() as u64)
}
