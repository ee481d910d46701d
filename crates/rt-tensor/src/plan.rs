//! The memory plan: which temporaries share a buffer.
//!
//! A temporary lives from its first writer to its last reader. Temporaries take buffers from the largest to the smallest: each
//! the smallest buffer in which nothing else lives meanwhile, else one of its own size (Pisarchyk and Lee 2020, "Efficient memory
//! management for deep neural net inference", greedy by size). So a small value that lives long does not keep a large buffer from
//! others. A buffer that a node reads is not free for what the node writes, so no dispatch ever binds a buffer both ways.

use crate::tape::{Kind, Tape, Var};
use std::collections::BTreeMap;

/// Which nodes run, and where temporaries live.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    /// Nodes that run, in their order.
    pub nodes: Vec<usize>,
    /// Buffer of each temporary root.
    pub place: BTreeMap<Var, usize>,
    /// Words of each buffer.
    pub words: Vec<usize>,
    /// Words if nothing were shared.
    pub unshared: usize,
}

/// Words of the largest value that is kept so that sums over it can wait for each other: 4 MiB.
const SMALL: usize = 1 << 20;

/// `live[v]`: is the root v read, or kept, by anything that runs? Where few dispatches count more than small values that live
/// longer, sums of columns are put off (`wait`).
pub(crate) fn plan(tape: &Tape, keep: &[Var], wait: bool) -> Plan {
    let root = |v: Var| tape.layout(v).0;
    let is_temp = |v: Var| tape.values[v.0 as usize].kind == Kind::Temp;
    // Backwards: a node runs if it writes something that stays or that is read later.
    let mut read = vec![false; tape.values.len()];
    for v in keep {
        read[root(*v).0 as usize] = true;
    }
    let mut nodes = Vec::new();
    for (i, node) in tape.nodes.iter().enumerate().rev() {
        let wanted = |v: &Var| !is_temp(root(*v)) || read[root(*v).0 as usize];
        if node.writes.iter().flatten().any(wanted) {
            nodes.push(i);
            for v in node.reads.iter().flatten() {
                read[root(*v).0 as usize] = true;
            }
        }
    }
    nodes.reverse();
    if wait {
        nodes = put_off(tape, &nodes);
    }
    // From here on a node is its place in that order.
    let mut last = BTreeMap::new();
    for (at, &i) in nodes.iter().enumerate() {
        for v in tape.nodes[i].reads.iter().chain(&tape.nodes[i].writes).flatten() {
            last.insert(root(*v), at);
        }
    }
    for v in keep {
        last.insert(root(*v), usize::MAX);
    }
    // (words, first node, last node, value)
    let mut lives: Vec<(usize, usize, usize, Var)> = Vec::new();
    let mut seen = vec![false; tape.values.len()];
    for (at, &i) in nodes.iter().enumerate() {
        for v in tape.nodes[i].writes.iter().flatten().map(|v| root(*v)).filter(|v| is_temp(*v)) {
            if !std::mem::replace(&mut seen[v.0 as usize], true) && is_used(tape, v, &read) {
                let [rows, cols] = tape.shape(v);
                lives.push((rows * cols, at, last.get(&v).copied().unwrap_or(at), v));
            }
        }
    }
    lives.sort_by_key(|(words, first, ..)| (std::cmp::Reverse(*words), *first));
    let mut plan = Plan { nodes, unshared: lives.iter().map(|(words, ..)| words).sum(), ..Plan::default() };
    // First and last node of what lives in each buffer.
    let mut taken: Vec<BTreeMap<usize, usize>> = Vec::new();
    for (words, first, end, v) in lives {
        let free = |taken: &BTreeMap<usize, usize>| taken.range(..=end).next_back().is_none_or(|(_, end)| *end < first);
        // Buffers stand from the largest to the smallest, and each holds the value.
        let buffer = taken.iter().rposition(free).unwrap_or_else(|| {
            plan.words.push(words);
            taken.push(BTreeMap::new());
            taken.len() - 1
        });
        taken[buffer].insert(first, end);
        plan.place.insert(v, buffer);
    }
    plan
}

