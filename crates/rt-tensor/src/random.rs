//! Random tapes: ops drawn from the gradient checker's list and put together in ways that nobody wrote down, held against the f64
//! reference and its differences.
//!
//! Operands are shared, the same twice, bare parameters, rows of tables with repeated ids; a tape has one loss or several, one part
//! or two. A tape is its seed: the same on every machine.

mod draws;
mod entries;

use crate::gradcheck::{GradCheck, check_gradients};
use crate::ops::Op;
use crate::store::Store;
use crate::tape::{Phase, Tape, Var};
use crate::{Error, Init, Result};
use draws::Draws;
use rt_kernels::{Device, Step};

/// The most ops that are drawn for a tape, and the fewest.
const OPS: [usize; 2] = [3, 12];

/// What is drawn for a tape before it is recorded.
#[derive(Debug, Clone)]
pub struct RandomTape {
    seed: u64,
    /// Op and number of each draw that is recorded.
    ops: Vec<(usize, &'static str)>,
    /// The draw at which the second part of the step starts.
    second_part: Option<usize>,
}

/// How a random tape compares.
#[derive(Debug)]
pub struct RandomCheck {
    /// What was recorded; nothing where recording failed.
    pub tape: Option<Tape>,
    /// The comparison, or why it could not be made: all of these tapes are valid, so an error is a fault.
    pub result: Result<GradCheck>,
}

impl RandomCheck {
    /// What is wrong, if something is.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        match &self.result {
            Ok(check) => check.fault(),
            Err(e) => Some(e.to_string()),
        }
    }
}

/// Ops that put others together, where most can go wrong between two of them: drawn so often as the others.
const JOINTS: [&str; 6] = ["activation", "add", "concat", "dropout", "linear", "view"];

fn any_name(draws: &mut Draws) -> &'static str {
    let joint = JOINTS[draws.below(JOINTS.len())];
    let any = Op::NAMES[draws.below(Op::NAMES.len())];
    let known = Op::NAMES.iter().find(|name| **name == joint);
    known.filter(|_| draws.one_in(2)).unwrap_or(&any)
}

impl RandomTape {
    /// The tape of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut draws = Draws::new(seed, u32::MAX);
        let count = OPS[0] + draws.below(OPS[1] - OPS[0] + 1);
        let ops = (0..count).map(|i| (i, any_name(&mut draws))).collect();
        let second_part = draws.one_in(4).then_some(count / 2);
        Self { seed, ops, second_part }
    }

    /// A tape with one op of this name, and what it needs. The names are those of [`RandomTape::names`].
    #[must_use]
    pub fn of_op(name: &'static str, seed: u64) -> Self {
        Self { seed, ops: vec![(0, name)], second_part: None }
    }

    /// The ops that are drawn from: all that have a gradient.
    #[must_use]
    pub fn names() -> &'static [&'static str] {
        Op::NAMES
    }

    /// Its seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Names of the ops that were drawn.
    #[must_use]
    pub fn ops(&self) -> Vec<&'static str> {
        self.ops.iter().map(|(_, name)| *name).collect()
    }

    /// Records forward and backward.
    ///
    /// # Errors
    ///
    /// Whatever recording gives; these tapes are valid, so an error is a fault.
    pub fn record(&self) -> Result<Tape> {
        let mut maker = Maker::new(self.seed)?;
        for (number, name) in &self.ops {
            if self.second_part == Some(*number) {
                maker.start_second_part()?;
            }
            maker.draws = Draws::new(self.seed, *number as u32);
            maker.record(name)?;
        }
        let loss = maker.total()?;
        maker.tape.backward(loss)?;
        Ok(maker.tape)
    }

    /// Values for the parameters of a tape, and the step that it is checked at.
    ///
    /// # Errors
    ///
    /// [`Error::Kernels`] where they do not fit into memory.
    pub fn store(&self, device: &Device, tape: &Tape) -> Result<(Store, Step)> {
        Ok((Store::new(device, tape.params(), self.seed)?, Step::new(3, self.seed, 0, 64)))
    }

    /// Records the tape and holds it against the reference on a device.
    #[must_use]
    pub fn check(&self, device: &Device) -> RandomCheck {
        let tape = match self.record() {
            Ok(tape) => tape,
            Err(e) => return RandomCheck { tape: None, result: Err(e) },
        };
        let check = || {
            let (store, step) = self.store(device, &tape)?;
            check_gradients(&tape, &store, &step, usize::MAX, |_| Ok(()))
        };
        let result = check();
        RandomCheck { tape: Some(tape), result }
    }

    /// The fewest of its ops with which it still fails on a device, one left out at a time; itself where it does not fail.
    #[must_use]
    pub fn shrink(&self, device: &Device) -> Self {
        let mut smallest = self.clone();
        let mut at = 0;
        while at < smallest.ops.len() {
            let mut fewer = smallest.clone();
            fewer.ops.remove(at);
            if fewer.check(device).fault().is_some() {
                smallest = fewer;
            } else {
                at += 1;
            }
        }
        smallest
    }
}

