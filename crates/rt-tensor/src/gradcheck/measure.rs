//! What the device makes: values, gradients, and how far rounding moves them.

use super::Prepare;
use crate::params::ParamKind;
use crate::reference::{Floats, Plan};
use crate::slabs::Slabs;
use crate::store::Store;
use crate::tape::{Kind, Phase, Tape, Var};
use crate::{Error, Program, Result};
use rt_kernels::kernels::SegmentSum;
use rt_kernels::{Dtype, Step, philox};
use std::collections::{BTreeMap, BTreeSet};

/// Runs with every parameter moved by a few units in its last place: what they move is rounding.
const SHAKES: u32 = 3;

/// Gradients of all parameters, dense, in the order of [`parameters`].
pub(super) type Gradients = Vec<Vec<f64>>;

/// What was recorded of a tape's forward pass.
pub(super) struct Recorded {
    /// Parameters, and floats that the reference takes as they are.
    pub given: Floats,
    pub ints: BTreeMap<Var, Vec<u32>>,
    /// Floats that the reference computes too.
    pub values: Floats,
    /// How far the cells of these moved when the parameters moved by rounding, at most.
    pub value_noise: BTreeMap<Var, f64>,
    /// The same of each cell of each parameter's gradient.
    pub gradient_noise: Gradients,
    /// The largest value of the backward pass: the terms that gradients are sums of.
    pub largest_term: f64,
}

/// The tape's parameters that have a gradient: value and number.
pub(super) fn parameters(tape: &Tape) -> Vec<(Var, usize)> {
    tape.vars().filter_map(|v| tape.values[v.0 as usize].param.map(|param| (v, param))).collect()
}

/// Runs a tape on the device of a store, from the same state each time.
pub(super) struct Bench<'a> {
    tape: Tape,
    store: &'a Store,
    step: &'a Step,
    /// What backward makes on its way.
    terms: BTreeSet<Var>,
    /// Sums of the gradient rows of each table.
    row_vars: Vec<Var>,
    /// Values of the parameters before any run.
    before: Vec<(String, Vec<f32>)>,
    states: Vec<State>,
}

/// State of the store that the tape's nodes write.
struct State {
    name: String,
    place: Slabs,
    /// What it held.
    found: Vec<u32>,
    /// What it holds ahead of each run.
    start: Vec<u32>,
}

impl<'a> Bench<'a> {
    /// A copy of `tape` with its row gradients summed, and the state of the store as it is.
    pub(super) fn new(tape: &Tape, store: &'a Store, step: &'a Step) -> Result<Self> {
        let mut tape = tape.clone();
        tape.phase = Some(Phase::Backward);
        let backward = tape.nodes.iter().filter(|n| n.phase == Phase::Backward);
        let is_term = |v: &Var| tape.dtype(*v) == Dtype::F32 && tape.values[v.0 as usize].kind == Kind::Temp;
        let terms = backward.flat_map(|n| n.writes.iter().flatten().copied()).filter(is_term).collect();
        let mut row_vars = Vec::new();
        if let Some(rows) = tape.row_grads.clone() {
            let sources: Vec<Var> = rows.tables.iter().map(|t| t.source).collect();
            let segments = tape.segments(&rows, &sources)?;
            for (t, segment) in rows.tables.iter().zip(segments) {
                let dim = tape.shape(t.table)[1];
                let out = tape.temp(t.capacity, dim);
                let kernel = SegmentSum { rows: t.capacity, entries: t.entries, dim };
                tape.push(kernel, segment.reads(&rows, t.source), vec![Some(out)], None)?;
                row_vars.push(out);
            }
        } else if tape.dense_grads.is_none() {
            return Err(Error::NoGradient("record `backward` before checking".into()));
        }
        let mut before = Vec::new();
        for (_, param) in parameters(&tape) {
            let name = tape.params.list()[param].name.clone();
            let values = store.get(&name)?;
            before.push((name, values));
        }
        let mut states = Vec::new();
        for value in &tape.values {
            if let Kind::State { name } = &value.kind {
                let place = store.state(name, value.shape, value.dtype)?;
                let found = place.read(store.device())?;
                // A gradient that nobody writes is seen.
                let gradient = tape.dense_grads.is_some_and(|arena| tape.values[arena.0 as usize].kind == value.kind);
                let start = if gradient { vec![f32::NAN.to_bits(); found.len()] } else { found.clone() };
                states.push(State { name: name.clone(), place, found, start });
            }
        }
        Ok(Self { tape, store, step, terms, row_vars, before, states })
    }

    /// The gradients, as a program has them that keeps nothing else.
    pub(super) fn gradients(&self, prepare: Prepare<'_>) -> Result<Gradients> {
        let mut program = self.compile(&BTreeSet::new(), prepare)?;
        self.run(&mut program)?;
        self.read_gradients(&program)
    }

