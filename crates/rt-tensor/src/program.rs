//! A compiled tape: buffers planned, calls prepared, ready to be replayed.

use crate::ids::{Bounds, FAULTS, Faults};
use crate::lists::WrittenLists;
use crate::plan::{Plan, plan};
use crate::slabs::Slabs;
use crate::store::Store;
use crate::tape::{Kind, Tape, Var};
use crate::{Error, Result};
use rt_kernels::kernels::CheckIds;
use rt_kernels::{Buffer, Call, Operand, Operands, Readback, Step, Target, slabs};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A tape prepared for the device of a store.
pub struct Program {
    store: Store,
    inner: rt_kernels::Program,
    inputs: BTreeMap<String, Buffer>,
    outputs: BTreeMap<String, (Buffer, Place)>,
    /// What ids and slices of its own inputs have to be; those of the store's data are the store's.
    bounds: Bounds,
    /// Lists that are searched by halves.
    lists: WrittenLists,
    /// The faults of its checks on the device, where it has any.
    faults: Option<Arc<Faults>>,
    /// Node of the tape that each call came from.
    nodes: Vec<usize>,
    planned: [usize; 2],
}

/// Rows of an output on their way to the host ([`Program::watch`]).
pub struct Watch {
    inner: Readback,
    buffer: Buffer,
    offset: usize,
    cols: usize,
    faults: Option<FaultWatch>,
}

/// The faults of the program on their way to the host, beside each copy of rows.
struct FaultWatch {
    faults: Arc<Faults>,
    inner: Readback,
    /// Those that have come for the copy that is looked for next.
    came: Option<Vec<u32>>,
}

impl Watch {
    /// Asks for `rows` rows from row `first` on, as they are after the runs so far; false, and nothing asked for, where
    /// every slot is under way. Does not wait on a GPU; on the CPU it waits its turn behind a run under way on another thread.
    ///
    /// # Errors
    ///
    /// [`Error::Kernels`] for rows that are not there, and where the device is lost.
    pub fn start(&mut self, first: usize, rows: usize) -> Result<bool> {
        let started = self.inner.start(&self.buffer, self.offset + first * self.cols, rows * self.cols)?;
        if let (Some(watch), true) = (&mut self.faults, started) {
            // It has as many slots, one for each copy.
            watch.inner.start(watch.faults.buffer(), 0, CheckIds::words())?;
        }
        Ok(started)
    }

    /// The rows that were asked for first, if they have come. Does not wait on a GPU; on the CPU it waits its turn behind a run under
    /// way on another thread.
    ///
    /// # Errors
    ///
    /// [`Error::Ids`] in place of the rows for the first step up to them that met ids out of range, once for each such step:
    /// whichever of this, [`Program::read_u32`] and [`Program::synchronize`] looks first says it. A check that meets such ids in a
    /// step is a fault. The very first is always kept; of more than 64 after it between two looks the last 64 are, the oldest of
    /// those is told, and the error says how many came before it. [`Error::Kernels`] where the device is lost.
    pub fn poll(&mut self) -> Result<Option<Vec<f32>>> {
        if let Some(watch) = &mut self.faults {
            if watch.came.is_none() {
                watch.came = watch.inner.poll()?;
            }
            if watch.came.is_none() {
                return Ok(None);
            }
        }
        let Some(words) = self.inner.poll()? else { return Ok(None) };
        if let Some(watch) = &mut self.faults
            && let Some(faults) = watch.came.take()
        {
            watch.faults.look(&faults)?;
        }
        Ok(Some(words.into_iter().map(f32::from_bits).collect()))
    }
}

#[derive(Debug, Clone, Copy)]
struct Place {
    offset: usize,
    shape: [usize; 2],
    stride: usize,
}