/// A tape while it is put together.
struct Maker {
    tape: Tape,
    draws: Draws,
    /// Values that further ops may read.
    pool: Vec<Var>,
    /// Rows `[n, 1]` of losses, whose gradient has to be a number.
    loss_rows: Vec<Var>,
    /// Parts of the loss `[1, 1]`.
    scalars: Vec<Var>,
    tables: Vec<Var>,
    /// Dense parameters.
    bare: Vec<Var>,
    /// Rows and widths that many values have, so that they fit each other.
    rows: usize,
    widths: [usize; 2],
    /// For names and streams that are used once.
    count: u32,
}

impl Maker {
    fn new(seed: u64) -> Result<Self> {
        let mut draws = Draws::new(seed, u32::MAX - 1);
        let rows = 1 + draws.below(7);
        let widths = [1 + draws.below(8), 1 + draws.below(5)];
        let mut maker = Self {
            tape: Tape::new(),
            draws,
            pool: Vec::new(),
            loss_rows: Vec::new(),
            scalars: Vec::new(),
            tables: Vec::new(),
            bare: Vec::new(),
            rows,
            widths,
            count: 0,
        };
        maker.start_pool()?;
        Ok(maker)
    }

    /// What the first op reads: a parameter, or rows of a table.
    fn start_pool(&mut self) -> Result<()> {
        let first = if self.draws.one_in(2) { self.new_param([self.rows, self.widths[0]])? } else { self.looked_up()? };
        self.pool.push(first);
        Ok(())
    }

    /// Differentiates what was recorded and starts the next part of the step, on the same parameters.
    fn start_second_part(&mut self) -> Result<()> {
        self.draws = Draws::new(self.draws.seed(), u32::MAX - 2);
        let loss = self.total()?;
        self.tape.accumulate(loss)?;
        self.tape.next_part(self.rows);
        self.pool.clear();
        self.pool.extend(&self.bare);
        self.start_pool()
    }

    /// Weighs every value that no op reads, and sums all losses.
    fn total(&mut self) -> Result<Var> {
        for v in self.pool.clone() {
            if !self.is_used(v) {
                let rows = self.weighed(v)?;
                self.loss_rows.push(rows);
            }
        }
        let mut rows = std::mem::take(&mut self.loss_rows);
        while let Some(mut one) = rows.pop() {
            // Rows of one height may be added before they are summed.
            let same = rows.iter().position(|r| self.tape.shape(*r) == self.tape.shape(one));
            if let Some(other) = same.filter(|_| self.draws.one_in(2)) {
                let other = rows.remove(other);
                one = self.tape.add(one, other)?;
            }
            if self.draws.one_in(4) {
                one = self.tape.scale(one, 0.6)?;
            }
            let scalar = self.tape.sum(one)?;
            self.scalars.push(scalar);
        }
        let mut scalars = std::mem::take(&mut self.scalars).into_iter();
        let first = scalars.next().ok_or_else(|| Error::NoGradient("a tape without a value".into()))?;
        scalars.try_fold(first, |sum, next| self.tape.add(sum, next))
    }

    /// Does an op hand this value a gradient?
    fn is_used(&self, v: Var) -> bool {
        let reads = |n: &crate::tape::Node| {
            n.phase == Phase::Forward
                && n.op.as_ref().is_some_and(|op| op.name() != "stop_gradient")
                && n.reads.contains(&Some(v))
        };
        self.tape.nodes.iter().any(reads)
    }

