//! What a kernel is: a signature, a cost, a CPU twin and GPU dispatches, all derived from plain data.

use crate::{CpuIo, Error, Result, SlabCall};
use std::any::Any;
use std::ops::Range;

/// Type of the words of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// 32-bit float.
    F32,
    /// 32-bit unsigned integer (ids, counts, bits).
    U32,
}

/// Bytes that a kernel must move and operations that it must do, the least that any way of doing it needs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Bytes read and written.
    pub bytes: f64,
    /// Floating-point operations (a fused multiply-add counts two).
    pub flops: f64,
}

impl std::ops::Add for Cost {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, flops: self.flops + other.flops }
    }
}

/// One operand in a kernel's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The name that errors and listings use.
    pub name: &'static str,
    /// Type of its words.
    pub dtype: Dtype,
    /// Words of the other type do as well: they are moved, not computed with.
    pub either: bool,
    /// Rows; `None` = any number.
    pub rows: Option<usize>,
    /// Columns; `None` = any number.
    pub cols: Option<usize>,
    /// May be left out.
    pub optional: bool,
    /// Written operands only: also read (updated in place).
    pub in_place: bool,
}

impl Slot {
    /// A float operand `[rows, cols]`; `None` = any number.
    #[must_use]
    pub fn f32(name: &'static str, rows: impl Into<Option<usize>>, cols: impl Into<Option<usize>>) -> Self {
        let (rows, cols) = (rows.into(), cols.into());
        Self { name, dtype: Dtype::F32, either: false, rows, cols, optional: false, in_place: false }
    }

    /// An integer operand `[rows, cols]`; `None` = any number.
    #[must_use]
    pub fn u32(name: &'static str, rows: impl Into<Option<usize>>, cols: impl Into<Option<usize>>) -> Self {
        Self { dtype: Dtype::U32, ..Self::f32(name, rows, cols) }
    }

    /// The same, but of words of either type.
    #[must_use]
    pub fn either(self) -> Self {
        Self { either: true, ..self }
    }

    /// Does it take words of this type?
    #[must_use]
    pub fn takes(&self, dtype: Dtype) -> bool {
        self.either || self.dtype == dtype
    }

    /// Does it take a matrix of this shape?
    #[must_use]
    pub fn fits(&self, rows: usize, cols: usize) -> bool {
        self.rows.is_none_or(|want| want == rows) && self.cols.is_none_or(|want| want == cols)
    }

    /// Its shape for messages: `[any, 64]`.
    #[must_use]
    pub fn shape(&self) -> String {
        let text = |n: Option<usize>| n.map_or("any".to_owned(), |n| n.to_string());
        format!("[{}, {}]", text(self.rows), text(self.cols))
    }

    /// The same, but it may be left out.
    #[must_use]
    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// The same, but updated in place.
    #[must_use]
    pub fn in_place(self) -> Self {
        Self { in_place: true, ..self }
    }
}

/// What a kernel reads and writes, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    /// Operands that are read.
    pub reads: Vec<Slot>,
    /// Operands that are written.
    pub writes: Vec<Slot>,
}

/// A matrix in a buffer: cell (r, c) is word `offset + r * stride + c`. Several operands may share a buffer
/// (columns of a tower's input; parameters in one arena).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operand {
    /// Index into the program's buffers.
    pub buffer: usize,
    /// First word.
    pub offset: usize,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Words from one row to the next, at least `cols`.
    pub stride: usize,
}

impl Operand {
    /// A whole buffer, rows contiguous.
    #[must_use]
    pub fn dense(buffer: usize, rows: usize, cols: usize) -> Self {
        Self { buffer, offset: 0, rows, cols, stride: cols }
    }

    /// First word past the last cell; `None` if no buffer can be so long. Checked in every profile: that operands end within
    /// their buffers is what bounds the shaders and the raw pointers of the CPU twins.
    #[must_use]
    pub fn end(&self) -> Option<usize> {
        self.offset.checked_add(extent(self.rows, self.cols, self.stride)?)
    }
}

