//! Optimisers: one node for all dense parameters, one for each table.

use crate::tape::{Kind, Phase, Tape};
use crate::{Error, Result};
use rt_kernels::Dtype;
use rt_kernels::kernels::{DecayRows, DenseRule, EmaDecay, RowRule, UpdateDense, UpdatePart, UpdateRows};

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
    /// Decoupled weight decay of table rows: once a step that touches the row, so tables stay row-sparse.
    pub weight_decay_rows: f32,
    /// The largest norm of all gradients together; larger ones are scaled down (Pascanu et al. 2013). 0: as they are.
    pub clip: f32,
    /// Decay of an exponential moving average of all parameters ([`crate::Store::averages`]); 0: none is kept.
    pub ema: f32,
}

impl Optimizer {
    /// Adam (Kingma and Ba 2015) with the usual betas, as torch's `Adam`; for tables the same on the rows that a step touches.
    /// That is not quite torch's `SparseAdam`, whose eps has another place: see [`RowRule::Adam`].
    #[must_use]
    pub fn adam() -> Self {
        let (beta1, beta2, eps) = (0.9, 0.999, 1e-8);
        Self {
            dense: DenseRule::Adam { beta1, beta2, eps },
            rows: RowRule::Adam { beta1, beta2, eps },
            weight_decay: 0.0,
            weight_decay_rows: 0.0,
            clip: 0.0,
            ema: 0.0,
        }
    }

    /// Adam for dense parameters, row-wise Adagrad (one accumulator a row, as in DLRM) for tables: half the memory
    /// traffic and a third of the memory of lazy Adam.
    #[must_use]
    pub fn adagrad_rows() -> Self {
        Self { rows: RowRule::Adagrad { eps: 1e-8 }, ..Self::adam() }
    }

    /// `step` with learning rates (dense, rows) and the bias corrections of this optimiser's betas. A rate that is negative or not
    /// a number is an error of the run ([`crate::Program::run`]).
    #[must_use]
    pub fn rates(&self, step: rt_kernels::Step, lr: f32, lr_rows: f32) -> rt_kernels::Step {
        let dense = match self.dense {
            DenseRule::Adam { beta1, beta2, .. } => (beta1, beta2),
            DenseRule::Sgd | DenseRule::Adagrad { .. } => (0.0, 0.0),
        };
        let rows = match self.rows {
            RowRule::Adam { beta1, beta2, .. } => (beta1, beta2),
            RowRule::Sgd | RowRule::Adagrad { .. } => (0.0, 0.0),
        };
        step.with_rates(lr, lr_rows, dense.0, dense.1).with_row_betas(rows.0, rows.1)
    }

    /// Are all of its numbers such that parameters stay finite?
    ///
    /// # Errors
    ///
    /// [`Error::Data`] with the number and what it has to be: betas and `ema` at least 0 and below 1, eps above 0, `clip` and
    /// both decays at least 0, all finite.
    pub fn check(&self) -> Result<()> {
        let share = |x: f32| (0.0..1.0).contains(&x);
        let some = |x: f32| x >= 0.0 && x.is_finite();
        let eps = |x: f32| x > 0.0 && x.is_finite();
        let (below_one, at_least_0, above_0) = ("at least 0 and below 1", "a number of at least 0", "a number above 0");
        let mut wanted = vec![
            ("weight_decay", self.weight_decay, some(self.weight_decay), at_least_0),
            ("weight_decay_rows", self.weight_decay_rows, some(self.weight_decay_rows), at_least_0),
            ("clip", self.clip, some(self.clip), at_least_0),
            ("ema", self.ema, share(self.ema), below_one),
        ];
        match self.dense {
            DenseRule::Sgd => {}
            DenseRule::Adagrad { eps: e } => wanted.push(("eps of dense parameters", e, eps(e), above_0)),
            DenseRule::Adam { beta1, beta2, eps: e } => wanted.extend([
                ("beta1 of dense parameters", beta1, share(beta1), below_one),
                ("beta2 of dense parameters", beta2, share(beta2), below_one),
                ("eps of dense parameters", e, eps(e), above_0),
            ]),
        }
        match self.rows {
            RowRule::Sgd => {}
            RowRule::Adagrad { eps: e } => wanted.push(("eps of table rows", e, eps(e), above_0)),
            RowRule::Adam { beta1, beta2, eps: e } => wanted.extend([
                ("beta1 of table rows", beta1, share(beta1), below_one),
                ("beta2 of table rows", beta2, share(beta2), below_one),
                ("eps of table rows", e, eps(e), above_0),
            ]),
        }
        match wanted.into_iter().find(|(_, _, good, _)| !good) {
            Some((name, value, _, want)) => {
                let what = format!("{name} is {value}: it has to be {want}");
                Err(Error::Data { name: "optimizer".into(), what })
            }
            None => Ok(()),
        }
    }

