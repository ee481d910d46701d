//! Calls that a GPU runs as one.

use crate::kernels::{Lookup, Lookups};
use crate::{Call, Operands};
use std::sync::Arc;

/// The calls that run instead of `calls`, each with the number of those that it stands for: lookups that follow each other,
/// none of which reads what another of them writes, are one.
pub(crate) fn join(calls: &[Call]) -> Vec<(usize, Call)> {
    let mut joined: Vec<(usize, Call)> = Vec::new();
    let mut rest = calls;
    while let Some(call) = rest.first() {
        let several = alike(rest);
        let (these, after) = rest.split_at(several.len().max(1));
        rest = after;
        if several.len() < 2 {
            joined.push((1, call.clone()));
            continue;
        }
        let mut operands = Operands::default();
        for call in these {
            operands.reads.extend(&call.operands.reads);
            operands.writes.extend(&call.operands.writes);
        }
        joined.push((these.len(), Call { kernel: Arc::new(Lookups { list: several }), operands }));
    }
    joined
}

/// The lookups at the start of `calls` that can be one.
fn alike(calls: &[Call]) -> Vec<Lookup> {
    let (mut list, mut read, mut written) = (Vec::new(), Vec::new(), Vec::new());
    for call in calls {
        let Some(lookup) = call.kernel.lookup() else { break };
        read.extend(call.operands.reads.iter().flatten().map(|o| o.buffer));
        written.extend(call.operands.writes.iter().flatten().map(|o| o.buffer));
        if read.iter().any(|b| written.contains(b)) {
            break;
        }
        list.push(lookup);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Gather, Sum, Take};
    use crate::{Kernel, Operand};

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
}
