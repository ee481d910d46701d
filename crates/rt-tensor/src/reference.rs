//! The tape's forward pass in f64: the oracle that values and gradients are checked against.

use crate::tape::{Kind, Phase, Tape, Var};
use crate::{Error, Result};
use rt_kernels::{Dtype, Step};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Cells of values, row-major.
pub(crate) type Floats = BTreeMap<Var, Vec<f64>>;

/// Which values the reference computes, and which it takes as the device recorded them.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Does a change of some parameter change the value, as far as gradients go?
    depends: Vec<bool>,
    /// Forward nodes with an op, in order, and the views of computed values that each of them reads.
    nodes: Vec<(usize, Vec<Var>)>,
    /// Values that are made by these nodes.
    computed: Vec<bool>,
    /// Values that some forward node writes, an op or not.
    written: Vec<bool>,
    /// Values that a parameter reaches and that are held as recorded, each with the reason.
    pub held: Vec<(Var, &'static str)>,
}

/// Why a value is held at what the device made: the op of this name.
pub(crate) const STOPPED: &str = "stop_gradient";
/// A choice of integers is constant almost everywhere: its gradient is zero.
const INTEGERS: &str = "integers";

impl Plan {
    /// Follows the parameters through the forward nodes.
    pub(crate) fn new(tape: &Tape) -> Self {
        let n = tape.values.len();
        let mut plan = Self {
            depends: tape.values.iter().map(|v| v.param.is_some()).collect(),
            nodes: Vec::new(),
            computed: vec![false; n],
            written: vec![false; n],
            held: Vec::new(),
        };
        for v in tape.nodes.iter().filter(|n| n.phase == Phase::Forward).flat_map(|n| n.writes.iter().flatten()) {
            plan.written[v.0 as usize] = true;
        }
        for (i, node) in tape.nodes.iter().enumerate().filter(|(_, n)| n.phase == Phase::Forward) {
            let mut views = Vec::new();
            let mut reached = false;
            for v in node.reads.iter().flatten() {
                plan.follow(tape, *v);
                reached |= plan.depends[v.0 as usize];
                if plan.is_seen_through(tape, *v) {
                    views.push(*v);
                }
            }
            if node.op.as_ref().is_some_and(|op| op.name() == STOPPED) {
                // A constant to backward: what the device made of it.
                for v in node.writes.iter().flatten().filter(|_| reached) {
                    plan.hold(*v, STOPPED);
                }
                continue;
            }
            for (slot, v) in node.writes.iter().enumerate() {
                let Some(v) = v else { continue };
                plan.computed[v.0 as usize] |= slot == 0 && node.op.is_some();
                if reached {
                    plan.reach(tape, *v);
                }
            }
            if node.op.is_some() {
                plan.nodes.push((i, views));
            }
        }
        plan
    }

    /// Marks what a node writes from something that depends on a parameter.
    fn reach(&mut self, tape: &Tape, v: Var) {
        if tape.dtype(v) == Dtype::U32 {
            self.hold(v, INTEGERS);
            return;
        }
        self.depends[v.0 as usize] = true;
        // A part that is written in place makes its whole depend on the parameter too.
        let root = tape.layout(v).0;
        if tape.values[root.0 as usize].kind != Kind::Arena {
            self.depends[root.0 as usize] = true;
        }
    }

    /// A view depends on what its root does.
    fn follow(&mut self, tape: &Tape, v: Var) {
        let value = &tape.values[v.0 as usize];
        if value.param.is_some() || self.written[v.0 as usize] {
            return;
        }
        if let Kind::View { of, .. } | Kind::Slice { of, .. } = value.kind {
            self.follow(tape, of);
            if self.depends[of.0 as usize] {
                if value.dtype == Dtype::U32 {
                    self.hold(v, INTEGERS);
                } else {
                    self.depends[v.0 as usize] = true;
                }
            }
        }
    }

    fn hold(&mut self, v: Var, why: &'static str) {
        if !self.held.iter().any(|(held, _)| *held == v) {
            self.held.push((v, why));
        }
    }

    /// Is it a view that no node makes, of something that depends on a parameter and that the reference has?
    fn is_seen_through(&self, tape: &Tape, v: Var) -> bool {
        let value = &tape.values[v.0 as usize];
        if value.param.is_some() || !self.depends[v.0 as usize] || self.written[v.0 as usize] {
            return false;
        }
        match value.kind {
            Kind::View { of, .. } | Kind::Slice { of, .. } => {
                let known = self.computed[of.0 as usize] || tape.values[of.0 as usize].param.is_some();
                known || self.is_seen_through(tape, of)
            }
            Kind::Temp
            | Kind::Table { .. }
            | Kind::Arena
            | Kind::State { .. }
            | Kind::Input { .. }
            | Kind::Const { .. } => false,
        }
    }

    /// Every value that a node of the reference makes.
    pub(crate) fn computed(&self) -> impl Iterator<Item = Var> {
        (0..self.computed.len() as u32).map(Var).filter(|v| self.computed[v.0 as usize])
    }

    /// What has to be recorded on the device: values that forward nodes read and that the reference does not make.
    pub(crate) fn recorded(&self, tape: &Tape) -> BTreeSet<Var> {
        let forward = || tape.nodes.iter().filter(|n| n.phase == Phase::Forward);
        let kept = |v: &Var| {
            let value = &tape.values[v.0 as usize];
            value.param.is_none() && value.kind != Kind::Arena && !self.computed[v.0 as usize]
        };
        let reads = forward().flat_map(|n| n.reads.iter().flatten().copied());
        reads.filter(kept).filter(|v| !self.is_seen_through(tape, *v)).collect()
    }

