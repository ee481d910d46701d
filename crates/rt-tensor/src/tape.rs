//! The tape: a flat list of nodes in topological order, plain data.

use crate::fuse::Fusible;
use crate::ops::Op;
use crate::params::{Init, ParamKind, Params};
use crate::{Error, Result};
use rt_kernels::{Dtype, Kernel};
use std::sync::Arc;

/// A value on the tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Var(pub(crate) u32);

/// Where a value lives.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// Made by a node, gone after its last use.
    Temp,
    /// A table of parameters, in the store.
    Table { param: usize },
    /// The arena of all dense parameters, in the store.
    Arena,
    /// Optimiser state or gradients that stay, in the store under this name, zero at first.
    State { name: String },
    /// Written by the host: found in the store under this name, else the program's own.
    Input { name: String },
    /// Fixed words.
    Const { words: Arc<Vec<u32>> },
    /// The rectangle of another value that starts at (row, col).
    View { of: Var, row: usize, col: usize },
    /// Words of another value from `offset` on, rows contiguous.
    Slice { of: Var, offset: usize },
}

/// Shape, type and place of a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Value {
    pub shape: [usize; 2],
    pub dtype: Dtype,
    pub kind: Kind,
    /// Number of the dense parameter that this is a slice of, or of the table that this is.
    pub param: Option<usize>,
}

/// Which part of a step a node belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// From the data to the loss.
    Forward,
    /// Appended by [`Tape::backward`].
    Backward,
    /// Appended by [`Tape::optimize`].
    Update,
}

pub(crate) type AnyKernel = Arc<dyn Kernel + Send + Sync>;

/// One node: what runs, on what, and how its gradient is made.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// `None` if nothing has to run: a view, or a concatenation whose parts were written in place.
    pub kernel: Option<AnyKernel>,
    pub reads: Vec<Option<Var>>,
    pub writes: Vec<Option<Var>>,
    /// What backward needs; `None` for nodes that have no gradient (ids, draws, adjoints, updates).
    pub op: Option<Op>,
    pub phase: Phase,
    /// What the pass after backward may make one kernel of.
    pub fusible: Option<Fusible>,
}

impl Node {
    /// What errors and listings call it.
    pub(crate) fn name(&self) -> &'static str {
        match (&self.op, &self.kernel) {
            (Some(op), _) => op.name(),
            (None, Some(kernel)) => kernel.name(),
            (None, None) => "nothing",
        }
    }

    /// Is what it writes a constant to backward, because it was recorded to be one?
    pub(crate) fn stops_gradient(&self) -> bool {
        matches!(self.op, Some(Op::StopGradient(_)))
    }
}

/// The tape: see the crate's documentation.
#[derive(Debug, Clone, Default)]
pub struct Tape {
    pub(crate) values: Vec<Value>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) params: Params,
    pub(crate) outputs: Vec<(String, Var)>,
    pub(crate) row_grads: Option<crate::grads::RowGrads>,
    pub(crate) dense_grads: Option<Var>,
    pub(crate) phase: Option<Phase>,
    /// Backward failed half-way.
    pub(crate) failed: bool,
    /// What was differentiated: the parts of the loss, which is their sum.
    pub(crate) losses: Vec<Var>,
    /// What ids and slices among the words of inputs and states have to be.
    pub(crate) bounds: crate::ids::Bounds,
    /// Lists that are searched by halves and that the host writes.
    pub(crate) lists: Vec<crate::lists::Lists>,
    /// Checks on the device: of which value, where and by which rule, what stands in for what is wrong, and what they made.
    pub(crate) checks: Vec<(Var, crate::ids::Site, u32, Var)>,
    /// What the parts of a step have handed down so far.
    pub(crate) grads: crate::grads::Grads,
    pub(crate) part: Part,
    arena: Option<Var>,
}

/// A part of a step that takes several batches one after the other.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Part {
    number: u32,
    /// The first of its examples among those of the step.
    pub first: usize,
}

/// Streams of draws are so far from each other from part to part.
const PART_STREAMS: u32 = 1 << 16;

impl Tape {
    /// An empty tape.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty tape over parameters that another tape declared: a tower alone, on the weights of a whole model.
    #[must_use]
    pub fn with_params(params: Params) -> Self {
        Self { params, ..Self::default() }
    }