/// Words from the first cell of a matrix to past its last one; `None` if they cannot be counted.
pub(crate) fn extent(rows: usize, cols: usize, stride: usize) -> Option<usize> {
    match rows.checked_sub(1) {
        None => Some(0),
        Some(before) => before.checked_mul(stride)?.checked_add(cols),
    }
}

/// The operands of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Operands {
    /// In the order of [`Signature::reads`].
    pub reads: Vec<Option<Operand>>,
    /// In the order of [`Signature::writes`]; a write that nobody needs may be `None` where it is optional.
    pub writes: Vec<Option<Operand>>,
    /// Scratch buffers, in the order of [`Kernel::scratch`]; filled in by the device.
    pub scratch: Vec<Operand>,
}

impl Operands {
    /// Read operand `i`, which the signature says must be there.
    #[must_use]
    pub fn read(&self, i: usize) -> Operand {
        self.reads[i].expect("checked against the signature")
    }

    /// Written operand `i`, which the signature says must be there.
    #[must_use]
    pub fn write(&self, i: usize) -> Operand {
        self.writes[i].expect("checked against the signature")
    }
}

/// A storage binding of a dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// `var<storage, read>` on a buffer of the program.
    Read(usize),
    /// `var<storage, read_write>` on a buffer of the program.
    Write(usize),
    /// `var<storage, read>` that the kernel was not given and does not touch.
    NoRead,
    /// `var<storage, read_write>` that the kernel was not given and does not touch.
    NoWrite,
}

impl Binding {
    /// Read binding of an operand that may be left out.
    #[must_use]
    pub fn read(operand: Option<Operand>) -> Self {
        operand.map_or(Self::NoRead, |o| Self::Read(o.buffer))
    }

    /// Write binding of an operand that may be left out.
    #[must_use]
    pub fn write(operand: Option<Operand>) -> Self {
        operand.map_or(Self::NoWrite, |o| Self::Write(o.buffer))
    }
}

/// One GPU dispatch as plain data. Binding 0 is the uniform `params`; binding 1 the [`crate::Step`] uniform where
/// `step` is set; storage bindings follow from 2 on, in the order of `bindings`.
#[derive(Debug, Clone, PartialEq)]
pub struct Dispatch {
    /// Stem of the `.wgsl` file.
    pub shader: &'static str,
    /// Pipeline constants (`override`).
    pub constants: Vec<(&'static str, f64)>,
    /// The words of `params`.
    pub params: Vec<u32>,
    /// True if the shader declares the step uniform at binding 1.
    pub step: bool,
    /// Storage bindings from 2 on.
    pub bindings: Vec<Binding>,
    /// Workgroups in all; the device folds them into (x, y), so the shader takes `y * num_workgroups.x + x`
    /// and returns past its end.
    pub workgroups: usize,
    /// Iterations of all loops of the shader together that one invocation goes through at most, for these shapes, the pass that ends
    /// a loop counted too; 0 for a shader without loops. See [`MOST_ITERATIONS`].
    pub iterations: usize,
}

impl Dispatch {
    /// The same with so many iterations.
    pub(crate) fn looping(self, iterations: usize) -> Self {
        Self { iterations, ..self }
    }
}

/// Iterations that every adapter lets an invocation go through. llvmpipe ends it after these, without a word, and counts all loops
/// of a shader together: a program with more is refused on software drivers. Kernels whose work can be cut keep below it for every
/// shape, on every GPU alike.
pub const MOST_ITERATIONS: usize = 65_535;
/// What is known of the integers that a kernel writes, for any words in its reads. With it a bound on ids is carried back to what
/// they are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Made {
    /// The words of column c that come of no read are below `below[c]`; of further columns below the last of these, or there are
    /// none.
    pub below: Vec<u32>,
    /// The read operands whose words it passes on: column for column from one that has as many columns, else from anywhere in it.
    pub of: Vec<usize>,
    /// Are rows passed on whole, or all zeros?
    pub whole_rows: bool,
    /// The rows are slices (start, length) that lie within so many words.
    pub within: Option<u32>,
}

