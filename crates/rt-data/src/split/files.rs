//! Three given files: one case a user, several targets; without times a history is a set.

use super::{EvalCase, EvalHistory, Split, SplitKind};
use crate::Dataset;

pub(super) fn split(data: &Dataset, eval_history: EvalHistory) -> Split {
    let history_is_set = data.event_time.is_empty();
    let mut split = Split::empty(SplitKind::Files, data.users.rows());
    split.history_is_set = history_is_set;
    for user in 0..data.users.rows() as u32 {
        let (start, end) = data.event_span(user);
        let parts = &data.event_part[start as usize..end as usize];
        let train_end = start + parts.partition_point(|&part| part == 0) as u32;
        let valid_end = start + parts.partition_point(|&part| part <= 1) as u32;
        split.train_end[user as usize] = train_end;
        if train_end - start >= 2 {
            let first = if history_is_set { start } else { start + 1 };
            split.examples.push(first..train_end);
        }
        let case = |history_end, first, end| EvalCase {
            user,
            history: start..history_end,
            train: start..train_end,
            targets: (first..end).collect(),
        };
        if train_end < valid_end {
            split.valid.push(case(train_end, train_end, valid_end));
        }
        if valid_end < end {
            let history_end = match eval_history {
                EvalHistory::Train => train_end,
                EvalHistory::TrainValid => valid_end,
            };
            split.test.push(case(history_end, valid_end, end));
        }
    }
    split
}
