//! Weight decay of the rows that a step touches.

use super::OnTable;
use super::cells::places;
use super::fit;
use super::on_tables::{Part, together};
use super::touched::Touched;
use crate::slabs::each_slab;
use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, Operands, Signature, SlabCall, Slot};
use std::ops::Range;

/// Decoupled weight decay (Loshchilov and Hutter 2019) of touched rows: `w *= max(1 - lr_rows decay, 0)`, ahead of their update. A
/// row that no step touches does not shrink, so tables stay row-sparse.
///
/// Reads `keys` `[any, 1]` and `first` `[tables + 1, 1]` of [`Group`](super::Group), u32; updates `table` `[any, dim]` in place.
/// Row 0 and rows without an entry are not touched. Moves `2 dim + 1` words a distinct id.
#[derive(Debug, Clone, PartialEq)]
pub struct DecayRows {
    /// Share that a learning rate of 1 would take off.
    pub decay: f32,
    /// The table's number in the grouping.
    pub table: usize,
    /// Its first global key.
    pub base: u32,
    /// Most distinct ids that the table can have in a step.
    pub capacity: usize,
    /// Columns.
    pub dim: usize,
    /// Tables of the grouping.
    pub tables: usize,
}

impl Kernel for DecayRows {
    fn name(&self) -> &'static str {
        "decay_rows"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![Slot::u32("keys", None, 1), Slot::u32("first", self.tables.saturating_add(1), 1)],
            writes: vec![Slot::f32("table", None, self.dim).in_place()],
        }
    }

    fn mismatch(&self, _: &Operands) -> Option<String> {
        fit::table(self.table, self.tables).or_else(|| fit::word("capacity", self.capacity))
    }

    fn cost(&self) -> Cost {
        let cells = (self.capacity * self.dim) as f64;
        Cost { bytes: 4.0 * (2.0 * cells + self.capacity as f64), flops: cells }
    }

    fn on_slabs(&self, slabs: &[Range<usize>]) -> Option<Vec<SlabCall>> {
        Some(each_slab(slabs, |dim| Self { dim, ..self.clone() }))
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let touched = Touched::of(io, 0, self.table, self.base, self.capacity);
        let keep = (1.0 - io.step.lr_rows * self.decay).max(0.0);
        touched.each(io.write_opt(0), None, |_, row, _| row.iter_mut().for_each(|w| *w *= keep));
    }

    fn on_table(&self) -> Option<OnTable> {
        Some(OnTable::Decay(self.clone()))
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        together(vec![self.part(operands)])
    }
}

impl DecayRows {
    pub(super) fn part(&self, operands: &Operands) -> Part {
        let (keys, first, table) = (operands.read(0), operands.read(1), operands.write(0));
        let mut head = vec![self.decay.to_bits()];
        head.extend(places(&[Some(keys), Some(first)]));
        let mut words = vec![self.capacity as u32, self.dim as u32, self.table as u32, self.base];
        words.extend(places(&[Some(table)]));
        words.push(table.rows as u32);
        Part {
            shader: "decay_rows",
            constants: vec![],
            most: None,
            head,
            bindings: vec![Binding::Read(keys.buffer), Binding::Read(first.buffer), Binding::Write(table.buffer)],
            table: words,
            workgroups: (self.capacity * self.dim).div_ceil(64),
            iterations: 0,
        }
    }
}