impl Tape {
    /// Prepares the tape for the device of `store`: plans buffers, builds pipelines and bind groups. The store must hold
    /// the tape's parameters; inputs that it has data for are bound to it.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuch`] for a parameter that the store does not have, [`Error::Data`] for data of the wrong size and for a value
    /// that is read and that nothing writes, [`Error::Kernels`] where memory does not suffice or the device refuses.
    pub fn compile(&self, store: &Store) -> Result<Program> {
        self.compile_keeping(store, &[])
    }

    /// [`Tape::compile`], keeping further values until the next run.
    pub(crate) fn compile_keeping(&self, store: &Store, extra: &[Var]) -> Result<Program> {
        let mut keep: Vec<Var> = self.outputs.iter().map(|(_, v)| *v).collect();
        keep.extend(extra);
        let device = store.device();
        let plan = plan(self, &keep, device.target() == Target::Gpu);
        self.check_written(&plan.nodes, &keep)?;
        let mut bound = Bound {
            tape: self,
            store,
            plan: &plan,
            buffers: Vec::new(),
            index: BTreeMap::new(),
            arenas: BTreeMap::new(),
            slabs: BTreeMap::new(),
            inputs: BTreeMap::new(),
        };
        device.check_room(plan.words.iter().sum(), "a step's values")?;
        for words in &plan.words {
            bound.buffers.push(device.zeros(None, *words, "a step's values")?);
        }
        let mut calls = Vec::new();
        let mut nodes = Vec::new();
        for &i in &plan.nodes {
            let node = &self.nodes[i];
            let Some(kernel) = node.kernel.clone() else {
                continue;
            };
            let mut operands = Operands::default();
            for v in &node.reads {
                operands.reads.push(v.map(|v| bound.operand(v)).transpose()?.flatten());
            }
            for v in &node.writes {
                operands.writes.push(v.map(|v| bound.operand(v)).transpose()?.flatten());
            }
            // A call on a table that is cut becomes several.
            let cut = slabs::cut(Call { kernel, operands }, &bound.slabs)?;
            nodes.resize(nodes.len() + cut.len(), i);
            calls.extend(cut);
        }
        let mut outputs = BTreeMap::new();
        let named = self.outputs.iter().map(|(name, v)| (name.clone(), *v));
        for (name, v) in named.chain(extra.iter().map(|v| (format!("%{}", v.0), *v))) {
            if let Some(o) = bound.operand(v)? {
                if bound.slabs.contains_key(&o.buffer) {
                    let what = "a table past one binding is read from the store, it is no output".to_owned();
                    return Err(Error::Data { name, what });
                }
                let place = Place { offset: o.offset, shape: [o.rows, o.cols], stride: o.stride };
                outputs.insert(name, (bound.buffers[o.buffer].clone(), place));
            }
        }
        let input = |(name, place): (String, Slabs)| Some((name, place.whole()?.clone()));
        let mut inputs: BTreeMap<String, Buffer> = bound.inputs.into_iter().filter_map(input).collect();
        // Nobody writes the faults but the checks.
        let (faults, buffers) = (inputs.remove(FAULTS), bound.buffers);
        let planned = [plan.words.iter().sum(), plan.unshared];
        let inner = rt_kernels::Program::new(device, buffers, calls)?;
        let mut bounds = self.bounds.clone();
        self.hold_states(store, &mut bounds)?;
        bounds.retain(|name, _| name != FAULTS);
        // Those of the store's data hold whoever writes it.
        for (name, bounds) in &bounds {
            store.bind(name, bounds)?;
        }
        bounds.retain(|name, _| store.find(name).is_none());
        let sites = || self.checks.iter().map(|(_, site, ..)| site.clone()).collect();
        let faults = faults.map(|buffer| Arc::new(Faults::new(buffer, sites())));
        let lists = self.written_lists(&inputs);
        Ok(Program { store: store.clone(), inner, inputs, outputs, bounds, lists, faults, nodes, planned })
    }
}

