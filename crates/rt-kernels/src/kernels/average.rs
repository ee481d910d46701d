//! Averaged weights: an exponential moving average of every parameter over the steps.

use super::OnTable;
use super::cells::places;
use super::fit;
use super::on_tables::{Part, together};
use super::touched::Touched;
use crate::slabs::each_slab;
use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, Operands, Signature, SlabCall, Slot};
use std::ops::Range;
use std::sync::Arc;

/// How much of the old average stays at step s: `d_s = min(decay, (s - 1) / (s + 9))`, so that the average starts at the
/// weights after the first step and is not drawn to the initial values (the warm-up of TensorFlow's
/// `ExponentialMovingAverage`, one step later).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EmaDecay {
    decay: f32,
    /// ln decay.
    ln: f32,
    /// The last step whose d_s is below `decay`.
    warm: u32,
}

impl EmaDecay {
    /// For a decay above 0 and below 1.
    #[must_use]
    pub fn new(decay: f32) -> Self {
        let d = f64::from(decay);
        // (s - 1) / (s + 9) < d where s < (1 + 9 d) / (1 - d).
        let warm = ((1.0 + 9.0 * d) / (1.0 - d)).ceil() - 1.0;
        Self { decay, ln: d.ln() as f32, warm: warm.clamp(1.0, 1e9) as u32 }
    }

    /// d_s of step `s`, from 1.
    #[must_use]
    pub fn at(&self, s: u32) -> f32 {
        if s <= self.warm { (s as f32 - 1.0) / (s as f32 + 9.0) } else { self.decay }
    }

    /// The product of d_s over the steps `from ..= to`; `from = 0` is step 1, and no step gives 1. That of the warm steps
    /// telescopes to ten factors.
    #[inline(always)]
    #[must_use]
    pub fn over(&self, from: f32, to: f32) -> f32 {
        let from = from.max(1.0);
        if to < from {
            return 1.0;
        }
        let warm = self.warm as f32;
        let mut product = 1.0;
        if from <= warm {
            let end = to.min(warm);
            for i in 0..10 {
                product *= (from - 1.0 + i as f32) / (end + i as f32);
            }
        }
        let cold = to - warm.max(from - 1.0);
        if cold > 0.0 { product * (cold * self.ln).exp() } else { product }
    }

    pub(super) fn words(&self) -> [u32; 3] {
        [self.decay.to_bits(), self.ln.to_bits(), self.warm]
    }
}

/// What of an [`EmaRows`] is done: a table that is cut into slabs takes the rows of each slab, then the marks once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmaPart {
    /// Both.
    Whole,
    /// The averages alone.
    Rows,
    /// The marks alone; table and average are left out.
    Seen,
}

/// Brings the averages of the rows that step t touches up to date with the steps before it, ahead of their update.
///
/// `seen` of a row is the first step that its average does not hold yet (0: none). The row stood still since, so
/// `average = w + D (average - w)` with `D = d_seen ... d_(t-1)` ([`EmaDecay::over`]) is exact; then `seen = t`. So an
/// average costs what a step touches; a reader takes the product up to the last step itself.
///
/// Reads `keys` `[any, 1]` and `first` `[tables + 1, 1]` of [`Group`](super::Group), u32, and `table` `[any, dim]`; updates in
/// place `average` `[any, dim]` and `seen` `[any, 1]`, a step's number as f32. Rows without an entry, and row 0, are not
/// touched. Moves per distinct id `3 dim + 3` words.
#[derive(Debug, Clone, PartialEq)]
pub struct EmaRows {
    /// What stays.
    pub decay: EmaDecay,
    /// What is done.
    pub part: EmaPart,
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

impl Kernel for EmaRows {
    fn name(&self) -> &'static str {
        "ema_rows"
    }

    fn signature(&self) -> Signature {
        let row = |slot: Slot| if self.part == EmaPart::Seen { slot.optional() } else { slot };
        Signature {
            reads: vec![
                Slot::u32("keys", None, 1),
                Slot::u32("first", self.tables.saturating_add(1), 1),
                row(Slot::f32("table", None, self.dim)),
            ],
            writes: vec![row(Slot::f32("average", None, self.dim).in_place()), Slot::f32("seen", None, 1).in_place()],
        }
    }

    fn mismatch(&self, operands: &Operands) -> Option<String> {
        let own = [("table", operands.reads[2]), ("average", operands.writes[0]), ("seen", operands.writes[1])];
        let wrong = fit::table(self.table, self.tables).or_else(|| fit::word("capacity", self.capacity));
        wrong.or_else(|| fit::same_rows(&own))
    }

    fn cost(&self) -> Cost {
        let cells = (self.capacity * self.dim) as f64;
        Cost { bytes: 4.0 * (3.0 * cells + 3.0 * self.capacity as f64), flops: 3.0 * cells }
    }

    fn on_slabs(&self, slabs: &[Range<usize>]) -> Option<Vec<SlabCall>> {
        let mut calls = each_slab(slabs, |dim| Self { part: EmaPart::Rows, dim, ..self.clone() });
        let kernel = Self { part: EmaPart::Seen, ..self.clone() };
        calls.push(SlabCall { kernel: Arc::new(kernel), slab: None });
        Some(calls)
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let touched = Touched::of(io, 0, self.table, self.base, self.capacity);
        let table = io.read_opt(2);
        let step = io.step.step as f32;
        touched.each(io.write_opt(0), io.write_opt(1), |id, average, seen| {
            if let (Some(table), false) = (&table, self.part == EmaPart::Seen) {
                let stays = self.decay.over(seen.first().copied().unwrap_or(0.0), step - 1.0);
                for (average, w) in average.iter_mut().zip(if id < table.rows { table.row(id) } else { &[] }) {
                    *average = w + stays * (*average - w);
                }
            }
            if let (Some(seen), true) = (seen.first_mut(), self.part != EmaPart::Rows) {
                *seen = step;
            }
        });
    }

    fn on_table(&self) -> Option<OnTable> {
        Some(OnTable::Average(self.clone()))
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        together(vec![self.part(operands)])
    }
}

impl EmaRows {
    pub(super) fn part(&self, operands: &Operands) -> Part {
        let (keys, first, seen) = (operands.read(0), operands.read(1), operands.write(1));
        let (table, average) = (operands.reads[2], operands.writes[0]);
        // Whole ids in a workgroup: the mark of an id is written after all of its lanes have read it.
        let (lanes, part) = match self.part {
            EmaPart::Whole => (self.dim.next_power_of_two().min(64), 0.0),
            EmaPart::Rows => (self.dim.next_power_of_two().min(64), 1.0),
            EmaPart::Seen => (1, 2.0),
        };
        let mut head = self.decay.words().to_vec();
        head.extend(places(&[Some(keys), Some(first)]));
        let mut words = [lanes, self.capacity, self.dim, self.table].map(|x| x as u32).to_vec();
        words.push(self.base);
        words.extend(places(&[table, Some(seen), average]));
        words.push([table, Some(seen), average].iter().flatten().map(|o| o.rows as u32).min().unwrap_or(0));
        Part {
            shader: "ema_rows",
            constants: vec![("PART", part)],
            most: None,
            head,
            bindings: vec![
                Binding::Read(keys.buffer),
                Binding::Read(first.buffer),
                Binding::read(table),
                Binding::Write(seen.buffer),
                Binding::write(average),
            ],
            table: words,
            workgroups: self.capacity.div_ceil(64 / lanes),
            iterations: 12 + self.dim.div_ceil(lanes),
        }
    }
}
