//! Backward: appends the adjoint nodes. Ops contribute gradients; the tape alone sums them.

use crate::tape::{Kind, Phase, Tape, Var};
use crate::{Error, Result};
use rt_kernels::Dtype;
use rt_kernels::kernels::{Add, Copy, Group, GroupTable, GroupUse, Scale, SegmentRuns, SegmentTable, UseKind};
use std::collections::BTreeMap;

/// The gradient of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Grad {
    /// A value of the same shape.
    Dense(Var),
    /// Every cell has this gradient: what `sum` hands down, so that losses need no multiplication by one.
    Fill(f32),
}

/// One use of a table: which rows a step looked up, and the gradient rows that go back to them.
#[derive(Debug, Clone)]
pub(crate) struct RowUse {
    /// Which ids.
    pub ids: UseIds,
    /// Gradient rows `[rows, dim]`.
    pub source: Var,
}

/// The ids of a use.
#[derive(Debug, Clone)]
pub(crate) enum UseIds {
    /// Row i of the source belongs to `ids[i]`.
    Ids(Var),
    /// Items of slices; row `i * windows + zone` of the source belongs to every item of that zone of slice i.
    Bag { items: Var, slice: Var, mask: Option<Var>, hole: Option<Var>, max_len: usize, windows: Vec<usize> },
}

/// What a tape's backward made of the row gradients: ids grouped once, over all tables and all their uses.
#[derive(Debug, Clone)]
pub(crate) struct RowGrads {
    pub keys: Var,
    pub sources: Var,
    pub starts: Var,
    pub first: Var,
    pub tables: Vec<TableGrad>,
}

/// The gradient of one table: rows, never a dense table.
#[derive(Debug, Clone)]
pub(crate) struct TableGrad {
    pub table: Var,
    /// Source rows of all uses, one after the other.
    pub source: Var,
    /// First key of the table.
    pub base: u32,
    /// The most distinct rows that a step can touch.
    pub capacity: usize,
    /// The most entries that it can have.
    pub entries: usize,
}

/// What [`Tape::segments`] made for a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TableRuns {
    pub runs: Var,
    /// `None` where no run can be long.
    pub chunks: Option<Var>,
}

impl TableRuns {
    /// The operands of what sums the runs.
    pub(crate) fn reads(&self, rows: &RowGrads, source: Var) -> Vec<Option<Var>> {
        vec![Some(source), Some(rows.sources), Some(self.runs), self.chunks]
    }
}

/// Gradients while backward runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grads {
    dense: BTreeMap<Var, Vec<Grad>>,
    rows: Vec<(Var, Vec<RowUse>)>,
}

impl Grads {
    /// Adds a contribution to the gradient of `v`.
    pub(crate) fn add(&mut self, v: Var, grad: Grad) {
        self.dense.entry(v).or_default().push(grad);
    }

    /// Takes the only contribution to the gradient of `v` so far, if it is a value: for an op that adds its own to it on the
    /// way, which gives the bits that their sum would have.
    pub(crate) fn take_only(&mut self, v: Var) -> Option<Var> {
        let list = self.dense.get_mut(&v)?;
        match list.as_slice() {
            [Grad::Dense(only)] => {
                let only = *only;
                list.clear();
                Some(only)
            }
            _ => None,
        }
    }

    /// Adds rows to the gradient of a table.
    pub(crate) fn add_rows(&mut self, table: Var, rows: RowUse) {
        match self.rows.iter_mut().find(|(t, _)| *t == table) {
            Some((_, uses)) => uses.push(rows),
            None => self.rows.push((table, vec![rows])),
        }
    }
}

impl Tape {
    /// Appends the gradient of `loss` `[1, 1]` with respect to every parameter that it depends on.
    ///
    /// # Errors
    ///
    /// [`Error::NoGradient`] where the loss depends on no parameter, where a parameter of this tape gets no gradient, or
    /// where a gradient would have to flow through a node that has none. [`Error::Shape`] if `loss` is no scalar.
    pub fn backward(&mut self, loss: Var) -> Result<()> {
        self.accumulate(loss)?;
        let mut grads = std::mem::take(&mut self.grads);
        self.finish_dense(&mut grads)?;
        self.finish_rows(&grads)?;
        Ok(())
    }

