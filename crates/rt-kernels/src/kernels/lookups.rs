//! Row lookups side by side as one: what a GPU program makes of the gathers and takes that follow each other.

use crate::{Binding, Cost, CpuIo, Dispatch, Dtype, Kernel, Operand, Operands, Signature, Slot};

/// Shape of one lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lookup {
    /// Rows looked up.
    pub rows: usize,
    /// Columns of the table.
    pub cols: usize,
    /// Type of the table's words.
    pub dtype: Dtype,
}

/// `out[i, :] = table[ids[i], :]` for each of several lookups, none of which reads what another one writes; zeros for an id past
/// its table.
///
/// Reads `table` `[any, cols]` and `ids` `[rows, 1]` u32 of each in turn; writes `out` `[rows, cols]` of each. Moves
/// `2 * rows * cols + rows` words a lookup, no arithmetic. On the GPU one dispatch for as many of them as seven bindings hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Lookups {
    /// The lookups.
    pub list: Vec<Lookup>,
}

/// Lookups of a dispatch, and the buffers that it reads and writes, as in the shader.
const LOOKUPS: usize = 16;
const READS: usize = 5;
const WRITES: usize = 2;

impl Kernel for Lookups {
    fn name(&self) -> &'static str {
        "lookups"
    }

    fn signature(&self) -> Signature {
        // Words are moved: those of a take may be of either type.
        let slot = |name, rows: Option<usize>, l: &Lookup| match l.dtype {
            Dtype::F32 => Slot::f32(name, rows, l.cols),
            Dtype::U32 => Slot::u32(name, rows, l.cols).either(),
        };
        Signature {
            reads: self.list.iter().flat_map(|l| [slot("table", None, l), Slot::u32("ids", l.rows, 1)]).collect(),
            writes: self.list.iter().map(|l| slot("out", Some(l.rows), l)).collect(),
        }
    }

    fn cost(&self) -> Cost {
        let words = |l: &Lookup| 2 * l.rows * l.cols + l.rows;
        Cost { bytes: 4.0 * self.list.iter().map(words).sum::<usize>() as f64, flops: 0.0 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        for i in 0..self.list.len() {
            let (table, ids) = (io.read(2 * i), io.read(2 * i + 1));
            super::cells::each_block(io.write(i), |first, mut out| {
                for r in 0..out.rows {
                    super::cells::copy_row(&table, ids.id(first + r), out.row_u32(r));
                }
            });
        }
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let mut list = Vec::new();
        let mut some = Together::default();
        for (i, lookup) in self.list.iter().enumerate() {
            let (reads, out) = ([0, 1].map(|k| operands.read(2 * i + k)), operands.write(i));
            if !some.has_room(&reads, &out) {
                list.extend(std::mem::take(&mut some).dispatch());
            }
            some.add(lookup, reads, out);
        }
        list.extend(some.dispatch());
        list
    }
}

/// Lookups that share a dispatch.
#[derive(Default)]
struct Together {
    reads: Vec<usize>,
    writes: Vec<usize>,
    lookups: usize,
    cells: usize,
    words: Vec<u32>,
}

/// Number of a buffer in the order of the bindings, a new one where it has none.
fn slot(buffers: &mut Vec<usize>, buffer: usize) -> usize {
    buffers.iter().position(|b| *b == buffer).unwrap_or_else(|| {
        buffers.push(buffer);
        buffers.len() - 1
    })
}

impl Together {
    fn has_room(&self, reads: &[Operand; 2], out: &Operand) -> bool {
        let mut all = self.reads.clone();
        for o in reads {
            slot(&mut all, o.buffer);
        }
        let writes = self.writes.len() + usize::from(!self.writes.contains(&out.buffer));
        self.lookups < LOOKUPS && all.len() <= READS && writes <= WRITES
    }

    fn add(&mut self, lookup: &Lookup, reads: [Operand; 2], out: Operand) {
        let [table, ids] = reads.map(|o| slot(&mut self.reads, o.buffer));
        let cells = lookup.rows * lookup.cols;
        let slots = table | ids << 4 | slot(&mut self.writes, out.buffer) << 8;
        self.words.extend([self.cells, cells, lookup.cols, reads[0].rows, slots, 0].map(|x| x as u32));
        self.words.extend([reads[0], reads[1], out].iter().flat_map(|o| [o.offset as u32, o.stride as u32]));
        self.cells += cells;
        self.lookups += 1;
    }

    fn dispatch(self) -> Option<Dispatch> {
        let mut params = vec![self.lookups as u32, 0, 0, 0];
        params.extend(self.words);
        params.resize(4 + 12 * LOOKUPS, 0);
        let mut bindings: Vec<Binding> = self.reads.into_iter().map(Binding::Read).collect();
        bindings.resize(READS, Binding::NoRead);
        bindings.extend(self.writes.into_iter().map(Binding::Write));
        bindings.resize(READS + WRITES, Binding::NoWrite);
        (self.cells > 0).then(|| Dispatch {
            shader: "lookups",
            constants: vec![],
            params,
            step: false,
            bindings,
            workgroups: self.cells.div_ceil(64),
            iterations: LOOKUPS,
        })
    }
}