    /// `[n, 1]` of a value: its rows, each weighed by constants.
    fn weighed(&mut self, v: Var) -> Result<Var> {
        let [rows, cols] = self.tape.shape(v);
        let c = self.constant(rows, cols)?;
        self.tape.group_dot(v, c, 1.0)
    }

    fn number(&mut self) -> u32 {
        self.count += 1;
        self.count
    }

    fn constant(&mut self, rows: usize, cols: usize) -> Result<Var> {
        let cells: Vec<f32> = (0..rows * cols).map(|_| self.draws.between(-1.0, 1.0)).collect();
        self.tape.constant(&cells, rows, cols)
    }

    /// Weights of rows: a few of them 0.
    fn weights(&mut self, rows: usize) -> Result<Var> {
        let mut cells: Vec<f32> =
            (0..rows).map(|_| if self.draws.one_in(6) { 0.0 } else { self.draws.between(0.1, 0.6) }).collect();
        cells[0] = 0.4;
        self.tape.constant(&cells, rows, 1)
    }

    fn ids(&mut self, n: usize, low: usize, below: usize) -> Result<Var> {
        let ids: Vec<u32> = (0..n).map(|_| (low + self.draws.below(below - low)) as u32).collect();
        self.tape.constant_ids(&ids, n, 1)
    }

    fn new_param(&mut self, shape: [usize; 2]) -> Result<Var> {
        let name = format!("p{}", self.number());
        let v = self.tape.param(&name, shape, Init::Normal(0.7))?;
        self.bare.push(v);
        Ok(v)
    }

    /// A table of this width: one that is there, or a new one.
    fn table(&mut self, width: usize) -> Result<Var> {
        let known: Vec<Var> = self.tables.iter().copied().filter(|t| self.tape.shape(*t)[1] == width).collect();
        if !known.is_empty() && !self.draws.one_in(3) {
            return Ok(known[self.draws.below(known.len())]);
        }
        let name = format!("t{}", self.number());
        let rows = 4 + self.draws.below(5);
        let table = self.tape.table(&name, rows, width, Init::Normal(0.7))?;
        self.tables.push(table);
        Ok(table)
    }

    /// Rows of a table, with repeated ids and some of the empty row 0.
    fn looked_up(&mut self) -> Result<Var> {
        let width = self.widths[self.draws.below(2)];
        self.rows_of_table(self.rows, width)
    }

    fn rows_of_table(&mut self, n: usize, width: usize) -> Result<Var> {
        let table = self.table(width)?;
        let mut ids = self.ids(n, 0, self.tape.shape(table)[0])?;
        if self.draws.one_in(5) {
            let number = self.number();
            ids = self.tape.drop_ids(ids, 0.3, number)?;
        }
        self.tape.gather(table, ids)
    }

    /// Any value.
    fn any(&mut self) -> Var {
        // The latest is taken more often, so that tapes become deep.
        let n = self.pool.len();
        let at = if self.draws.one_in(2) { n - 1 } else { self.draws.below(n) };
        self.pool[at]
    }

    /// A value of this shape: one that was made, a parameter that is used elsewhere, rows of a table, or a new parameter.
    fn operand(&mut self, shape: [usize; 2]) -> Result<Var> {
        let fitting = |list: &[Var], tape: &Tape| -> Vec<Var> {
            list.iter().copied().filter(|v| tape.shape(*v) == shape).collect()
        };
        let (made, bare) = (fitting(&self.pool, &self.tape), fitting(&self.bare, &self.tape));
        match self.draws.below(8) {
            0 | 1 if !made.is_empty() => Ok(made[made.len() - 1]),
            2 | 3 if !made.is_empty() => Ok(made[self.draws.below(made.len())]),
            4 if !bare.is_empty() => Ok(bare[self.draws.below(bare.len())]),
            5 if shape[1] <= 8 && shape[0] > 1 => self.rows_of_table(shape[0], shape[1]),
            6 => self.constant(shape[0], shape[1]),
            _ => self.new_param(shape),
        }
    }

    /// A value of this shape that a constant is not good enough for.
    fn learned(&mut self, shape: [usize; 2]) -> Result<Var> {
        let bare: Vec<Var> = self.bare.iter().copied().filter(|v| self.tape.shape(*v) == shape).collect();
        if !bare.is_empty() && self.draws.one_in(2) {
            return Ok(bare[self.draws.below(bare.len())]);
        }
        self.new_param(shape)
    }
}