    /// Starts the next part of the step, whose examples are those from number `first` on: a batch of its own, draws of its own. What
    /// was recorded before hands its gradient down by [`Tape::accumulate`].
    pub fn next_part(&mut self, first: usize) {
        self.part = Part { number: self.part.number + 1, first };
        self.phase = None;
    }

    /// Number `number` of a kind of draws, in this part of the step.
    pub(crate) fn stream(&self, base: u32, number: u32) -> u32 {
        base + number + self.part.number * PART_STREAMS
    }

    /// The parameters declared so far.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// `[rows, cols]` of a value.
    #[must_use]
    pub fn shape(&self, v: Var) -> [usize; 2] {
        self.values[v.0 as usize].shape
    }

    /// Type of a value's words.
    #[must_use]
    pub fn dtype(&self, v: Var) -> Dtype {
        self.values[v.0 as usize].dtype
    }

    /// A table of `rows` x `dim` parameters, looked up by id. Row 0 is zero and never updated.
    ///
    /// # Errors
    ///
    /// [`Error::Declared`] where the name stands for another shape.
    pub fn table(&mut self, name: &str, rows: usize, dim: usize, init: Init) -> Result<Var> {
        let param = self.params.declare(name, [rows, dim], ParamKind::Table, init)?;
        let known = self.values.iter().position(|v| v.kind == Kind::Table { param });
        if let Some(i) = known {
            return Ok(Var(i as u32));
        }
        let v = self.value([rows, dim], Dtype::F32, Kind::Table { param });
        self.values[v.0 as usize].param = Some(param);
        Ok(v)
    }

    /// A dense parameter `[rows, cols]`.
    ///
    /// # Errors
    ///
    /// [`Error::Declared`] where the name stands for another shape.
    pub fn param(&mut self, name: &str, shape: [usize; 2], init: Init) -> Result<Var> {
        let param = self.params.declare(name, shape, ParamKind::Dense, init)?;
        let offset = self.params.list()[param].offset;
        let arena = self.arena();
        let kind = Kind::Slice { of: arena, offset };
        if let Some(i) = self.values.iter().position(|v| v.kind == kind) {
            return Ok(Var(i as u32));
        }
        let v = self.value(shape, Dtype::F32, kind);
        self.values[v.0 as usize].param = Some(param);
        Ok(v)
    }

    /// State `[rows, cols]` that nodes write in place and that is saved with the parameters; it has no gradient.
    ///
    /// # Errors
    ///
    /// [`Error::Declared`] where the name stands for another shape.
    pub(crate) fn state(&mut self, name: &str, shape: [usize; 2], init: Init) -> Result<Var> {
        self.params.declare(name, shape, ParamKind::State, init)?;
        let kind = Kind::State { name: name.into() };
        if let Some(i) = self.values.iter().position(|v| v.kind == kind) {
            return Ok(Var(i as u32));
        }
        Ok(self.value(shape, Dtype::F32, kind))
    }

    pub(crate) fn arena(&mut self) -> Var {
        if let Some(arena) = self.arena {
            return arena;
        }
        // The arena's length is known when all parameters are declared: layout takes it from `params`.
        let v = self.value([0, 1], Dtype::F32, Kind::Arena);
        self.arena = Some(v);
        v
    }

    /// Floats `[rows, cols]` that the host writes: the store's data of this name, else the program's own input.
    pub fn input(&mut self, name: &str, rows: usize, cols: usize) -> Var {
        self.named_input(name, [rows, cols], Dtype::F32)
    }

    /// Ids (or other integers) `[rows, cols]` that the host writes.
    pub fn input_ids(&mut self, name: &str, rows: usize, cols: usize) -> Var {
        self.named_input(name, [rows, cols], Dtype::U32)
    }

    fn named_input(&mut self, name: &str, shape: [usize; 2], dtype: Dtype) -> Var {
        let kind = Kind::Input { name: name.into() };
        if let Some(i) = self.values.iter().position(|v| v.kind == kind && v.shape == shape) {
            return Var(i as u32);
        }
        self.value(shape, dtype, kind)
    }

