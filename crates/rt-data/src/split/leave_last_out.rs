//! Leave-last-out: the last event of a user is the test target, the one before the validation target.

use super::{EvalCase, Split, SplitKind};
use crate::{Dataset, Error, Result};

pub(super) fn split(data: &Dataset) -> Result<Split> {
    if data.event_time.is_empty() {
        return Err(Error::Request(format!(
            "split `leave-last-out` of {}: there is no time column, so no event is the last; say that the lines are in \
             order (`--order input`) or give three files",
            data.name
        )));
    }
    let mut split = Split::empty(SplitKind::LeaveLastOut, data.users.rows());
    for user in 0..data.users.rows() as u32 {
        let (start, end) = data.event_span(user);
        let tested = end - start >= 3;
        let train_end = if tested { end - 2 } else { end };
        split.train_end[user as usize] = train_end;
        split.examples.push((start + 1).min(train_end)..train_end);
        if tested {
            let case =
                |target| EvalCase { user, history: start..target, train: start..train_end, targets: vec![target] };
            split.valid.push(case(end - 2));
            split.test.push(case(end - 1));
        }
    }
    Ok(split)
}