    /// Appends the gradient of one part of the loss, which is the sum of the parts; the last one goes to [`Tape::backward`]. What
    /// only this part needed is free afterwards: a step of many parts holds the values of one and the gradient rows of all.
    ///
    /// # Errors
    ///
    /// As [`Tape::backward`].
    pub fn accumulate(&mut self, loss: Var) -> Result<()> {
        if self.shape(loss) != [1, 1] {
            let what = format!("the loss has shape {:?}, needs [1, 1]: sum it", self.shape(loss));
            return Err(crate::error::shape("backward", what));
        }
        if self.row_grads.is_some() || self.dense_grads.is_some() {
            return Err(Error::NoGradient("backward was recorded on this tape already".into()));
        }
        self.phase = Some(Phase::Backward);
        let needs = self.needs_grad();
        if !needs[loss.0 as usize] {
            return Err(Error::NoGradient("the loss depends on no parameter".into()));
        }
        self.losses.push(loss);
        let mut grads = std::mem::take(&mut self.grads);
        grads.add(loss, Grad::Fill(1.0));
        for i in (0..self.nodes.len()).rev() {
            let outputs: Vec<Var> = self.nodes[i].writes.iter().flatten().copied().collect();
            let Some(out) = outputs.iter().copied().find(|v| grads.dense.contains_key(v)) else {
                continue;
            };
            if !needs[out.0 as usize] {
                continue;
            }
            let Some(op) = self.nodes[i].op.clone() else {
                let name = self.nodes[i].kernel.as_ref().map_or("?", |k| k.name());
                return Err(Error::NoGradient(format!("`{name}` (node {i}) has none, and the loss flows through it")));
            };
            let grad = self.total(&mut grads, out)?;
            op.backward(self, grad, &needs, &mut grads)?;
        }
        for i in 0..self.values.len() as u32 {
            let v = Var(i);
            if grads.dense.get(&v).is_some_and(|parts| parts.len() > 1) {
                let sum = self.total(&mut grads, v)?;
                grads.add(v, sum);
            }
        }
        self.grads = grads;
        Ok(())
    }

    /// Which values depend on a parameter through nodes that have a gradient.
    fn needs_grad(&self) -> Vec<bool> {
        let mut needs: Vec<bool> = self.values.iter().map(|v| v.param.is_some()).collect();
        for node in &self.nodes {
            if node.op.is_some() && node.reads.iter().flatten().any(|v| needs[v.0 as usize]) {
                for v in node.writes.iter().flatten() {
                    needs[v.0 as usize] = true;
                }
            }
        }
        needs
    }

    /// Takes and sums the contributions to a value, in the order in which they came.
    fn total(&mut self, grads: &mut Grads, v: Var) -> Result<Grad> {
        let list = grads.dense.remove(&v).unwrap_or_default();
        let mut list = list.into_iter();
        let Some(mut sum) = list.next() else {
            return Err(Error::NoGradient(format!("value {} got none", v.0)));
        };
        for next in list {
            sum = match (sum, next) {
                (Grad::Fill(a), Grad::Fill(b)) => Grad::Fill(a + b),
                (a, b) => {
                    let [rows, cols] = self.shape(v);
                    let (a, b) = (self.grad_var(a, v)?, self.grad_var(b, v)?);
                    let out = self.temp(rows, cols);
                    self.push(Add { rows, cols }, vec![Some(a), Some(b)], vec![Some(out)], None)?;
                    Grad::Dense(out)
                }
            };
        }
        Ok(sum)
    }