    /// Fixed floats `[rows, cols]`.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] where `data` is not `rows * cols` long.
    pub fn constant(&mut self, data: &[f32], rows: usize, cols: usize) -> Result<Var> {
        self.fixed(data.iter().map(|x| x.to_bits()).collect(), [rows, cols], Dtype::F32)
    }

    /// Fixed integers `[rows, cols]`.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] where `data` is not `rows * cols` long.
    pub fn constant_ids(&mut self, data: &[u32], rows: usize, cols: usize) -> Result<Var> {
        self.fixed(data.to_vec(), [rows, cols], Dtype::U32)
    }

    fn fixed(&mut self, words: Vec<u32>, shape: [usize; 2], dtype: Dtype) -> Result<Var> {
        if words.len() != shape[0] * shape[1] {
            let what = format!("{} values for shape {shape:?}", words.len());
            return Err(crate::error::shape("constant", what));
        }
        Ok(self.value(shape, dtype, Kind::Const { words: Arc::new(words) }))
    }

    /// Names a value that is to be read after a run; it is kept until the next run.
    pub fn output(&mut self, name: &str, v: Var) {
        self.outputs.push((name.into(), v));
    }

    pub(crate) fn value(&mut self, shape: [usize; 2], dtype: Dtype, kind: Kind) -> Var {
        self.values.push(Value { shape, dtype, kind, param: None });
        Var(self.values.len() as u32 - 1)
    }

    /// A new float value that the next node writes.
    pub(crate) fn temp(&mut self, rows: usize, cols: usize) -> Var {
        self.value([rows, cols], Dtype::F32, Kind::Temp)
    }

    /// A new integer value that the next node writes.
    pub(crate) fn temp_ids(&mut self, rows: usize, cols: usize) -> Var {
        self.value([rows, cols], Dtype::U32, Kind::Temp)
    }

    /// Appends a node. Shapes and types are held against the kernel's signature.
    pub(crate) fn push(
        &mut self,
        kernel: impl Kernel + Send + Sync + 'static,
        reads: Vec<Option<Var>>,
        writes: Vec<Option<Var>>,
        op: Option<Op>,
    ) -> Result<()> {
        let signature = kernel.signature();
        let name = kernel.name();
        for (slots, vars) in [(&signature.reads, &reads), (&signature.writes, &writes)] {
            if slots.len() != vars.len() {
                return Err(crate::error::shape(name, format!("{} operands for {}", vars.len(), slots.len())));
            }
            for (slot, var) in slots.iter().zip(vars) {
                let Some(var) = var else {
                    if slot.optional {
                        continue;
                    }
                    return Err(crate::error::shape(name, format!("`{}` is missing", slot.name)));
                };
                let value = &self.values[var.0 as usize];
                let [rows, cols] = value.shape;
                // The arena's length is not known while parameters are still being declared.
                let whole_arena = value.kind == Kind::Arena;
                if !whole_arena && !slot.fits(rows, cols) {
                    let what = format!("`{}` is [{rows}, {cols}], needs {}", slot.name, slot.shape());
                    return Err(crate::error::shape(name, what));
                }
                if !whole_arena && (rows == 0 || cols == 0) {
                    let what = format!(
                        "`{}` is [{rows}, {cols}] and has no cell: a batch has at least one row, of weight 0 if it is padding",
                        slot.name
                    );
                    return Err(crate::error::shape(name, what));
                }
                if !slot.takes(value.dtype) {
                    let what = format!("`{}` holds {:?}, needs {:?}", slot.name, value.dtype, slot.dtype);
                    return Err(crate::error::shape(name, what));
                }
            }
        }
        let phase = self.phase.unwrap_or(Phase::Forward);
        self.nodes.push(Node { kernel: Some(Arc::new(kernel)), reads, writes, op, phase, fusible: None });
        Ok(())
    }

    /// Appends a node for which nothing runs: what it writes lies in what it reads, or the other way round.
    pub(crate) fn push_in_place(&mut self, reads: &[Var], write: Var, op: Op) {
        let reads = reads.iter().copied().map(Some).collect();
        let phase = self.phase.unwrap_or(Phase::Forward);
        self.nodes.push(Node { kernel: None, reads, writes: vec![Some(write)], op: Some(op), phase, fusible: None });
    }

