//! What would make a test worth nothing: looked for in the data and its split, before anything is trained.

mod columns;
mod explained;
mod people;
mod targets;

use std::collections::HashSet;

use crate::{Dataset, Split};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing was found.
    Clean,
    /// Worth knowing; figures stay figures, if it is said beside them.
    Note,
    /// It invalidates the test.
    Leak,
}

/// One thing that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked for: `future_in_history`, `ties_in_history`, `duplicates_across_parts`, `statistics_over_test`,
    /// `feature_of_target_time`, `feature_of_target_item`, `feature_of_last_event`, `repeat_across_cut`,
    /// `lines_sorted_by_item`, `one_person_two_ids`, `ids_written_alike`, `others_future`, and where there are searches
    /// `searches_of_target_second` and `searches_after_history`.
    pub check: &'static str,
    /// The feature column, where it is about one.
    pub column: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// How many there are, and of how many.
    pub count: u64,
    /// See `count`.
    pub of: u64,
    /// What it means, in words.
    pub what: String,
}

impl Finding {
    fn new(check: &'static str, severity: Severity, count: u64, of: u64, what: impl Into<String>) -> Self {
        Self { check, column: None, severity, count, of, what: what.into() }
    }

    fn about(self, column: &str) -> Self {
        Self { column: Some(column.to_owned()), ..self }
    }
}

/// Looks for leaks: histories that hold the future, the same event on both sides of a cut, feature columns that count test
/// events or follow from the item, the time or the place of the event that is predicted, lines sorted by item, one person under
/// two ids, and how much of others' future the training sees. Every check gives at least one finding, a clean one too. Takes some
/// passes over the events and a sort of them. `docs/data.md` says what each finds and what it cannot.
#[must_use]
pub fn audit(data: &Dataset, split: &Split) -> Vec<Finding> {
    let mut findings = histories(data, split);
    findings.push(duplicates(data, split));
    findings.extend(columns::statistics(data, split));
    findings.extend(columns::of_time(data));
    let leaks = findings.iter().filter(|finding| finding.check == targets::TIME && finding.severity == Severity::Leak);
    let told: Vec<String> = leaks.filter_map(|finding| finding.column.clone()).collect();
    findings.extend(targets::of_time(data, split, &told));
    findings.extend(targets::of_item(data, split));
    findings.extend(targets::of_last(data));
    findings.push(people::repeats_across_the_cut(data, split));
    findings.push(people::order_of_lines(data));
    findings.extend(people::one_person(data));
    findings.push(others_future(split));
    findings.extend(searches(data, split));
    findings
}

fn cases(split: &Split) -> impl Iterator<Item = &crate::EvalCase> {
    split.valid.iter().chain(&split.test)
}

/// Events of a history that are not strictly before the target, equal times apart.
fn histories(data: &Dataset, split: &Split) -> Vec<Finding> {
    let (future, ties) = ("future_in_history", "ties_in_history");
    if data.event_time.is_empty() || data.time_is_order {
        let what = "the data has no clock: nobody can say what came first";
        return [future, ties].map(|check| Finding::new(check, Severity::Note, 0, 0, what)).into();
    }
    let (mut later, mut tied, mut targets) = (0, 0, 0);
    for case in cases(split) {
        for &target in &case.targets {
            targets += 1;
            let time = data.time(target as usize);
            let mut history = case.history.clone().map(|event| data.time(event as usize));
            later += u64::from(history.clone().any(|earlier| earlier > time));
            tied += u64::from(history.any(|earlier| earlier == time));
        }
    }
    let severity = |count: u64, bad: Severity| if count == 0 { Severity::Clean } else { bad };
    vec![
        Finding::new(
            future,
            severity(later, Severity::Leak),
            later,
            targets,
            "targets whose history holds a later event of the user",
        ),
        Finding::new(
            ties,
            severity(tied, Severity::Note),
            tied,
            targets,
            "targets whose history holds an event of the same second, which the table splits off as tied",
        ),
    ]
}

/// Targets whose (user, item, time) also stands in the train part or among the targets of the other part.
fn duplicates(data: &Dataset, split: &Split) -> Finding {
    let check = "duplicates_across_parts";
    if data.time_is_order {
        return Finding::new(check, Severity::Note, 0, 0, "times are places in the order: no two events have the same");
    }
    let key = |user: u32, event: u32| (user, data.event_item[event as usize], data.time(event as usize));
    let valid: HashSet<(u32, u32, i64)> =
        split.valid.iter().flat_map(|case| case.targets.iter().map(|&target| key(case.user, target))).collect();
    let (mut count, mut of) = (0, 0);
    for (test, cases) in [(false, &split.valid), (true, &split.test)] {
        for case in cases {
            let train: HashSet<(u32, u32, i64)> = case.train.clone().map(|event| key(case.user, event)).collect();
            for &target in &case.targets {
                of += 1;
                let own = key(case.user, target);
                count += u64::from(train.contains(&own) || test && valid.contains(&own));
            }
        }
    }
    let what = if data.event_time.is_empty() {
        "targets whose user and item stand in another part too (there is no time to tell them apart)"
    } else {
        "targets whose user, item and time stand in another part too"
    };
    Finding::new(check, if count == 0 { Severity::Clean } else { Severity::Leak }, count, of, what)
}

/// How much of the training data is later than the test events. It is no error of the data, and is printed beside tables.
fn others_future(split: &Split) -> Finding {
    let check = "others_future";
    match split.train_after_test {
        None => Finding::new(check, Severity::Note, 0, 0, "the data has no clock: nobody can say what is later"),
        Some(share) => {
            let severity = if share > 0.0 { Severity::Note } else { Severity::Clean };
            let percent = (100.0 * share).round() as u64;
            let what = "percent of the training events are later than a test event (mean); a time split has none";
            Finding::new(check, severity, percent, 100, what)
        }
    }
}

/// Searches around the targets. What a model reads ends with the last event of the history, so that nothing of the target's time
/// is in it; where both are of one second, a search of that second may have come between them. Searches after that are what a
/// server would know and the protocol hides.
fn searches(data: &Dataset, split: &Split) -> Vec<Finding> {
    let Some(searches) = &data.searches else { return Vec::new() };
    let (mut same_second, mut hidden, mut targets) = (0, 0, 0);
    for case in cases(split) {
        for &target in &case.targets {
            targets += 1;
            let time = data.time(target as usize);
            let known = case
                .history
                .clone()
                .next_back()
                .map_or(0, |last| searches.until(case.user, data.time(last as usize)).len());
            let before = searches.before(case.user, time).len();
            same_second += u64::from(known > before);
            hidden += u64::from(known < before);
        }
    }
    let severity = |count: u64| if count == 0 { Severity::Clean } else { Severity::Note };
    vec![
        Finding::new(
            "searches_of_target_second",
            severity(same_second),
            same_second,
            targets,
            "targets of the second of the event before, in which there was a search too: it is read, and may have led there",
        ),
        Finding::new(
            "searches_after_history",
            severity(hidden),
            hidden,
            targets,
            "targets with a search between the last event and theirs, which is not read (--request-time exact does)",
        ),
    ]
}
