//! A pass after backward: two of its kernels become one, if nobody else needs what is between them.

use crate::grads::Grads;
use crate::tape::{Kind, Node, Phase, Tape, Var};
use rt_kernels::kernels::{Activation, Dropout, DropoutBackward};
use std::sync::Arc;

/// What a node of backward does, if the pass can make something of it.
#[derive(Debug, Clone)]
pub(crate) enum Fusible {
    /// The backward of dropout: reads dy.
    Dropout(Dropout),
    /// The backward of an activation: reads its output and dy.
    Slope(Activation),
}

impl Tape {
    /// Says of the last node what it does.
    pub(crate) fn mark(&mut self, fusible: Fusible) {
        if let Some(last) = self.nodes.last_mut() {
            last.fusible = Some(fusible);
        }
    }

    /// Makes one kernel of each dropout's backward and the activation's after it, among the nodes from number `from` on. `grads`
    /// are the gradients that were not read yet.
    pub(crate) fn fuse(&mut self, from: usize, grads: &Grads) {
        let mut i = from;
        while i < self.nodes.len() {
            match self.with_dropout(from, i, grads) {
                Some((at, node)) => {
                    self.nodes[i] = node;
                    self.nodes.remove(at);
                }
                None => i += 1,
            }
        }
    }

    /// Node `i` and the dropout that makes what it alone reads: that one's number, and both in one.
    fn with_dropout(&self, from: usize, i: usize, grads: &Grads) -> Option<(usize, Node)> {
        let node = &self.nodes[i];
        let (Some(Fusible::Slope(activation)), [Some(y), Some(dropped)]) = (&node.fusible, &node.reads[..]) else {
            return None;
        };
        let at = (from..i).find(|at| self.nodes[*at].writes == [Some(*dropped)])?;
        let maker = &self.nodes[at];
        let (Some(Fusible::Dropout(dropout)), [Some(dy)]) = (&maker.fusible, &maker.reads[..]) else {
            return None;
        };
        if !self.is_between(*dropped, at, i, grads) {
            return None;
        }
        let kernel = DropoutBackward { dropout: dropout.clone(), activation: *activation };
        let fused = Node {
            kernel: Some(Arc::new(kernel)),
            reads: vec![Some(*y), Some(*dy)],
            writes: node.writes.clone(),
            op: None,
            phase: Phase::Backward,
            fusible: None,
        };
        Some((at, fused))
    }

    /// Is the temporary `v` read once, by node `reader`, and touched by no other node but its maker; and is it neither an output nor
    /// a gradient that is still to be read?
    fn is_between(&self, v: Var, maker: usize, reader: usize, grads: &Grads) -> bool {
        let uses = |list: &[Option<Var>]| list.iter().flatten().filter(|u| self.root(**u) == v).count();
        let of_node = |(i, node): (usize, &Node)| match i {
            i if i == maker => uses(&node.reads),
            i if i == reader => uses(&node.writes) + uses(&node.reads) - 1,
            _ => uses(&node.reads) + uses(&node.writes),
        };
        self.values[v.0 as usize].kind == Kind::Temp
            && self.nodes.iter().enumerate().map(of_node).sum::<usize>() == 0
            && !self.outputs.iter().any(|(_, o)| self.root(*o) == v)
            && !grads.held().any(|g| self.root(g) == v)
    }
}
