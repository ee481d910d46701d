//! The tape's forward pass in f64: the oracle that gradients are checked against.

use crate::tape::{Phase, Tape, Var};
use rt_kernels::Step;
use std::collections::BTreeMap;

/// Values in f64, and integers as the device made them.
pub(crate) struct Env<'a> {
    tape: &'a Tape,
    step: &'a Step,
    floats: BTreeMap<Var, Vec<f64>>,
    ints: &'a BTreeMap<Var, Vec<u32>>,
}

impl<'a> Env<'a> {
    pub(crate) fn new(
        tape: &'a Tape,
        step: &'a Step,
        floats: BTreeMap<Var, Vec<f64>>,
        ints: &'a BTreeMap<Var, Vec<u32>>,
    ) -> Self {
        Self { tape, step, floats, ints }
    }

    /// A value's cells, row-major.
    pub(crate) fn f(&self, v: Var) -> &[f64] {
        self.floats.get(&v).map_or(&[], Vec::as_slice)
    }

    /// A value's integers, row-major.
    pub(crate) fn u(&self, v: Var) -> &[u32] {
        self.ints.get(&v).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn shape(&self, v: Var) -> [usize; 2] {
        self.tape.shape(v)
    }

    pub(crate) fn step(&self) -> &Step {
        self.step
    }

    /// Computes every forward node that has an op, and gives the value of `loss`.
    pub(crate) fn loss(&mut self, loss: Var) -> f64 {
        for node in self.tape.nodes.iter().filter(|n| n.phase == Phase::Forward) {
            if let (Some(op), Some(Some(out))) = (&node.op, node.writes.first()) {
                let value = op.reference(self);
                self.floats.insert(*out, value);
            }
        }
        self.f(loss)[0]
    }
}