impl Tape {
    /// Refuses what would read words that nothing has written: operands of the nodes that run, which may be left out and then would
    /// be missing unseen, and values that are kept.
    fn check_written(&self, nodes: &[usize], keep: &[Var]) -> Result<()> {
        let mut written: BTreeSet<Var> = BTreeSet::new();
        let is_there = |written: &BTreeSet<Var>, v: Var| {
            let root = self.root(v);
            self.values[root.0 as usize].kind != Kind::Temp || written.contains(&root)
        };
        for &i in nodes {
            let node = &self.nodes[i];
            let Some(kernel) = &node.kernel else { continue };
            let in_place = kernel.signature().writes.into_iter().map(|slot| slot.in_place);
            let updated = node.writes.iter().zip(in_place).filter(|(_, in_place)| *in_place).map(|(v, _)| v);
            if let Some(v) = node.reads.iter().chain(updated).flatten().find(|v| !is_there(&written, **v)) {
                let what = format!("`{}` (node {i}) reads it, and no node before writes it", node.name());
                return Err(Error::Data { name: self.name(*v), what });
            }
            written.extend(node.writes.iter().flatten().map(|v| self.root(*v)));
        }
        match keep.iter().find(|v| !is_there(&written, **v)) {
            Some(v) => Err(Error::Data { name: self.name(*v), what: "is an output, and no node writes it".into() }),
            None => Ok(()),
        }
    }
}

/// Buffers while a program is put together.
struct Bound<'a> {
    tape: &'a Tape,
    store: &'a Store,
    plan: &'a Plan,
    buffers: Vec<Buffer>,
    /// Buffer of each value that stays, and its first word there.
    index: BTreeMap<Var, (usize, usize)>,
    /// Buffers that tables share, by what they hold.
    arenas: BTreeMap<String, usize>,
    /// The slabs of values that are cut, under the number of the first one's buffer.
    slabs: BTreeMap<usize, Vec<Operand>>,
    inputs: BTreeMap<String, Slabs>,
}

impl Bound<'_> {
    /// The operand of a value; `None` for a temporary that nobody reads and that may be left out.
    fn operand(&mut self, v: Var) -> Result<Option<Operand>> {
        let (root, offset, stride) = self.tape.layout(v);
        let [rows, cols] = match self.tape.values[v.0 as usize].kind {
            Kind::Arena => [self.store.params().dense_words(), 1],
            _ => self.tape.shape(v),
        };
        let (buffer, base) = match self.tape.values[root.0 as usize].kind {
            Kind::Temp => match self.plan.place.get(&root) {
                Some(buffer) => (*buffer, 0),
                None => return Ok(None),
            },
            _ => match self.index.get(&root) {
                Some(place) => *place,
                None => {
                    let place = self.persistent(root)?;
                    let next = self.buffers.len();
                    let shared =
                        place.piece.as_ref().map(|piece| self.arenas.entry(piece.arena.clone()).or_insert(next));
                    let first = shared.map_or(next, |first| *first);
                    let base = place.offset();
                    self.index.insert(root, (first, base));
                    if place.is_cut() {
                        let slab = |(i, cols)| Operand::dense(first + i, rows, cols);
                        self.slabs.insert(first, place.widths().enumerate().map(slab).collect());
                    }
                    // One input may stand on the tape under several shapes; it is one buffer.
                    if first == next {
                        self.buffers.extend(place.buffers);
                    }
                    (first, base)
                }
            },
        };
        Ok(Some(Operand { buffer, offset: base + offset, rows, cols, stride }))
    }

    fn persistent(&mut self, root: Var) -> Result<Slabs> {
        let value = &self.tape.values[root.0 as usize];
        let words = value.shape[0] * value.shape[1];
        let device = self.store.device();
        match &value.kind {
            Kind::Table { param } => {
                let declared = &self.tape.params.list()[*param];
                let missing = || Error::NoSuch { what: "parameter", name: declared.name.clone() };
                let place = self.store.find(&declared.name).ok_or_else(missing)?;
                self.fits(&declared.name, &place, words)?;
                Ok(place)
            }
            Kind::Arena => {
                if self.store.params() != &self.tape.params {
                    let what = "the tape and the store do not declare the same parameters".to_owned();
                    return Err(Error::Data { name: "dense parameters".into(), what });
                }
                self.store.dense()
            }
            Kind::State { name } => self.store.state(name, value.shape, value.dtype),
            Kind::Input { name } => {
                if let Some(place) = self.inputs.get(name) {
                    return Ok(place.clone());
                }
                let place = match self.store.find(name) {
                    Some(place) => {
                        self.fits(name, &place, words)?;
                        place
                    }
                    None => Slabs::zeros(device, value.dtype, [words, 1], name)?,
                };
                self.inputs.insert(name.clone(), place.clone());
                Ok(place)
            }
            Kind::Const { words } => {
                let place = Slabs::zeros(device, value.dtype, [words.len(), 1], "a constant")?;
                place.write(device, words)?;
                Ok(place)
            }
            Kind::Temp | Kind::View { .. } | Kind::Slice { .. } => {
                Err(Error::Data { name: format!("%{}", root.0), what: "is no root that stays".into() })
            }
        }
    }

    fn fits(&self, name: &str, place: &Slabs, words: usize) -> Result<()> {
        if place.words() < words {
            let what = format!("has {} words, the tape needs {words}", place.words());
            return Err(Error::Data { name: name.into(), what });
        }
        Ok(())
    }
}