    /// The nodes that have to be computed again if `v` changes.
    pub(crate) fn behind(&self, tape: &Tape, v: Var) -> Vec<usize> {
        let mut moved = BTreeSet::from([v]);
        let mut nodes = Vec::new();
        for (at, (i, _)) in self.nodes.iter().enumerate() {
            let node = &tape.nodes[*i];
            let touched = |read: &Var| self.root_in(tape, *read, &moved);
            if node.reads.iter().flatten().any(touched) {
                moved.extend(node.writes.first().copied().flatten());
                nodes.push(at);
            }
        }
        nodes
    }

    /// Is `v`, or what it is a view of, among these?
    fn root_in(&self, tape: &Tape, v: Var, set: &BTreeSet<Var>) -> bool {
        if set.contains(&v) {
            return true;
        }
        let value = &tape.values[v.0 as usize];
        match value.kind {
            Kind::View { of, .. } | Kind::Slice { of, .. } if self.is_seen_through(tape, v) => {
                self.root_in(tape, of, set)
            }
            _ => false,
        }
    }
}

/// Values in f64, and integers as the device made them.
pub(crate) struct Env<'a> {
    tape: &'a Tape,
    step: &'a Step,
    plan: &'a Plan,
    /// Parameters, and what was recorded.
    given: &'a Floats,
    ints: &'a BTreeMap<Var, Vec<u32>>,
    /// What was computed at the parameters as they are: of nodes that a change does not reach.
    base: Option<&'a Floats>,
    made: Floats,
    /// Values that depend on a parameter, that the reference cannot compute, and that it asked for.
    lacking: RefCell<BTreeSet<Var>>,
}

impl<'a> Env<'a> {
    pub(crate) fn new(
        tape: &'a Tape,
        step: &'a Step,
        plan: &'a Plan,
        given: &'a Floats,
        ints: &'a BTreeMap<Var, Vec<u32>>,
    ) -> Self {
        Self { tape, step, plan, given, ints, base: None, made: Floats::new(), lacking: RefCell::default() }
    }

    /// The same over values that were computed before, of which `v` has other cells.
    pub(crate) fn moved(&self, base: &'a Floats, v: Var, cells: Vec<f64>) -> Self {
        let made = Floats::from([(v, cells)]);
        let Self { tape, step, plan, given, ints, .. } = *self;
        Self { tape, step, plan, given, ints, base: Some(base), made, lacking: RefCell::default() }
    }

    /// A value's cells, row-major.
    pub(crate) fn f(&self, v: Var) -> &[f64] {
        if let Some(cells) = self.made.get(&v).or_else(|| self.base.and_then(|base| base.get(&v))) {
            return cells;
        }
        if self.plan.depends[v.0 as usize] && self.tape.values[v.0 as usize].param.is_none() {
            self.lacking.borrow_mut().insert(v);
        }
        self.given.get(&v).map_or(&[], Vec::as_slice)
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

    /// Computes every forward node that has an op; gives all that they made.
    ///
    /// # Errors
    ///
    /// [`Error::NoGradient`] for a value that depends on a parameter and that no op makes.
    pub(crate) fn compute_all(mut self) -> Result<Floats> {
        self.compute(0..self.plan.nodes.len());
        if let Some(v) = self.lacking.borrow().first() {
            let maker = self.tape.nodes.iter().position(|n| n.writes.contains(&Some(*v)));
            let name = |i: usize| self.tape.nodes[i].kernel.as_ref().map_or("?", |k| k.name());
            let by = maker.map_or_else(String::new, |i| format!(", which `{}` (node {i}) makes", name(i)));
            return Err(Error::NoGradient(format!(
                "{}{by}, depends on a parameter, and there is no reference for it: give the node an op, or pass the value \
                 through `stop_gradient`",
                self.tape.name(*v)
            )));
        }
        Ok(self.made)
    }

    /// Computes some of the plan's nodes, in order.
    pub(crate) fn compute(&mut self, nodes: impl IntoIterator<Item = usize>) {
        let plan = self.plan;
        for at in nodes {
            let (i, views) = &plan.nodes[at];
            for v in views {
                let cells = self.view(*v);
                self.made.insert(*v, cells);
            }
            let node = &self.tape.nodes[*i];
            if let (Some(op), Some(Some(out))) = (&node.op, node.writes.first()) {
                let cells = op.reference(self);
                self.made.insert(*out, cells);
            }
        }
    }

    /// The cells of a view that no node makes.
    fn view(&self, v: Var) -> Vec<f64> {
        let whole =
            |of: Var| if self.plan.is_seen_through(self.tape, of) { self.view(of) } else { self.f(of).to_vec() };
        let [rows, cols] = self.shape(v);
        match self.tape.values[v.0 as usize].kind {
            Kind::View { of, row, col } => {
                let (cells, width) = (whole(of), self.shape(of)[1]);
                let row = |r: usize| cells[(row + r) * width + col..][..cols].to_vec();
                (0..rows).flat_map(row).collect()
            }
            Kind::Slice { of, offset } => whole(of)[offset..][..rows * cols].to_vec(),
            Kind::Temp
            | Kind::Table { .. }
            | Kind::Arena
            | Kind::State { .. }
            | Kind::Input { .. }
            | Kind::Const { .. } => self.f(v).to_vec(),
        }
    }

    /// The sum of the losses.
    pub(crate) fn loss(&self) -> f64 {
        self.tape.losses.iter().map(|loss| self.f(*loss)[0]).sum()
    }
}
