//! Optimisers: one node for all dense parameters, one for each table.

use crate::grads::{RowGrads, TableGrad};
use crate::tape::{Kind, Phase, Tape};
use crate::{Error, Result, averages};
use rt_kernels::Dtype;
use rt_kernels::kernels::{
    AverageDense, AverageRows, DenseRule, RowRule, StampRows, UpdateDense, UpdatePart, UpdateRows,
};

/// How parameters follow their gradients. Learning rates are no part of it: they come with each step
/// ([`rt_kernels::Step`]).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Optimizer {
    /// Rule of dense parameters.
    pub dense: DenseRule,
    /// Rule of table rows; only rows that a step touches are updated.
    pub rows: RowRule,
    /// Decoupled weight decay of dense parameters (AdamW, Loshchilov and Hutter 2019).
    pub weight_decay: f32,
    /// Decay of the exponential average that is kept of every parameter; 0 keeps none. [`crate::Store::averages`] reads it.
    pub average: f32,
}

impl Optimizer {
    /// Adam (Kingma and Ba 2015) with the usual betas; lazy for tables, which is torch's `SparseAdam`.
    #[must_use]
    pub fn adam() -> Self {
        let (beta1, beta2, eps) = (0.9, 0.999, 1e-8);
        Self {
            dense: DenseRule::Adam { beta1, beta2, eps },
            rows: RowRule::Adam { beta1, beta2, eps },
            weight_decay: 0.0,
            average: 0.0,
        }
    }

    /// Adam for dense parameters, row-wise Adagrad (one accumulator a row, as in DLRM) for tables: half the memory
    /// traffic and a third of the memory of lazy Adam.
    #[must_use]
    pub fn adagrad_rows() -> Self {
        Self { rows: RowRule::Adagrad { eps: 1e-8 }, ..Self::adam() }
    }

    /// `step` with learning rates (dense, rows) and the bias corrections of this optimiser's betas.
    #[must_use]
    pub fn rates(&self, step: rt_kernels::Step, lr: f32, lr_rows: f32) -> rt_kernels::Step {
        // Both rules are Adam with the same betas, or the corrections are not used.
        let (beta1, beta2) = match (self.dense, self.rows) {
            (DenseRule::Adam { beta1, beta2, .. }, _) | (_, RowRule::Adam { beta1, beta2, .. }) => (beta1, beta2),
            _ => (0.0, 0.0),
        };
        step.with_rates(lr, lr_rows, beta1, beta2)
    }

    /// Plain gradient descent.
    #[must_use]
    pub fn sgd() -> Self {
        Self { dense: DenseRule::Sgd, rows: RowRule::Sgd, weight_decay: 0.0, average: 0.0 }
    }
}

impl Tape {
    /// Appends the updates of all parameters, after [`Tape::backward`].
    ///
    /// # Errors
    ///
    /// [`Error::NoGradient`] before `backward`.
    pub fn optimize(&mut self, optimizer: &Optimizer) -> Result<()> {
        if self.row_grads.is_none() && self.dense_grads.is_none() {
            return Err(Error::NoGradient("record `backward` before `optimize`".into()));
        }
        self.phase = Some(Phase::Update);
        if let Some(rows) = self.row_grads.clone() {
            for (number, t) in rows.tables.iter().enumerate() {
                let [vocab, dim] = self.shape(t.table);
                let name = self.param_name(t.table);
                if optimizer.average > 0.0 {
                    self.average_rows(&rows, number, t, optimizer.average)?;
                }
                let (first, second) = match optimizer.rows {
                    RowRule::Sgd => (None, None),
                    RowRule::Adagrad { .. } => (Some(("sum", [vocab, 1])), None),
                    RowRule::Adam { .. } => (Some(("m", [vocab, dim])), Some(("v", [vocab, dim]))),
                };
                let mut state = |s: Option<(&str, [usize; 2])>| {
                    s.map(|(suffix, shape)| {
                        let kind = Kind::State { name: format!("{name}.{suffix}") };
                        self.value(shape, Dtype::F32, kind)
                    })
                };
                let (first, second) = (state(first), state(second));
                let kernel = UpdateRows {
                    rule: optimizer.rows,
                    part: UpdatePart::Whole,
                    table: number,
                    base: t.base,
                    capacity: t.capacity,
                    entries: t.entries,
                    dim,
                    tables: rows.tables.len(),
                };
                let reads = [t.source, rows.keys, rows.sources, rows.starts, rows.first].map(Some).to_vec();
                self.push(kernel, reads, vec![Some(t.table), first, second], None)?;
            }
        }
        if let Some(grads) = self.dense_grads {
            let n = self.params.dense_words();
            let count = match optimizer.dense {
                DenseRule::Sgd => 0,
                DenseRule::Adagrad { .. } => 1,
                DenseRule::Adam { .. } => 2,
            };
            let mut state = |i: usize, suffix: &str| {
                let kind = Kind::State { name: format!("dense.{suffix}") };
                (count > i).then(|| self.value([n, 1], Dtype::F32, kind))
            };
            let (first, second) = (state(0, "m"), state(1, "v"));
            let arena = self.arena();
            if optimizer.average > 0.0 {
                let kind = Kind::State { name: averages::dense() };
                let average = self.value([n, 1], Dtype::F32, kind);
                let kernel = AverageDense { n, decay: optimizer.average };
                self.push(kernel, vec![Some(arena)], vec![Some(average)], None)?;
            }
            let kernel = UpdateDense { rule: optimizer.dense, n, weight_decay: optimizer.weight_decay };
            self.push(kernel, vec![Some(grads)], vec![Some(arena), first, second], None)?;
        }
        Ok(())
    }
}

impl Tape {
    /// Appends what keeps the average of a table's rows, before they are moved.
    fn average_rows(&mut self, rows: &RowGrads, number: usize, t: &TableGrad, decay: f32) -> Result<()> {
        let [vocab, dim] = self.shape(t.table);
        let name = self.param_name(t.table);
        let average = self.value([vocab, dim], Dtype::F32, Kind::State { name: averages::of(&name) });
        let last = self.value([vocab, 1], Dtype::F32, Kind::State { name: averages::last(&name) });
        let (table, base, capacity, tables) = (number, t.base, t.capacity, rows.tables.len());
        let kernel = AverageRows { table, base, capacity, dim, tables, decay };
        let reads = [rows.keys, rows.first, t.table, last].map(Some).to_vec();
        self.push(kernel, reads, vec![Some(average)], None)?;
        let kernel = StampRows { table, base, capacity, tables };
        self.push(kernel, [rows.keys, rows.first].map(Some).to_vec(), vec![Some(last)], None)
    }
}