impl Program {
    /// Runs all nodes once. On a GPU this submits and does not wait. Other threads may read the store meanwhile
    /// ([`rt_kernels::Program`]).
    ///
    /// # Errors
    ///
    /// [`Error::Kernels`] if the device is lost or refuses, for a step that has examples past those of the program or of its order, for
    /// learning rates that are no numbers of at least 0, and as [`rt_kernels::Program::run`]: nothing has run then.
    pub fn run(&mut self, step: &Step) -> Result<()> {
        self.check(step)?;
        Ok(self.inner.run(step)?)
    }

    /// Runs node by node; gives (node of the tape, seconds) of each that ran.
    ///
    /// # Errors
    ///
    /// As [`Program::run`].
    pub fn run_timed(&mut self, step: &Step) -> Result<Vec<(usize, f64)>> {
        self.check(step)?;
        let seconds = self.inner.run_timed(step)?;
        Ok(self.by_node(seconds))
    }

    /// Runs node by node; gives (node of the tape, seconds that `clock` gained) of each that ran. See
    /// [`rt_kernels::Program::run_clocked`].
    ///
    /// # Errors
    ///
    /// As [`Program::run`].
    pub fn run_clocked(&mut self, step: &Step, clock: &(dyn Fn() -> f64 + Sync)) -> Result<Vec<(usize, f64)>> {
        self.check(step)?;
        let seconds = self.inner.run_clocked(step, clock)?;
        Ok(self.by_node(seconds))
    }

    /// Fails for a step with more examples than the program has rows for; kernels check the rest. And for lists that do not ascend.
    fn check(&mut self, step: &Step) -> Result<()> {
        self.lists.check(&self.store)?;
        match self.inner.examples() {
            Some(needs) if step.valid as usize > needs.rows => {
                let what = format!("it has {} examples, the program has {} rows for them", step.valid, needs.rows);
                Err(rt_kernels::Error::Step { step: step.step, what }.into())
            }
            _ => Ok(()),
        }
    }

    fn by_node(&self, seconds: Vec<f64>) -> Vec<(usize, f64)> {
        let mut of_nodes: Vec<(usize, f64)> = Vec::with_capacity(self.nodes.len());
        for (node, seconds) in self.nodes.iter().copied().zip(seconds) {
            match of_nodes.last_mut() {
                // A node on a table in slabs is several calls.
                Some((last, sum)) if *last == node => *sum += seconds,
                _ => of_nodes.push((node, seconds)),
            }
        }
        of_nodes
    }