    /// A value that lies in the words of another one; of floats with the op that hands its gradient on.
    pub(crate) fn alias(&mut self, of: Var, shape: [usize; 2], kind: Kind, op: Op) -> Var {
        let dtype = self.dtype(of);
        let v = self.value(shape, dtype, kind);
        if dtype == Dtype::F32 {
            self.push_in_place(&[of], v, op);
        }
        v
    }

    /// The value that holds a value's words, with its first word and row stride there.
    pub(crate) fn layout(&self, v: Var) -> (Var, usize, usize) {
        let value = &self.values[v.0 as usize];
        match value.kind {
            Kind::View { of, row, col } => {
                let (root, offset, stride) = self.layout(of);
                (root, offset + row * stride + col, stride)
            }
            Kind::Slice { of, offset } => {
                let (root, base, _) = self.layout(of);
                (root, base + offset, value.shape[1])
            }
            Kind::Temp
            | Kind::Table { .. }
            | Kind::Arena
            | Kind::State { .. }
            | Kind::Input { .. }
            | Kind::Const { .. } => (v, 0, value.shape[1]),
        }
    }

    /// The value that holds a value's words.
    pub(crate) fn root(&self, v: Var) -> Var {
        self.layout(v).0
    }

    /// Makes the parts live inside `whole`, each at its place: in place if that is possible, else copied.
    pub(crate) fn assemble(&mut self, parts: &[(Var, Kind)], whole: Var) -> Result<()> {
        let roots: Vec<Var> = parts.iter().map(|(part, _)| self.root(*part)).collect();
        for (i, (part, kind)) in parts.iter().enumerate() {
            // If one of several parts of a value moved into the whole, the others would be copied from the whole to itself.
            let shared = roots.iter().enumerate().any(|(j, root)| j != i && *root == roots[i]);
            if shared || !self.place(*part, kind.clone(), whole) {
                self.copy_into(*part, kind.clone())?;
            }
        }
        Ok(())
    }

    /// Makes `part` live inside `of` if that is possible: it is a temporary, and no node that touches it touches anything else
    /// of `of` (WebGPU: no dispatch may read and write one buffer, or write it twice). Else `false`, and the caller copies.
    fn place(&mut self, part: Var, kind: Kind, of: Var) -> bool {
        let root = self.root(of);
        if self.values[part.0 as usize].kind != Kind::Temp || root == part {
            return false;
        }
        // A reshaped value has to stay without gaps between its rows.
        let reshaped = |v: &Value| matches!(v.kind, Kind::Slice { of, .. } if self.root(of) == part);
        if self.values.iter().any(reshaped) {
            return false;
        }
        let mut made = false;
        for node in &self.nodes {
            let touches = |list: &[Option<Var>], what: Var| list.iter().flatten().any(|v| self.root(*v) == what);
            if node.kernel.is_none() {
                // A concatenation: its parts live in it.
                if node.writes.contains(&Some(part)) {
                    return false;
                }
                continue;
            }
            let writes = touches(&node.writes, part);
            made |= writes;
            let other = touches(&node.writes, root) || writes && touches(&node.reads, root);
            if other && (writes || touches(&node.reads, part)) {
                return false;
            }
        }
        if made {
            self.values[part.0 as usize].kind = kind;
        }
        made
    }

    pub(crate) fn check_dtype(&self, op: &'static str, name: &str, v: Var, want: Dtype) -> Result<()> {
        let got = self.dtype(v);
        if got == want {
            return Ok(());
        }
        Err(crate::error::shape(op, format!("`{name}` holds {got:?}, needs {want:?}")))
    }

    pub(crate) fn param_name(&self, v: Var) -> String {
        match self.values[v.0 as usize].param {
            Some(i) => self.params.list()[i].name.clone(),
            None => format!("%{}", v.0),
        }
    }

    pub(crate) fn is_table(&self, v: Var) -> bool {
        matches!(self.values[v.0 as usize].kind, Kind::Table { .. })
    }

    /// Fails where a value is not a parameter table.
    pub(crate) fn table_param(&self, op: &'static str, table: Var) -> Result<usize> {
        match self.values[table.0 as usize].kind {
            Kind::Table { param } => Ok(param),
            _ => Err(Error::Shape { op, what: "ids look up rows of a table; this value is none".into() }),
        }
    }
}
