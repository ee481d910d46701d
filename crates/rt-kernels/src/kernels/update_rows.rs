//! Row updates of the optimisers.

mod cpu;

use super::OnTable;
use super::cells::places;
use super::fit;
use super::on_tables::{Part, together};
use super::segment_sum::{CHUNK_CONSTANT, Segments, iterations, segment_operands, segment_slots};
use crate::slabs::each_slab;
use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, Operands, Signature, SlabCall, Slot};
use cpu::{Rows, Update};
use std::ops::Range;
use std::sync::Arc;

/// How a touched row moves; g is its gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RowRule {
    /// `w -= lr * g`.
    Sgd,
    /// Row-wise Adagrad, one accumulator a row: `a += mean of g^2 over the columns; w -= lr * g / (sqrt(a) + eps)`
    /// (Duchi et al., JMLR 2011; row-wise as in Mudigere et al., ISCA 2022).
    Adagrad {
        /// Added to the root.
        eps: f32,
    },
    /// Lazy Adam: `m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
    /// w -= lr * (m * bias1) / (sqrt(v * bias2) + eps)` on the rows that are touched; all else stays as it is. It is Algorithm 1
    /// of Kingma and Ba (ICLR 2015), so a row that every step touches moves as a dense parameter does, and as in torch's
    /// `Adam`. The bias corrections take the number of the step, not of the row's updates. torch's `SparseAdam` does the
    /// same but for eps: it adds it to the root of v before the correction, `(sqrt(v) + eps) * sqrt(bias2)`, so its eps is
    /// `eps / sqrt(1 - beta2^t)` here: 32 times as much at step 1 with beta2 = 0.999, 1.3 times at step 1000. Where gradients are
    /// not far above eps, rows move further here in the first steps, up to 32 times at step 1. Moments below 1e-36 become 0,
    /// so that they never turn denormal.
    Adam {
        /// Decay of the first moment.
        beta1: f32,
        /// Decay of the second moment.
        beta2: f32,
        /// Added to the root of the corrected second moment.
        eps: f32,
    },
}

/// What of an update is done. Row-wise Adagrad needs the whole gradient row before it moves a cell, so on a table that is
/// cut into slabs of columns it takes two parts; the other rules are whole on each slab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdatePart {
    /// All of it.
    Whole,
    /// The accumulators alone; the table is left out.
    Accumulators,
    /// The table alone, by accumulators that are up to date.
    Table,
}

/// Updates the rows of one table that a step touched, fused with the sum of each row's gradient.
///
/// Row gradient `g = sum of source[sources[e], :]` over the run of the id, in the order of
/// [`SegmentSum`](super::SegmentSum); then the rule, with `lr = step.lr_rows`. Rows without an entry, and row 0, are not touched; of
/// garbage in its reads, which [`Group`](super::Group) does not write, rows past the table count for nothing. Source rows past the
/// source count for nothing on the CPU; on the GPU they add some words of the source's buffer, or zeros.
///
/// Reads `source` `[any, dim]`, `sources` `[any, 1]` of [`Group`](super::Group), and the table's part of the output of
/// [`SegmentRuns`](super::SegmentRuns): `runs` `[1, 2 capacity + 2]` u32, `chunks` `[blocks, dim]`, left out where no run can be
/// long; updates in place `table` `[any, dim]`, `state1` (Adam's m `[any, dim]`, Adagrad's accumulator
/// `[any, 1]`), `state2` (Adam's v `[any, dim]`). Moves per distinct id: its source rows once, `table` and the states twice.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateRows {
    /// The rule.
    pub rule: RowRule,
    /// What of it: [`UpdatePart::Whole`] but for row-wise Adagrad on slabs.
    pub part: UpdatePart,
    /// Most distinct ids that the table can have in a step.
    pub capacity: usize,
    /// Most entries that it can have.
    pub entries: usize,
    /// Columns.
    pub dim: usize,
}