    /// A gradient as a value of the shape of `like`.
    pub(crate) fn grad_var(&mut self, grad: Grad, like: Var) -> Result<Var> {
        match grad {
            Grad::Dense(v) => Ok(v),
            Grad::Fill(x) => {
                let [rows, cols] = self.shape(like);
                self.constant(&vec![x; rows * cols], rows, cols)
            }
        }
    }

    /// A gradient that a loss kernel made for an upstream factor of one, for the factor that is really upstream.
    pub(crate) fn scaled(&mut self, op: &'static str, made: Var, upstream: Grad) -> Result<Var> {
        match upstream {
            Grad::Fill(1.0) => Ok(made),
            Grad::Fill(factor) => {
                let [rows, cols] = self.shape(made);
                let out = self.temp(rows, cols);
                self.push(Scale { rows, cols, factor }, vec![Some(made)], vec![Some(out)], None)?;
                Ok(out)
            }
            Grad::Dense(_) => Err(Error::NoGradient(format!(
                "`{op}` makes its gradient together with its value, for a loss that is summed: give weights of examples \
                 to the op, and sum its rows"
            ))),
        }
    }

    /// Copies a value into another's place.
    pub(crate) fn copy_into(&mut self, from: Var, kind: Kind) -> Result<Var> {
        let [rows, cols] = self.shape(from);
        let dtype = self.dtype(from);
        let to = self.value([rows, cols], dtype, kind);
        self.push_words(Copy { rows, cols }, vec![Some(from)], vec![Some(to)])?;
        Ok(to)
    }

    /// Moves the gradients of dense parameters into an arena that mirrors the parameters'.
    fn finish_dense(&mut self, grads: &mut Grads) -> Result<()> {
        let vars: Vec<(Var, usize)> = (0..self.values.len() as u32)
            .filter(|i| matches!(self.values[*i as usize].kind, Kind::Slice { .. }))
            .filter_map(|i| self.values[i as usize].param.map(|p| (Var(i), p)))
            .collect();
        if vars.is_empty() {
            return Ok(());
        }
        let arena = self.value([self.params.dense_words(), 1], Dtype::F32, Kind::State { name: "dense.grad".into() });
        for (v, param) in vars {
            if !grads.dense.contains_key(&v) {
                let name = self.param_name(v);
                return Err(Error::NoGradient(format!("parameter `{name}` does not reach the loss")));
            }
            let total = self.total(grads, v)?;
            let grad = self.grad_var(total, v)?;
            let kind = Kind::Slice { of: arena, offset: self.params.list()[param].offset };
            if !self.place(grad, kind.clone(), arena) {
                self.copy_into(grad, kind)?;
            }
        }
        self.dense_grads = Some(arena);
        Ok(())
    }