    /// The values of the forward pass, and what rounding moves.
    pub(super) fn record(&self, plan: &Plan, prepare: Prepare<'_>) -> Result<Recorded> {
        let recorded = plan.recorded(&self.tape);
        let computed: BTreeSet<Var> = plan.computed().collect();
        let kept = recorded.iter().chain(&computed).chain(&self.terms);
        let mut program = self.compile(&kept.copied().collect(), prepare)?;
        self.run(&mut program)?;
        let mut largest_term = 0.0f64;
        for v in &self.terms {
            let cells = floats(&program.read_u32(&format!("%{}", v.0))?);
            largest_term = cells.iter().map(|x| x.abs()).filter(|x| x.is_finite()).fold(largest_term, f64::max);
        }
        let (mut given, mut ints) = (Floats::new(), BTreeMap::new());
        for v in recorded {
            let words = self.words(&program, v)?;
            match self.tape.dtype(v) {
                Dtype::U32 => drop(ints.insert(v, words)),
                Dtype::F32 => drop(given.insert(v, floats(&words))),
            }
        }
        for ((v, _), (_, values)) in parameters(&self.tape).iter().zip(&self.before) {
            given.insert(*v, values.iter().map(|x| f64::from(*x)).collect());
        }
        let read = |program: &Program| -> Result<Floats> {
            computed.iter().map(|v| Ok((*v, floats(&self.words(program, *v)?)))).collect()
        };
        let (values, gradients) = (read(&program)?, self.read_gradients(&program)?);
        let mut value_noise: BTreeMap<Var, f64> = computed.iter().map(|v| (*v, 0.0)).collect();
        let mut gradient_noise: Gradients = gradients.iter().map(|g| vec![0.0; g.len()]).collect();
        for shake in 1..=SHAKES {
            self.shake(shake)?;
            self.run(&mut program)?;
            for (v, cells) in read(&program)? {
                let noise = value_noise.entry(v).or_default();
                *noise = widest(*noise, &values[&v], &cells);
            }
            for ((noise, still), moved) in gradient_noise.iter_mut().zip(&gradients).zip(self.read_gradients(&program)?)
            {
                for ((noise, still), moved) in noise.iter_mut().zip(still).zip(&moved) {
                    *noise = super::largest(*noise, (still - moved).abs());
                }
            }
        }
        Ok(Recorded { given, ints, values, value_noise, gradient_noise, largest_term })
    }

    fn compile(&self, values: &BTreeSet<Var>, prepare: Prepare<'_>) -> Result<Program> {
        let tape = &self.tape;
        let mut keep: Vec<Var> = values.iter().copied().collect();
        keep.extend(&self.row_vars);
        keep.extend(tape.row_grads.iter().flat_map(|rows| [rows.keys, rows.first]));
        keep.extend(tape.dense_grads);
        let mut program = tape.compile_keeping(self.store, &keep)?;
        prepare(&mut program)?;
        Ok(program)
    }

    /// One run, from the state that was found.
    fn run(&self, program: &mut Program) -> Result<()> {
        for state in &self.states {
            state.place.write(self.store.device(), &state.start)?;
        }
        program.run(self.step)
    }

    /// What a value held when the forward nodes read it: state is what it was before the run.
    fn words(&self, program: &Program, v: Var) -> Result<Vec<u32>> {
        if let Kind::State { name } = &self.tape.values[v.0 as usize].kind
            && let Some(state) = self.states.iter().find(|state| state.name == *name)
        {
            return Ok(state.found.clone());
        }
        program.read_u32(&format!("%{}", v.0))
    }

    /// The program's gradients, dense.
    fn read_gradients(&self, program: &Program) -> Result<Gradients> {
        parameters(&self.tape).into_iter().map(|(v, param)| self.gradient_of(program, v, param)).collect()
    }

    fn gradient_of(&self, program: &Program, v: Var, param: usize) -> Result<Vec<f64>> {
        let tape = &self.tape;
        let [rows, cols] = tape.shape(v);
        let mut gradient = vec![0.0; rows * cols];
        let declared = &tape.params.list()[param];
        if declared.kind == ParamKind::Dense {
            if let Some(arena) = tape.dense_grads {
                let all = program.read_f32(&format!("%{}", arena.0))?;
                for (g, x) in gradient.iter_mut().zip(&all[declared.offset..]) {
                    *g = f64::from(*x);
                }
            }
            return Ok(gradient);
        }
        let Some(grads) = &tape.row_grads else {
            return Ok(gradient);
        };
        let keys = program.read_u32(&format!("%{}", grads.keys.0))?;
        let first = program.read_u32(&format!("%{}", grads.first.0))?;
        for (number, t) in grads.tables.iter().enumerate().filter(|(_, t)| t.table == v) {
            let sums = program.read_f32(&format!("%{}", self.row_vars[number].0))?;
            for (k, key) in keys[first[number] as usize..first[number + 1] as usize].iter().enumerate() {
                let id = (key - t.base) as usize;
                for c in 0..cols {
                    gradient[id * cols + c] = f64::from(sums[k * cols + c]);
                }
            }
        }
        Ok(gradient)
    }

    /// Moves every cell of every parameter by up to four units in its last place.
    fn shake(&self, number: u32) -> Result<()> {
        for (at, (name, values)) in self.before.iter().enumerate() {
            let moved = |(i, x): (usize, &f32)| {
                let draw = philox::draw([0x5AFE, at as u32], number, 0, i as u32);
                let units = (draw % 9) as f32 - 4.0;
                x + units * f32::EPSILON * x.abs() * 0.5
            };
            self.store.put_back(name, &values.iter().enumerate().map(moved).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// Leaves the store as it was found.
    pub(super) fn restore(&self) -> Result<()> {
        for (name, values) in &self.before {
            self.store.put_back(name, values)?;
        }
        for state in &self.states {
            state.place.write(self.store.device(), &state.found)?;
        }
        Ok(())
    }
}

/// Whatever ends a check, an error or a panic, leaves the store as it was found.
impl Drop for Bench<'_> {
    fn drop(&mut self) {
        // Who comes here with an error has one to report; who does not has restored it already.
        drop(self.restore());
    }
}

fn floats(words: &[u32]) -> Vec<f64> {
    words.iter().map(|w| f64::from(f32::from_bits(*w))).collect()
}

/// The largest of `so_far` and all differences; not a number as soon as one of them is none.
fn widest(so_far: f64, still: &[f64], moved: &[f64]) -> f64 {
    still.iter().zip(moved).map(|(a, b)| (a - b).abs()).fold(so_far, super::largest)
}