impl Made {
    /// Words of its own, below `n`.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { below: vec![n.min(u32::MAX as usize) as u32], ..Self::default() }
    }

    /// Words of these reads, or 0.
    #[must_use]
    pub fn passed(of: &[usize]) -> Self {
        Self { of: of.to_vec(), ..Self::new(1) }
    }

    /// Rows of this read, or zeros.
    #[must_use]
    pub fn rows(of: usize) -> Self {
        Self { whole_rows: true, ..Self::passed(&[of]) }
    }

    /// Slices that lie within `words` words.
    #[must_use]
    pub fn slices(words: usize) -> Self {
        let within = u32::try_from(words).ok();
        Self { within, ..Self::new(words.saturating_add(1)) }
    }

    /// What its own words of a column are below.
    #[must_use]
    pub fn below(&self, column: usize) -> u32 {
        self.below.get(column).or(self.below.last()).copied().unwrap_or(0)
    }
}

/// What a kernel needs of a step: it takes examples from a list of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Examples {
    /// One past the last example of the step that it has a row for.
    pub rows: usize,
    /// Entries of the list.
    pub list: usize,
}

/// A way of computing a kernel on a GPU, where it has several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Variant {
    /// Default limits and no optional feature: every GPU runs it.
    #[default]
    Portable,
    /// For software drivers with subgroups of eight lanes: whole rows in registers, words handed round by shuffles.
    Subgroup,
    /// Products in the portable tiles, with loads of four words where operands lie so that it can.
    Vec4,
    /// The same in tiles of 128 x 128 cells.
    Wide,
    /// Products in the portable tiles, held in f16 where operands lie for loads of four words; sums stay f32. Never but where
    /// it is asked for: the bits are others.
    F16,
}

impl Variant {
    /// Its name in listings and ids.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Subgroup => "subgroup",
            Self::Vec4 => "vec4",
            Self::Wide => "wide",
            Self::F16 => "f16",
        }
    }
}

/// Where a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// The CPU twin.
    Cpu,
    /// The WGSL.
    Gpu,
}

/// A kernel: plain data (shapes and attributes) from which everything else follows.
///
/// Kernels of other crates run too. What they say of themselves is not believed: on a GPU their dispatches run with bounds checks.
pub trait Kernel: std::fmt::Debug + Any {
    /// The name in listings, benches and errors.
    fn name(&self) -> &'static str;
    /// What it reads and writes.
    fn signature(&self) -> Signature;
    /// Why it cannot run on these operands, although each has a shape that its slot takes: attributes that no slot shows and
    /// that do not fit together, or two operands that do not fit each other. Slots and this together bound every index that does
    /// not come from data.
    fn mismatch(&self, operands: &Operands) -> Option<String> {
        let _ = operands;
        None
    }
    /// Bytes and operations.
    fn cost(&self) -> Cost;
    /// Words of each scratch buffer that it wants on this target.
    fn scratch(&self, target: Target) -> Vec<usize> {
        let _ = target;
        Vec::new()
    }
    /// The calls that do the same where its table lies in slabs of these columns; `None` for kernels that have no
    /// table.
    fn on_slabs(&self, slabs: &[Range<usize>]) -> Option<Vec<SlabCall>> {
        let _ = slabs;
        None
    }
    /// Its shape where it is a row lookup and nothing else (reads: table, ids): a GPU program makes one of several.
    fn lookup(&self) -> Option<crate::kernels::Lookup> {
        None
    }
    /// Itself where it changes the touched rows of one table: a GPU program makes one of several.
    fn on_table(&self) -> Option<crate::kernels::OnTable> {
        None
    }
    /// Itself where it sums columns: a GPU program makes one of several, and a plan may let them wait for each other.
    fn column_sum(&self) -> Option<crate::kernels::ColumnSum> {
        None
    }
    /// What its last dispatch does, where that does no more than to sum the parts in its only scratch into its only output: a GPU
    /// program may sum the parts of several such kernels later, in one dispatch.
    fn later(&self, operands: &Operands) -> Option<crate::kernels::PartSum> {
        let _ = operands;
        None
    }
    /// Its class where it is a matrix product: a hardware GPU is timed for the variant that each class runs.
    fn product(&self) -> Option<crate::kernels::Product> {
        None
    }
    /// What is known of the integers in written operand `write`, for reads of these shapes; `None` where nothing is.
    fn made(&self, write: usize, reads: &[Option<[usize; 2]>]) -> Option<Made> {
        let _ = (write, reads);
        None
    }
    /// The examples that it takes of each step, if it takes any: a program refuses a step that has others.
    fn examples(&self, operands: &Operands) -> Option<Examples> {
        let _ = operands;
        None
    }
    /// The CPU twin. Runs inside the device's thread pool, so rayon's parallel iterators use its threads.
    fn run(&self, io: &mut CpuIo<'_>);
    /// The same as plain loops on one thread: the one to read. False, and nothing done, where [`Kernel::run`] is that
    /// already.
    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        let _ = io;
        false
    }
    /// The GPU's dispatches, in order: those of [`Variant::Portable`].
    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch>;
    /// The variants that it has on a GPU besides [`Variant::Portable`], for its shape.
    fn variants(&self) -> Vec<Variant> {
        Vec::new()
    }
    /// The dispatches of one of its variants.
    fn dispatches_as(&self, operands: &Operands, variant: Variant) -> Vec<Dispatch> {
        let _ = variant;
        self.dispatches(operands)
    }
}