    /// Groups the ids of all uses of all tables, once.
    fn finish_rows(&mut self, grads: &Grads) -> Result<()> {
        for i in 0..self.values.len() {
            let v = Var(i as u32);
            if matches!(self.values[i].kind, Kind::Table { .. }) && !grads.rows.iter().any(|(t, _)| *t == v) {
                let name = self.param_name(v);
                return Err(Error::NoGradient(format!("table `{name}` does not reach the loss")));
            }
        }
        if grads.rows.is_empty() {
            return Ok(());
        }
        let (mut uses, mut tables, mut list, mut reads) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut entries, mut base) = (0usize, 0u32);
        for (number, (table, row_uses)) in grads.rows.iter().enumerate() {
            let (source, firsts) = self.join_sources(*table, row_uses)?;
            let [rows, _] = self.shape(*table);
            let before = entries;
            for (row_use, first) in row_uses.iter().zip(firsts) {
                let kind = match &row_use.ids {
                    UseIds::Ids(ids) => {
                        reads.push(Some(*ids));
                        UseKind::Ids { n: self.shape(*ids)[0] }
                    }
                    UseIds::Bag { items, slice, mask, hole, max_len, windows } => {
                        reads.extend([Some(*items), Some(*slice), *mask, *hole]);
                        UseKind::Bag { rows: self.shape(*slice)[0], max_len: *max_len, windows: windows.clone() }
                    }
                };
                let n = match &kind {
                    UseKind::Ids { n } => *n,
                    UseKind::Bag { rows, max_len, .. } => rows * max_len,
                };
                uses.push(GroupUse { table: number, source: first as u32, entry: entries, kind });
                entries += n;
            }
            list.push(TableGrad {
                table: *table,
                source,
                base,
                capacity: (entries - before).min(rows),
                entries: entries - before,
            });
            tables.push(GroupTable { base, rows: rows as u32 });
            base = u32::try_from(rows).ok().and_then(|r| base.checked_add(r)).ok_or_else(|| {
                crate::error::shape("group", "the tables have more than 2^32 rows together".to_owned())
            })?;
        }
        let keys = self.temp_ids(entries, 1);
        let sources = self.temp_ids(entries, 1);
        let starts = self.temp_ids(entries + 1, 1);
        let first = self.temp_ids(tables.len() + 1, 1);
        let group = Group { uses, tables, capacity: entries };
        self.push(group, reads, [keys, sources, starts, first].map(Some).to_vec(), None)?;
        self.row_grads = Some(RowGrads { keys, sources, starts, first, tables: list });
        Ok(())
    }

    /// Packs the runs of all tables and sums the chunks of their long ones, over these source rows of each table: what sums and
    /// updates read of each.
    pub(crate) fn segments(&mut self, rows: &RowGrads, sources: &[Var]) -> Result<Vec<TableRuns>> {
        let dim = |t: &TableGrad| self.shape(t.table)[1];
        let table =
            |t: &TableGrad| SegmentTable { base: t.base, capacity: t.capacity, entries: t.entries, dim: dim(t) };
        let kernel = SegmentRuns { tables: rows.tables.iter().map(table).collect() };
        let [run_words, chunk_words] = kernel.words();
        let runs = self.temp_ids(1, run_words);
        let chunks = (chunk_words > 0).then(|| self.temp(1, chunk_words));
        let mut reads = [rows.keys, rows.sources, rows.starts, rows.first].map(Some).to_vec();
        reads.extend(sources.iter().copied().map(Some));
        self.push(kernel.clone(), reads, vec![Some(runs), chunks], None)?;
        let mut list = Vec::new();
        for (table, [run_at, chunk_at]) in kernel.tables.iter().zip(kernel.places()) {
            let own = Kind::Slice { of: runs, offset: run_at };
            let own = self.value([1, table.run_words()], Dtype::U32, own);
            let sums = chunks
                .filter(|_| table.blocks() > 0)
                .map(|of| self.value([table.blocks(), table.dim], Dtype::F32, Kind::Slice { of, offset: chunk_at }));
            list.push(TableRuns { runs: own, chunks: sums });
        }
        Ok(list)
    }

    /// The source rows of all uses of a table as one value, and the first row of each use in it.
    fn join_sources(&mut self, table: Var, uses: &[RowUse]) -> Result<(Var, Vec<usize>)> {
        // Rows that two lookups were added up from have one gradient: it stands there once.
        let mut distinct: Vec<Var> = Vec::new();
        for row_use in uses {
            if !distinct.contains(&row_use.source) {
                distinct.push(row_use.source);
            }
        }
        if let [only] = distinct[..] {
            return Ok((only, vec![0; uses.len()]));
        }
        let dim = self.shape(table)[1];
        let rows = distinct.iter().map(|source| self.shape(*source)[0]).sum();
        let joined = self.temp(rows, dim);
        let (mut places, mut row) = (Vec::new(), 0);
        for source in distinct {
            let kind = Kind::View { of: joined, row, col: 0 };
            if !self.place(source, kind.clone(), joined) {
                self.copy_into(source, kind)?;
            }
            places.push((source, row));
            row += self.shape(source)[0];
        }
        let first = |row_use: &RowUse| places.iter().find(|(source, _)| *source == row_use.source).map_or(0, |p| p.1);
        let firsts = uses.iter().map(first).collect();
        Ok((joined, firsts))
    }
}