    /// Waits until the device has done all that was submitted.
    ///
    /// # Errors
    ///
    /// [`Error::Ids`] for a step that met ids out of range, once for each such step; [`Error::Kernels`] where the device is lost.
    pub fn synchronize(&self) -> Result<()> {
        self.inner.synchronize()?;
        self.faults.as_ref().map_or(Ok(()), |faults| faults.read(self.store.device()))
    }

    /// Writes an input from word 0 on; it may be shorter than the input.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuch`] for an unknown name; [`Error::Data`] for an id past the rows that it looks up; device errors.
    pub fn write_u32(&mut self, name: &str, data: &[u32]) -> Result<()> {
        let buffer = self.inputs.get(name).ok_or_else(|| Error::NoSuch { what: "input", name: name.into() })?;
        if let Some(bounds) = self.bounds.get(name) {
            crate::ids::check(name, bounds, data)?;
        }
        self.lists.note(name);
        self.store.write_checked(name, buffer, data)
    }

    /// Writes an input of floats; they are looked at first, as [`Store::put_f32`] does.
    ///
    /// # Errors
    ///
    /// As [`Program::write_u32`]; [`Error::Data`] for a value that is NaN or infinite, with its place.
    pub fn write_f32(&mut self, name: &str, data: &[f32]) -> Result<()> {
        crate::finite::check_finite(name, data, 1)?;
        let words: Vec<u32> = data.iter().map(|x| x.to_bits()).collect();
        self.write_u32(name, &words)
    }

    /// Reads an output, row-major, as words; waits for the device.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuch`] for an unknown name; [`Error::Ids`] for a step that met ids out of range, once for each such step; device
    /// errors.
    pub fn read_u32(&self, name: &str) -> Result<Vec<u32>> {
        let missing = || Error::NoSuch { what: "output", name: name.into() };
        let (buffer, place) = self.outputs.get(name).ok_or_else(missing)?;
        self.faults.as_ref().map_or(Ok(()), |faults| faults.read(self.store.device()))?;
        let [rows, cols] = place.shape;
        let words = (rows.saturating_sub(1)) * place.stride + cols;
        let words = self.store.device().read(buffer, place.offset, words)?;
        if place.stride == cols {
            return Ok(words);
        }
        Ok((0..rows).flat_map(|r| words[r * place.stride..][..cols].to_vec()).collect())
    }

    /// Reads an output of floats.
    ///
    /// # Errors
    ///
    /// As [`Program::read_u32`].
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>> {
        Ok(self.read_u32(name)?.into_iter().map(f32::from_bits).collect())
    }

    /// A way to copy rows of an output to the host while steps go on: at most `rows` rows a copy, `slots` copies under way.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuch`] for an unknown name, [`Error::Data`] for one whose rows have gaps; device errors.
    pub fn watch(&self, name: &str, rows: usize, slots: usize) -> Result<Watch> {
        let missing = || Error::NoSuch { what: "output", name: name.into() };
        let (buffer, place) = self.outputs.get(name).ok_or_else(missing)?;
        let [_, cols] = place.shape;
        if place.stride != cols {
            let what = "has gaps between its rows, so that no range of rows is one range of words".to_owned();
            return Err(Error::Data { name: name.into(), what });
        }
        let inner = Readback::new(self.store.device(), rows * cols, slots)?;
        let of = |faults: &Arc<Faults>| -> Result<FaultWatch> {
            let inner = Readback::new(self.store.device(), CheckIds::words(), slots)?;
            Ok(FaultWatch { faults: faults.clone(), inner, came: None })
        };
        let faults = self.faults.as_ref().map(of).transpose()?;
        Ok(Watch { inner, buffer: buffer.clone(), offset: place.offset, cols, faults })
    }