/// Checks operands against a kernel's signature, in every build profile: the shaders and the CPU twins' pointers rest on it. What
/// it cannot see is whether operands end within their buffers and what type these have: [`crate::Program::new`] does.
///
/// # Errors
///
/// [`Error::Shape`] for a missing operand or a wrong shape; [`Error::Call`] for one that is longer than any buffer, where one buffer
/// is read and written (WebGPU forbids it within a dispatch) or written twice, and where the kernel says [`Kernel::mismatch`].
pub fn check(kernel: &dyn Kernel, operands: &Operands) -> Result<()> {
    let signature = kernel.signature();
    let name = kernel.name();
    let refuse = |what: String| Err(Error::Call { kernel: name, what });
    for (slots, given, what) in
        [(&signature.reads, &operands.reads, "reads"), (&signature.writes, &operands.writes, "writes")]
    {
        if slots.len() != given.len() {
            return refuse(format!("{what} {} operands, {} were given", slots.len(), given.len()));
        }
        for (slot, operand) in slots.iter().zip(given) {
            let shape = |got: String| Error::Shape { kernel: name, operand: slot.name, got, want: slot.shape() };
            match operand {
                None if slot.optional => {}
                None => return Err(shape("missing".into())),
                Some(o) if !slot.fits(o.rows, o.cols) || o.stride < o.cols => {
                    return Err(shape(format!("[{}, {}] with stride {}", o.rows, o.cols, o.stride)));
                }
                Some(o) if o.end().is_none() || [o.rows, o.cols, o.stride].iter().any(|n| *n > MOST) => {
                    let (at, [rows, cols]) = (slot.name, [o.rows, o.cols]);
                    let size = format!("[{rows}, {cols}] with stride {} from word {}", o.stride, o.offset);
                    return refuse(format!("operand `{at}` is {size}: rows, columns and strides end at {MOST}"));
                }
                Some(_) => {}
            }
        }
    }
    let written: Vec<usize> = operands.writes.iter().flatten().map(|o| o.buffer).collect();
    for (i, buffer) in written.iter().enumerate() {
        if written[..i].contains(buffer) || operands.reads.iter().flatten().any(|o| o.buffer == *buffer) {
            return refuse(format!("buffer {buffer} is written and used again in the same call"));
        }
    }
    kernel.mismatch(operands).map_or(Ok(()), refuse)
}

/// Most rows, columns and words of a stride: shaders count them in 32 bits, and products of two are counted in 64.
const MOST: usize = u32::MAX as usize;
