//! Global time split: train < t1 <= valid < t2 <= test, so that equal times never straddle a cut.

use super::{EvalCase, Split, SplitKind, Targets};
use crate::{Dataset, Error, Result};

pub(super) fn split(data: &Dataset, train: f64, valid: f64, targets: Targets) -> Result<Split> {
    let kind = SplitKind::Time { train, valid };
    let fail = |what: &str| Error::Request(format!("split `{kind}` of {}: {what}", data.name));
    if data.event_time.is_empty() {
        return Err(fail("there is no time column"));
    }
    if data.time_is_order {
        return Err(fail("the times are only places in each user's order, not a clock; take `leave-last-out`"));
    }
    let mut times: Vec<i64> = data.event_time.iter().collect();
    times.sort_unstable();
    // Interaction number ceil(share n), counted from 1; the slack undoes rounding such as 0.2 + 0.1 > 0.3.
    let number = |share: f64| (share * times.len() as f64 - 1e-6).ceil().clamp(1.0, times.len() as f64) as usize;
    let (t1, t2) = (times[number(train) - 1], times[number(train + valid) - 1]);
    if times[0] >= t1 {
        return Err(fail("no interaction is earlier than the first cut"));
    }

    let mut split = Split::empty(kind, data.users.rows());
    for user in 0..data.users.rows() as u32 {
        let (start, end) = data.event_span(user);
        let before = |time: i64| {
            let (mut low, mut high) = (start, end);
            while low < high {
                let middle = low + (high - low) / 2;
                if data.time(middle as usize) < time { low = middle + 1 } else { high = middle }
            }
            low
        };
        let (valid_start, test_start) = (before(t1), before(t2));
        split.train_end[user as usize] = valid_start;
        split.examples.push((start + 1).min(valid_start)..valid_start);
        let cases = |first: u32, end: u32| {
            let last = match targets {
                Targets::First => end.min(first + 1),
                Targets::All => end,
            };
            (first..last).map(move |target| EvalCase {
                user,
                history: start..before(data.time(target as usize)),
                train: start..valid_start,
                targets: vec![target],
            })
        };
        split.valid.extend(cases(valid_start, test_start));
        split.test.extend(cases(test_start, end));
    }
    Ok(split)
}
