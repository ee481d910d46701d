//! Calls that a GPU runs as one, and halves of calls that it runs later.

use crate::kernels::{ColumnSums, Lookups, OnTables, PartSums, is_own};
use crate::{Call, Dispatch, Kernel, Operand, Operands};
use std::ops::Range;
use std::sync::Arc;

/// The calls that run instead of `calls`, each with the number of those that it stands for: lookups that follow each other,
/// none of which reads what another of them writes, are one; so are sums of columns, and averages, decays or updates of several tables.
pub(crate) fn join(calls: &[Call]) -> Vec<(usize, Call)> {
    let mut joined: Vec<(usize, Call)> = Vec::new();
    let mut rest = calls;
    while let Some(call) = rest.first() {
        let (count, kernel) = several(rest).unwrap_or_else(|| (1, call.kernel.clone()));
        let (these, after) = rest.split_at(count);
        rest = after;
        if count < 2 {
            joined.push((1, call.clone()));
            continue;
        }
        let mut operands = Operands::default();
        for call in these {
            operands.reads.extend(&call.operands.reads);
            operands.writes.extend(&call.operands.writes);
        }
        joined.push((count, Call { kernel, operands }));
    }
    joined
}

/// How many calls at the start of `calls` can be one, and that one.
fn several(calls: &[Call]) -> Option<(usize, Arc<dyn Kernel + Send + Sync>)> {
    // Parts of a concatenation lie between each other: columns of the same rows.
    let list = alike(calls, |call| call.kernel.lookup(), |_, _| false);
    if !list.is_empty() {
        return Some((list.len(), Arc::new(Lookups { list })));
    }
    let list = alike(calls, |call| call.kernel.column_sum(), overlap);
    if !list.is_empty() {
        return Some((list.len(), Arc::new(ColumnSums { list })));
    }
    let list = alike(calls, |call| call.kernel.on_table(), overlap);
    if list.is_empty() { None } else { Some((list.len(), Arc::new(OnTables { list }))) }
}

fn overlap(a: &Operand, b: &Operand) -> bool {
    let past = |o: &Operand, at: usize| o.end().is_none_or(|end| at < end);
    a.buffer == b.buffer && past(b, a.offset) && past(a, b.offset)
}

/// What `part` makes of the calls at the start of `calls`, as far as it makes something and none meets another: none reads
/// what another writes, and no two write what `meets` says is one place.
fn alike<T>(calls: &[Call], part: impl Fn(&Call) -> Option<T>, meets: impl Fn(&Operand, &Operand) -> bool) -> Vec<T> {
    let (mut list, mut read, mut written): (_, Vec<Operand>, Vec<Operand>) = (Vec::new(), Vec::new(), Vec::new());
    for call in calls {
        // Another crate's kernel that passes for a lookup would run a shader of this one, without its checks.
        let Some(one) = part(call).filter(|_| is_own(&*call.kernel)) else { break };
        let own: Vec<Operand> = call.operands.writes.iter().flatten().copied().collect();
        let again = own.iter().any(|o| written.iter().any(|w| meets(o, w)));
        read.extend(call.operands.reads.iter().flatten());
        written.extend(own);
        // Bindings are whole buffers: none may be read and written in one dispatch.
        let both = read.iter().any(|r| written.iter().any(|w| r.buffer == w.buffer));
        if again || both {
            break;
        }
        list.push(one);
    }
    list
}

/// Sums of products' parts that nobody has wanted yet.
#[derive(Default)]
pub(crate) struct Later {
    kernel: PartSums,
    operands: Operands,
}

impl Later {
    /// Does `call` touch what a sum that waits will write?
    pub(crate) fn meets(&self, call: &Call) -> bool {
        let touched = || call.operands.reads.iter().chain(&call.operands.writes).flatten();
        self.operands.writes.iter().flatten().any(|out| touched().any(|o| overlap(o, out)))
    }

    /// Takes the last of a call's dispatches: what it does can wait.
    pub(crate) fn take(&mut self, call: &Call, dispatches: &mut Vec<Dispatch>) {
        let (Some(sum), Some(parts)) = (call.kernel.later(&call.operands), call.operands.scratch.first()) else {
            return;
        };
        dispatches.pop();
        let cols = sum.rows * sum.cols;
        self.kernel.list.push(sum);
        self.operands.reads.push(Some(Operand { rows: sum.parts, cols, stride: cols, ..*parts }));
        self.operands.writes.extend(&call.operands.writes);
    }

    /// Appends the dispatches of all sums that wait, to those of the last call so far.
    pub(crate) fn end(&mut self, dispatches: &mut Vec<(&'static str, Dispatch)>, ranges: &mut [Range<usize>]) {
        let Self { kernel, operands } = std::mem::take(self);
        dispatches.extend(kernel.dispatches(&operands).into_iter().map(|dispatch| (kernel.name(), dispatch)));
        if let Some(last) = ranges.last_mut() {
            last.end = dispatches.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{DecayRows, Gather, Sum, Take};

    fn call(kernel: impl Kernel + Send + Sync + 'static, reads: &[usize], write: usize) -> Call {
        let operand = |buffer| Some(Operand::dense(buffer, 4, 4));
        let reads = reads.iter().map(|b| operand(*b)).collect();
        Call { kernel: Arc::new(kernel), operands: Operands { reads, writes: vec![operand(write)], scratch: vec![] } }
    }

    #[test]
    fn lookups_are_one_until_one_reads_what_another_writes() {
        let gather = |table, ids, out| call(Gather { rows: 4, dim: 4 }, &[table, ids], out);
        let take = |table, ids, out| call(Take { rows: 4, cols: 4 }, &[table, ids], out);
        let sum = call(Sum { rows: 4, ring: 4 }, &[0], 9);
        let counts = |calls: &[Call]| join(calls).iter().map(|(n, c)| (*n, c.kernel.name())).collect::<Vec<_>>();
        // Two outs in one buffer, as parts of a concatenation; then ids that a lookup before has taken; then what is none.
        assert_eq!(counts(&[gather(0, 1, 5), take(2, 1, 5), gather(3, 1, 6)]), [(3, "lookups")]);
        assert_eq!(counts(&[take(0, 1, 5), gather(2, 5, 6), gather(3, 5, 6)]), [(1, "take"), (2, "lookups")]);
        assert_eq!(counts(&[gather(0, 1, 5), gather(2, 1, 0)]), [(1, "gather"), (1, "gather")], "0 is read before");
        assert_eq!(counts(&[gather(0, 1, 5), sum, gather(2, 1, 6)]), [(1, "gather"), (1, "sum"), (1, "gather")]);
    }
    #[test]
    fn tables_are_one_until_one_is_met_again() {
        let decay = |buffer, offset| {
            let table = Some(Operand { buffer, offset, rows: 8, cols: 4, stride: 4 });
            let kernel = DecayRows { decay: 0.1, table: 0, base: 0, capacity: 4, dim: 4, tables: 1 };
            let reads = [0, 1].map(|b| Some(Operand::dense(b, 2, 1))).to_vec();
            Call { kernel: Arc::new(kernel), operands: Operands { reads, writes: vec![table], scratch: vec![] } }
        };
        let counts = |calls: &[Call]| join(calls).iter().map(|(n, _)| *n).collect::<Vec<_>>();
        assert_eq!(counts(&[decay(5, 0), decay(5, 32), decay(6, 0)]), [3]);
        assert_eq!(counts(&[decay(5, 0), decay(5, 31)]), [1, 1], "rows of both");
        assert_eq!(counts(&[decay(5, 0), decay(1, 0)]), [1, 1], "1 is read");
    }
}