    /// Dispatches of a run on a GPU, kernel calls on the CPU.
    #[must_use]
    pub fn dispatches(&self) -> usize {
        self.inner.dispatches()
    }

    /// What a run does, in order: node of the tape and shader of each GPU dispatch; on the CPU the node and kernel of each
    /// call.
    #[must_use]
    pub fn launches(&self) -> Vec<(usize, &'static str)> {
        self.inner.launches().into_iter().map(|(call, name)| (self.nodes[call], name)).collect()
    }

    /// Bytes of a step's temporaries: as planned, and if none shared a buffer.
    #[must_use]
    pub fn temporary_bytes(&self) -> [usize; 2] {
        self.planned.map(|words| words * 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Params;
    use rt_kernels::Device;
    use rt_kernels::kernels::{Activation, Add, Gemm, ScatterRows};

    fn refused(tape: &Tape) -> String {
        let store = Store::new(&Device::cpu(1).unwrap(), &Params::default(), 1).unwrap();
        tape.compile(&store).map(|_| ()).expect_err("it reads what nothing writes").to_string()
    }

    #[test]
    fn what_nothing_writes_is_not_read() {
        let mut tape = Tape::new();
        let (x, never, out) = (tape.input("x", 2, 2), tape.temp(2, 2), tape.temp(2, 2));
        tape.push(Add { rows: 2, cols: 2 }, vec![Some(x), Some(never)], vec![Some(out)], None).unwrap();
        tape.output("out", out);
        let error = refused(&tape);
        assert!(error.contains("`%1`") && error.contains("`add` (node 0) reads it"), "{error}");
    }

    #[test]
    fn an_operand_that_may_be_left_out_is_not_lost() {
        let mut tape = Tape::new();
        let (x, never, out) = (tape.input("x", 2, 2), tape.temp(2, 2), tape.temp(2, 2));
        let view = tape.rows(never, 0, 1).unwrap();
        let gemm = Gemm { m: 2, n: 2, k: 2, trans_a: false, trans_b: false, activation: Activation::None };
        tape.push(gemm, vec![Some(x), Some(x), Some(view), None], vec![Some(out)], None).unwrap();
        tape.output("out", out);
        let error = refused(&tape);
        assert!(error.contains("`gemm` (node 1) reads it"), "{error}");
    }

    #[test]
    fn what_is_updated_in_place_has_to_be_there() {
        let mut tape = Tape::new();
        let (rows, dense) = (tape.input("rows", 2, 3), tape.temp(4, 3));
        let (keys, first) = (tape.input_ids("keys", 2, 1), tape.input_ids("first", 2, 1));
        let kernel = ScatterRows { table: 0, base: 0, capacity: 2, dim: 3, rows: 4 };
        tape.push(kernel, vec![Some(rows), Some(keys), Some(first)], vec![Some(dense)], None).unwrap();
        tape.output("dense", dense);
        let error = refused(&tape);
        assert!(error.contains("`%1`") && error.contains("scatter_rows"), "{error}");
    }

    #[test]
    fn an_output_has_to_be_written() {
        let mut tape = Tape::new();
        let never = tape.temp(2, 2);
        tape.output("never", never);
        assert!(refused(&tape).contains("no node writes it"));
    }

    #[test]
    fn the_order_of_nodes_counts() {
        let mut tape = Tape::new();
        let (x, a, b) = (tape.input("x", 2, 2), tape.temp(2, 2), tape.temp(2, 2));
        let add = Add { rows: 2, cols: 2 };
        tape.push(add.clone(), vec![Some(x), Some(a)], vec![Some(b)], None).unwrap();
        tape.push(add, vec![Some(x), Some(x)], vec![Some(a)], None).unwrap();
        tape.output("b", b);
        assert!(refused(&tape).contains("(node 0) reads it"));
    }
}