/// The same nodes with each sum of the columns of a small value moved to where the first of its like is wanted, so that they stand
/// together: biases' gradients, which nobody reads before the update.
fn put_off(tape: &Tape, nodes: &[usize]) -> Vec<usize> {
    // Words of a value: where it lives, first, past the last.
    let words = |v: Var| {
        let ((root, offset, stride), [rows, cols]) = (tape.layout(v), tape.shape(v));
        (root, offset, offset + rows.saturating_sub(1) * stride + cols)
    };
    let meet = |a: Var, b: Var| {
        let ((a, a_first, a_end), (b, b_first, b_end)) = (words(a), words(b));
        a == b && a_first < b_end && b_first < a_end
    };
    let mut order = Vec::with_capacity(nodes.len());
    let mut waiting: Vec<usize> = Vec::new();
    for &i in nodes {
        let node = &tape.nodes[i];
        // Does the node read or write what a sum writes, or write what it reads?
        let touches = |w: &usize| {
            let sum = &tape.nodes[*w];
            let any = |mine: &[Option<Var>], its: &[Option<Var>]| {
                mine.iter().flatten().any(|a| its.iter().flatten().any(|b| meet(*a, *b)))
            };
            any(&node.reads, &sum.writes) || any(&node.writes, &sum.writes) || any(&node.writes, &sum.reads)
        };
        if waiting.iter().any(touches) {
            order.append(&mut waiting);
        }
        let sum = node.kernel.as_ref().and_then(|k| k.column_sum());
        let small = |sum: rt_kernels::kernels::ColumnSum| sum.rows * sum.cols <= SMALL;
        if sum.is_some_and(small) { waiting.push(i) } else { order.push(i) }
    }
    order.append(&mut waiting);
    order
}

/// Outputs that nobody reads get no buffer where their slot may be left out (gradients made with a loss).
fn is_used(tape: &Tape, v: Var, read: &[bool]) -> bool {
    if read[v.0 as usize] {
        return true;
    }
    let optional = |i: usize| {
        let node = &tape.nodes[i];
        node.writes.iter().enumerate().any(|(slot, w)| {
            let signature = || node.kernel.as_ref().map(|k| k.signature());
            w.is_some_and(|w| tape.layout(w).0 == v) && signature().is_some_and(|s| s.writes[slot].optional)
        })
    };
    !(0..tape.nodes.len()).any(optional)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rt_kernels::kernels::{Add, ColumnSum};

    /// Nodes 0 and 1 sum columns of x and y; node 2 is what must or need not come behind them.
    fn order(third: impl Fn([Var; 6]) -> [Var; 3]) -> Vec<usize> {
        let mut tape = Tape::new();
        let (x, y, z) = (tape.temp(4, 3), tape.temp(4, 3), tape.temp(4, 3));
        let (a, b, c) = (tape.temp(1, 3), tape.temp(1, 3), tape.temp(1, 3));
        let sum = ColumnSum { rows: 4, cols: 3 };
        tape.push(sum.clone(), vec![Some(x)], vec![Some(a)], None).unwrap();
        tape.push(sum, vec![Some(y)], vec![Some(b)], None).unwrap();
        let [one, two, out] = third([x, y, z, a, b, c]);
        let [rows, cols] = tape.shape(out);
        tape.push(Add { rows, cols }, vec![Some(one), Some(two)], vec![Some(out)], None).unwrap();
        put_off(&tape, &[0, 1, 2])
    }

    #[test]
    fn sums_wait_for_what_touches_neither_them_nor_what_they_read() {
        assert_eq!(order(|[x, y, z, ..]| [x, y, z]), [2, 0, 1], "it reads what they read");
        assert_eq!(order(|[x, y, z, ..]| [x, z, y]), [0, 1, 2], "it overwrites what one of them reads");
        assert_eq!(order(|[.., a, _, c]| [a, a, c]), [0, 1, 2], "it reads a sum");
        assert_eq!(order(|[.., b, c]| [c, c, b]), [0, 1, 2], "it overwrites a sum");
    }
}