    /// Plain gradient descent.
    #[must_use]
    pub fn sgd() -> Self {
        Self { dense: DenseRule::Sgd, rows: RowRule::Sgd, ..Self::adam() }
    }
}

impl Tape {
    /// Appends the updates of all parameters, after [`Tape::backward`], and the output [`GRADIENT_NORM`](crate::GRADIENT_NORM): the
    /// maximum norm of the whole gradient, before it is clipped. It keeps as many steps as the output `loss` has rows; that of step t
    /// stands at row `t % rows`, and one more row is 0, the next step's. Steps are consecutive: only step t makes the row of step
    /// t + 1 be 0. On a GPU the row of a step whose number repeats or jumps is the larger of its norm and of what stood there, NaN if
    /// either is. Who repairs a program after NaN therefore runs it on with the next number, not with the one that failed.
    ///
    /// # Errors
    ///
    /// [`Error::NoGradient`] before `backward`; [`Error::Data`] for numbers that [`Optimizer::check`] refuses.
    pub fn optimize(&mut self, optimizer: &Optimizer) -> Result<()> {
        optimizer.check()?;
        self.check_whole()?;
        if self.row_grads.is_none() && self.dense_grads.is_none() {
            return Err(Error::NoGradient("record `backward` before `optimize`".into()));
        }
        self.phase = Some(Phase::Update);
        self.log_gradient_norm()?;
        let factor = if optimizer.clip > 0.0 { Some(self.clip_factor(optimizer.clip)?) } else { None };
        if let Some(rows) = self.row_grads.clone() {
            let sources = rows.tables.iter().map(|t| self.times(t.source, factor)).collect::<Result<Vec<_>>>()?;
            let segments = self.segments(&rows, &sources)?;
            // What is done to all tables stands together: a GPU makes one dispatch of several tables.
            if optimizer.ema > 0.0 {
                (0..rows.tables.len()).try_for_each(|number| self.average_rows(&rows, number, optimizer.ema))?;
            }
            if optimizer.weight_decay_rows > 0.0 {
                for (table, t) in rows.tables.iter().enumerate() {
                    let [_, dim] = self.shape(t.table);
                    let (decay, tables) = (optimizer.weight_decay_rows, rows.tables.len());
                    let kernel = DecayRows { decay, table, base: t.base, capacity: t.capacity, dim, tables };
                    self.push(kernel, vec![Some(rows.keys), Some(rows.first)], vec![Some(t.table)], None)?;
                }
            }
            for ((t, source), segment) in rows.tables.iter().zip(sources).zip(segments) {
                let [vocab, dim] = self.shape(t.table);
                let name = self.param_name(t.table);
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
                    capacity: t.capacity,
                    entries: t.entries,
                    dim,
                };
                self.push(kernel, segment.reads(&rows, source), vec![Some(t.table), first, second], None)?;
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
            let keep = optimizer.ema > 0.0;
            let average = keep.then(|| self.dense_average());
            let kernel = UpdateDense {
                rule: optimizer.dense,
                n,
                weight_decay: optimizer.weight_decay,
                average: keep.then(|| EmaDecay::new(optimizer.ema)),
            };
            let grads = self.times(grads, factor)?;
            self.push(kernel, vec![Some(grads)], vec![Some(arena), first, second, average], None)?;
        }
        Ok(())
    }
}