impl Kernel for UpdateRows {
    fn name(&self) -> &'static str {
        match self.rule {
            RowRule::Sgd => "update_rows_sgd",
            RowRule::Adagrad { .. } => "update_rows_adagrad",
            RowRule::Adam { .. } => "update_rows_adam",
        }
    }

    fn signature(&self) -> Signature {
        let reads = segment_slots(self.capacity, self.entries, self.dim);
        let state = |name, cols: Option<usize>, used: bool| {
            let slot = Slot::f32(name, None, cols).in_place();
            if used { slot } else { slot.optional() }
        };
        let (one, two) = match self.rule {
            RowRule::Sgd => (state("state1", None, false), state("state2", None, false)),
            RowRule::Adagrad { .. } => (state("state1", Some(1), true), state("state2", None, false)),
            RowRule::Adam { .. } => (state("state1", Some(self.dim), true), state("state2", Some(self.dim), true)),
        };
        let mut table = Slot::f32("table", None, self.dim).in_place();
        // The other rules have no part without it.
        table.optional = self.part == UpdatePart::Accumulators && matches!(self.rule, RowRule::Adagrad { .. });
        Signature { reads, writes: vec![table, one, two] }
    }

    fn mismatch(&self, operands: &Operands) -> Option<String> {
        let [table, one, two] = [0, 1, 2].map(|i| operands.writes[i]);
        let (one, two) = match self.rule {
            RowRule::Sgd => (None, None),
            RowRule::Adagrad { .. } => (one, None),
            RowRule::Adam { .. } => (one, two),
        };
        fit::same_rows(&[("table", table), ("state1", one), ("state2", two)])
    }

    fn cost(&self) -> Cost {
        let (state, flops) = match self.rule {
            RowRule::Sgd => (0, 2 * self.dim),
            RowRule::Adagrad { .. } => (2, 5 * self.dim),
            RowRule::Adam { .. } => (4 * self.dim, 12 * self.dim),
        };
        Cost {
            bytes: 4.0 * (self.capacity * (3 * self.dim + state + 3)) as f64,
            flops: (self.capacity * (flops + self.dim)) as f64,
        }
    }

    fn on_slabs(&self, slabs: &[Range<usize>]) -> Option<Vec<SlabCall>> {
        let mut calls = Vec::new();
        let mut part = self.part;
        if matches!(self.rule, RowRule::Adagrad { .. }) {
            // The mean over a row is made once, by the same code as for a whole table: the same bits.
            let kernel = Self { part: UpdatePart::Accumulators, ..self.clone() };
            calls.push(SlabCall { kernel: Arc::new(kernel), slab: None });
            part = UpdatePart::Table;
        }
        calls.extend(each_slab(slabs, |dim| Self { part, dim, ..self.clone() }));
        Some(calls)
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let segments = Segments::new(io.read(1), io.read(2), self.capacity);
        let update = Update {
            rule: self.rule,
            part: self.part,
            source: io.read(0),
            segments,
            chunks: io.read_opt(3),
            lr: io.step.lr_rows,
            bias1: io.step.bias1_rows,
            bias2: io.step.bias2_rows,
        };
        let rows = Rows::new(io.write_opt(0), io.write_opt(1), io.write_opt(2));
        update.cut(0, update.segments.count, 0, rows);
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::update_rows(self, io);
        true
    }

    fn on_table(&self) -> Option<OnTable> {
        Some(OnTable::Update(self.clone()))
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        together(vec![self.part(operands)])
    }
}

impl UpdateRows {
    pub(super) fn part(&self, operands: &Operands) -> Part {
        let (words, mut bindings) = segment_operands(operands);
        // Source and runs lie anew for each table, what the grouping sorted is one for all of them.
        let ([source, sources], rest) = ([&words[..2], &words[2..4]], &words[4..]);
        let [table, one, two] = [0, 1, 2].map(|i| operands.writes[i]);
        let cells = (self.capacity * self.dim).div_ceil(64);
        let mut constants = vec![CHUNK_CONSTANT];
        let (mut head, mut own, mut most) = (vec![], vec![self.dim as u32], None);
        let (shader, written, workgroups) = match self.rule {
            RowRule::Sgd => ("update_rows_sgd", vec![table], cells),
            RowRule::Adagrad { eps } => {
                // Lanes of an id: as many as it has columns, a power of two, so that a workgroup holds whole ids.
                let lanes = self.dim.next_power_of_two().min(64);
                let part = match self.part {
                    UpdatePart::Whole => 0.0,
                    UpdatePart::Accumulators => 1.0,
                    UpdatePart::Table => 2.0,
                };
                constants.push(("PART", part));
                most = Some(("CELLS", (64 / lanes * self.dim) as f64));
                head.push(eps.to_bits());
                own.extend([lanes as u32, (1.0 / self.dim as f32).to_bits()]);
                ("update_rows_adagrad", vec![table, one], self.capacity.div_ceil(64 / lanes))
            }
            RowRule::Adam { beta1, beta2, eps } => {
                head.extend([beta1, 1.0 - beta1, beta2, 1.0 - beta2, eps].map(f32::to_bits));
                ("update_rows_adam", vec![table, one, two], cells)
            }
        };
        head.extend(sources);
        own.extend(source.iter().chain(rest));
        own.extend(places(&written));
        own.push(written.iter().flatten().map(|o| o.rows as u32).min().unwrap_or(0));
        bindings.extend(written.into_iter().map(Binding::write));
        // Adagrad's lanes take several columns, twice.
        let columns = if matches!(self.rule, RowRule::Adagrad { .. }) { self.dim.div_ceil(64) } else { 1 };
        let iterations = columns * (6 + iterations(self.entries)) + 16;
        Part { shader, constants, most, head, bindings, table: own, workgroups, iterations }
    }
}
