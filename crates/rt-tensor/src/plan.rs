//! The memory plan: which temporaries share a buffer.
//!
//! A temporary lives from its first writer to its last reader. Buffers are coloured greedily in the order of the tape:
//! the smallest free one that is large enough, else the largest free one, grown. A buffer that a node reads is not free
//! for what the node writes, so no dispatch ever binds a buffer both ways.

use crate::tape::{Kind, Tape, Var};
use std::collections::BTreeMap;

/// Which nodes run, and where temporaries live.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    /// Nodes that run, ascending.
    pub nodes: Vec<usize>,
    /// Buffer of each temporary root.
    pub place: BTreeMap<Var, usize>,
    /// Words of each buffer.
    pub words: Vec<usize>,
    /// Words if nothing were shared.
    pub unshared: usize,
}

/// `live[v]`: is the root v read, or kept, by anything that runs?
pub(crate) fn plan(tape: &Tape, keep: &[Var]) -> Plan {
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
    let mut last = BTreeMap::new();
    for &i in &nodes {
        for v in tape.nodes[i].reads.iter().chain(&tape.nodes[i].writes).flatten() {
            last.insert(root(*v), i);
        }
    }
    for v in keep {
        last.insert(root(*v), usize::MAX);
    }
    let mut plan = Plan { nodes: nodes.clone(), ..Plan::default() };
    let mut free: Vec<usize> = Vec::new();
    for &i in &nodes {
        let node = &tape.nodes[i];
        let written: Vec<Var> = node.writes.iter().flatten().map(|v| root(*v)).filter(|v| is_temp(*v)).collect();
        for v in written {
            if plan.place.contains_key(&v) || !is_used(tape, v, &read) {
                continue;
            }
            let [rows, cols] = tape.shape(v);
            let words = rows * cols;
            plan.unshared += words;
            let fits = free.iter().copied().filter(|b| plan.words[*b] >= words).min_by_key(|b| plan.words[*b]);
            let buffer = fits.or_else(|| free.iter().copied().max_by_key(|b| plan.words[*b]));
            let buffer = buffer.unwrap_or_else(|| {
                plan.words.push(0);
                plan.words.len() - 1
            });
            free.retain(|b| *b != buffer);
            plan.words[buffer] = plan.words[buffer].max(words);
            plan.place.insert(v, buffer);
        }
        for v in node.reads.iter().chain(&node.writes).flatten().map(|v| root(*v)) {
            if let (Some(buffer), Some(end)) = (plan.place.get(&v), last.get(&v))
                && *end == i
                && !free.contains(buffer)
            {
                free.push(*buffer);
            }
        }
    }
    plan
}

/// Outputs that nobody reads get no buffer where their slot may be left out (gradients made with a loss).
fn is_used(tape: &Tape, v: Var, read: &[bool]) -> bool {
    if read[v.0 as usize] {
        return true;
    }
    let optional = |i: usize| {
        let node = &tape.nodes[i];
        let signature = node.kernel.as_ref().map(|k| k.signature());
        node.writes.iter().enumerate().any(|(slot, w)| {
            w.is_some_and(|w| tape.layout(w).0 == v) && signature.as_ref().is_some_and(|s| s.writes[slot].optional)
        })
    };
    !(0..tape.nodes.len()).any(optional)
}
