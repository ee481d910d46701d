//! Backward: appends the adjoint nodes. Ops contribute gradients; the tape alone sums them.

use crate::tape::{Kind, Phase, Tape, Var};
use crate::{Error, Result};
use rt_kernels::Dtype;
use rt_kernels::kernels::{Add, Copy, Group, GroupTable, GroupUse, Scale, SegmentRuns, SegmentTable, UseKind};
use std::collections::{BTreeMap, BTreeSet};

/// The gradient of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Grad {
    /// A value of the same shape.
    Dense(Var),
    /// Every cell has this gradient: what `sum` hands down, so that losses need no multiplication by one.
    Fill(f32),
}

/// The rows and columns of a value that a gradient belongs to: a view's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Area {
    pub row: usize,
    pub col: usize,
    pub rows: usize,
    pub cols: usize,
}

/// What one use of a value adds to its gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Contribution {
    grad: Grad,
    /// `None`: the whole value.
    area: Option<Area>,
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
    dense: BTreeMap<Var, Vec<Contribution>>,
    rows: Vec<(Var, Vec<RowUse>)>,
    /// How often the op that is being differentiated contributed to the gradient of a value: once for each operand that it is.
    given: BTreeMap<Var, usize>,
}

impl Grads {
    /// Adds a contribution to the gradient of `v`.
    pub(crate) fn add(&mut self, v: Var, grad: Grad) {
        self.contribute(v, Contribution { grad, area: None });
    }

    /// Adds a contribution to the gradient of an area of `v`.
    pub(crate) fn add_to(&mut self, v: Var, area: Area, grad: Grad) {
        self.contribute(v, Contribution { grad, area: Some(area) });
    }

    fn contribute(&mut self, v: Var, contribution: Contribution) {
        *self.given.entry(v).or_default() += 1;
        self.dense.entry(v).or_default().push(contribution);
    }

    /// Takes the only contribution to the gradient of `v` so far, if it is a value: for an op that adds its own to it on the
    /// way, which gives the bits that their sum would have. The value stays as it is: others may hold it too.
    pub(crate) fn take_only(&mut self, v: Var) -> Option<Var> {
        let list = self.dense.get_mut(&v)?;
        match list.as_slice() {
            [Contribution { grad: Grad::Dense(only), area: None }] => {
                let only = *only;
                list.clear();
                Some(only)
            }
            _ => None,
        }
    }

    /// The values that are gradients, or source rows of tables' gradients, and have not been read yet.
    pub(crate) fn held(&self) -> impl Iterator<Item = Var> {
        let dense = self.dense.values().flatten().filter_map(|c| match c.grad {
            Grad::Dense(v) => Some(v),
            Grad::Fill(_) => None,
        });
        dense.chain(self.rows.iter().flat_map(|(_, uses)| uses.iter().map(|u| u.source)))
    }

    /// Adds rows to the gradient of a table.
    pub(crate) fn add_rows(&mut self, table: Var, rows: RowUse) {
        *self.given.entry(table).or_default() += 1;
        match self.rows.iter_mut().find(|(t, _)| *t == table) {
            Some((_, uses)) => uses.push(rows),
            None => self.rows.push((table, vec![rows])),
        }
    }
}

/// The sum of contributions that are numbers known when recorded, cell by cell; `None` if one is a value.
fn filled(list: &[Contribution], [rows, cols]: [usize; 2]) -> Option<Vec<f32>> {
    let mut cells = vec![0.0; rows * cols];
    for c in list {
        let Grad::Fill(x) = c.grad else { return None };
        let a = c.area.unwrap_or(Area { row: 0, col: 0, rows, cols });
        for row in cells.chunks_mut(cols.max(1)).skip(a.row).take(a.rows) {
            row[a.col..a.col + a.cols].iter_mut().for_each(|cell| *cell += x);
        }
    }
    Some(cells)
}

impl Tape {
    /// Appends the gradient of `loss` `[1, 1]` with respect to every parameter that it depends on.
    ///
    /// # Errors
    ///
    /// [`Error::NoGradient`] if the loss depends on no parameter, if a parameter of this tape gets no gradient, or if the loss depends
    /// on a parameter through a node, or an operand of an op, that has no gradient ([`Tape::stop_gradient`] says that this is meant).
    /// [`Error::Shape`] if `loss` is no scalar.
    pub fn backward(&mut self, loss: Var) -> Result<()> {
        let needs = self.check_loss(loss)?;
        self.or_fail(|tape| {
            tape.hand_down(loss, &needs)?;
            let mut grads = std::mem::take(&mut tape.grads);
            tape.finish_dense(&mut grads)?;
            tape.finish_rows(&grads)
        })
    }

    /// Appends the gradient of one part of the loss, which is the sum of the parts; the last one goes to [`Tape::backward`]. What
    /// only this part needed is free afterwards: a step of many parts holds the values of one and the gradient rows of all.
    ///
    /// # Errors
    ///
    /// As [`Tape::backward`].
    pub fn accumulate(&mut self, loss: Var) -> Result<()> {
        let needs = self.check_loss(loss)?;
        self.or_fail(|tape| tape.hand_down(loss, &needs))?;
        // What is recorded from here on belongs to the next part.
        self.phase = None;
        Ok(())
    }

    /// Fails for what is no loss of this tape; gives which values depend on a parameter.
    fn check_loss(&self, loss: Var) -> Result<Vec<bool>> {
        self.check_whole()?;
        if self.shape(loss) != [1, 1] {
            let what = format!("the loss has shape {:?}, needs [1, 1]: sum it", self.shape(loss));
            return Err(crate::error::shape("backward", what));
        }
        if self.row_grads.is_some() || self.dense_grads.is_some() {
            return Err(Error::NoGradient("backward was recorded on this tape already".into()));
        }
        let needs = self.needs_grad();
        if !needs[loss.0 as usize] {
            return Err(Error::NoGradient("the loss depends on no parameter".into()));
        }
        Ok(needs)
    }

    /// Fails if backward failed half-way before: the gradients of earlier parts are gone.
    pub(crate) fn check_whole(&self) -> Result<()> {
        if !self.failed {
            return Ok(());
        }
        let what = "an earlier `backward` or `accumulate` of this tape failed half-way: record the tape anew";
        Err(Error::NoGradient(what.into()))
    }

    /// Runs a part of backward; after an error the tape has no gradients that anybody may use.
    fn or_fail(&mut self, f: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let result = f(self);
        self.failed |= result.is_err();
        result
    }

    fn hand_down(&mut self, loss: Var, needs: &[bool]) -> Result<()> {
        self.phase = Some(Phase::Backward);
        self.losses.push(loss);
        let mut grads = std::mem::take(&mut self.grads);
        grads.add(loss, Grad::Fill(1.0));
        let forward = self.nodes.len();
        for i in (0..forward).rev() {
            let written = self.nodes[i].writes.iter().flatten().copied();
            let with_gradient = |v: &Var| needs[v.0 as usize] && grads.dense.contains_key(v);
            let outputs: Vec<Var> = written.filter(with_gradient).collect();
            if let Some(out) = outputs.first() {
                self.differentiate(i, *out, needs, &mut grads)?;
            }
        }
        self.check_states(&grads)?;
        for i in 0..self.values.len() as u32 {
            let v = Var(i);
            let whole = |list: &Vec<Contribution>| matches!(list.as_slice(), [Contribution { area: None, .. }]);
            if grads.dense.get(&v).is_some_and(|list| !whole(list)) {
                let sum = self.total(&mut grads, v)?;
                grads.add(v, sum);
            }
        }
        self.fuse(forward, &grads);
        self.grads = grads;
        Ok(())
    }

    /// Hands the gradient of `out`, which node `i` writes, down to what the node reads. What it reads and depends on a parameter
    /// has to get its part: else the loss would flow through it unseen.
    fn differentiate(&mut self, i: usize, out: Var, needs: &[bool], grads: &mut Grads) -> Result<()> {
        let node = self.nodes[i].clone();
        let name = node.name();
        let meant = "pass it through `stop_gradient` if it is meant to count as a constant";
        let Some(op) = node.op else {
            let value = self.name(out);
            let what =
                format!("`{name}` (node {i}) has none, and the loss depends on parameters through its `{value}`");
            return Err(Error::NoGradient(format!("{what}: {meant}")));
        };
        let grad = self.total(grads, out)?;
        grads.given.clear();
        op.backward(self, grad, needs, grads)?;
        for v in node.reads.iter().flatten().copied() {
            if !needs[v.0 as usize] {
                continue;
            }
            let value = self.name(v);
            // One contribution for each operand that the value is: the labels of a loss have none, also if they are its logits.
            let operands = node.reads.iter().flatten().filter(|read| **read == v).count();
            if grads.given.get(&v).copied().unwrap_or(0) < operands {
                let slots = node.kernel.as_ref().map(|k| k.signature().reads).unwrap_or_default();
                let names =
                    slots.iter().zip(&node.reads).filter(|(_, read)| **read == Some(v)).map(|(slot, _)| slot.name);
                let names = names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
                let what =
                    format!("`{name}` (node {i}) has none for `{value}`, which depends on parameters, read as {names}");
                return Err(Error::NoGradient(format!("{what}: {meant}")));
            }
            if self.is_table(v) && grads.dense.contains_key(&v) {
                let what = format!("`{name}` (node {i}) reads the whole table `{value}`, whose gradient is rows");
                return Err(Error::NoGradient(format!(
                    "{what}: gather those that it needs, or declare it with `param`"
                )));
            }
        }
        Ok(())
    }

    /// Fails if a gradient is left with a state: a view that was recorded before the state was written holds what was written.
    fn check_states(&self, grads: &Grads) -> Result<()> {
        let state = |v: &&Var| matches!(self.values[v.0 as usize].kind, Kind::State { .. });
        match grads.dense.keys().find(state) {
            None => Ok(()),
            Some(v) => Err(Error::NoGradient(format!(
                "the loss depends on parameters through the state `{}`, by a view that was recorded before it is written: pass \
                 it through `stop_gradient` if it is meant to count as a constant",
                self.name(*v)
            ))),
        }
    }

    /// Which values depend on a parameter: through ops, and through nodes that have no gradient, so that a loss that flows through
    /// one of those is an error. Integers are choices, and have none.
    fn needs_grad(&self) -> Vec<bool> {
        let mut needs: Vec<bool> = self.values.iter().map(|v| v.param.is_some()).collect();
        for node in self.nodes.iter().filter(|n| n.phase == Phase::Forward && !n.stops_gradient()) {
            if !node.reads.iter().flatten().any(|v| needs[v.0 as usize]) {
                continue;
            }
            for v in node.writes.iter().flatten().filter(|v| self.dtype(**v) == Dtype::F32) {
                needs[v.0 as usize] = true;
                // A state is on the tape once for each time that it was asked for, and has views.
                let kind = &self.values[v.0 as usize].kind;
                if matches!(kind, Kind::State { .. }) {
                    let root = |i: usize| self.layout(Var(i as u32)).0.0 as usize;
                    let same = (0..self.values.len()).filter(|i| self.values[root(*i)].kind == *kind);
                    same.for_each(|i| needs[i] = true);
                }
            }
        }
        needs
    }

    /// Takes and sums the contributions to a value, in the order in which they came.
    fn total(&mut self, grads: &mut Grads, v: Var) -> Result<Grad> {
        let list = grads.dense.remove(&v).unwrap_or_default();
        if list.is_empty() {
            return Err(Error::NoGradient(format!("`{}` got none", self.name(v))));
        }
        if list.iter().any(|c| c.area.is_some()) {
            return self.total_of_areas(&list, v);
        }
        let all: Vec<Grad> = list.iter().map(|c| c.grad).collect();
        self.sum_of(&all, self.shape(v))
    }

    /// The sum of gradients of one shape, in their order; zero of none.
    fn sum_of(&mut self, list: &[Grad], [rows, cols]: [usize; 2]) -> Result<Grad> {
        let mut list = list.iter().copied();
        let mut sum = list.next().unwrap_or(Grad::Fill(0.0));
        for next in list {
            sum = match (sum, next) {
                (Grad::Fill(a), Grad::Fill(b)) => Grad::Fill(a + b),
                (a, b) => {
                    let (a, b) = (self.dense_grad(a, [rows, cols])?, self.dense_grad(b, [rows, cols])?);
                    let out = self.temp(rows, cols);
                    self.push(Add { rows, cols }, vec![Some(a), Some(b)], vec![Some(out)], None)?;
                    Grad::Dense(out)
                }
            };
        }
        Ok(sum)
    }

    /// The same if some belong to areas of the value. The areas' edges cut it into blocks that no edge crosses; each is the sum of
    /// what covers it. So areas side by side, which views that split a value have, are moved to their place and never added to zero.
    fn total_of_areas(&mut self, list: &[Contribution], v: Var) -> Result<Grad> {
        let [rows, cols] = self.shape(v);
        if let Some(cells) = filled(list, [rows, cols]) {
            return Ok(Grad::Dense(self.constant(&cells, rows, cols)?));
        }
        let areas = || list.iter().filter_map(|c| c.area);
        let edges = |length: usize, of: fn(&Area) -> [usize; 2]| -> Vec<usize> {
            let all: BTreeSet<usize> = [0, length].into_iter().chain(areas().flat_map(|a| of(&a))).collect();
            all.into_iter().collect()
        };
        let (tops, lefts) = (edges(rows, |a| [a.row, a.row + a.rows]), edges(cols, |a| [a.col, a.col + a.cols]));
        let whole = self.temp(rows, cols);
        let mut parts = Vec::new();
        for top in tops.windows(2) {
            for left in lefts.windows(2) {
                let block = Area { row: top[0], col: left[0], rows: top[1] - top[0], cols: left[1] - left[0] };
                let covers: Vec<Grad> = list.iter().filter_map(|c| self.within(c, block)).collect();
                let sum = self.sum_of(&covers, [block.rows, block.cols])?;
                let sum = self.dense_grad(sum, [block.rows, block.cols])?;
                parts.push((sum, Kind::View { of: whole, row: block.row, col: block.col }));
            }
        }
        self.assemble(&parts, whole)?;
        Ok(Grad::Dense(whole))
    }

    /// What a contribution gives to a block, which lies within its area or outside it.
    fn within(&mut self, c: &Contribution, block: Area) -> Option<Grad> {
        let (row, col) = match c.area {
            Some(a) if a == block => return Some(c.grad),
            Some(a) => {
                let inside = |first: usize, at: usize, n: usize| at >= first && at < first + n;
                if !inside(a.row, block.row, a.rows) || !inside(a.col, block.col, a.cols) {
                    return None;
                }
                (block.row - a.row, block.col - a.col)
            }
            None => (block.row, block.col),
        };
        Some(match c.grad {
            Grad::Fill(_) => c.grad,
            Grad::Dense(of) => {
                let kind = Kind::View { of, row, col };
                Grad::Dense(self.value([block.rows, block.cols], Dtype::F32, kind))
            }
        })
    }

    /// A gradient as a value of the shape of `like`.
    pub(crate) fn grad_var(&mut self, grad: Grad, like: Var) -> Result<Var> {
        self.dense_grad(grad, self.shape(like))
    }

    fn dense_grad(&mut self, grad: Grad, [rows, cols]: [usize; 2]) -> Result<Var> {
        match grad {
            Grad::Dense(v) => Ok(v),
            Grad::Fill(x) => self.constant(&vec![x; rows * cols], rows, cols),
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
        self.push(Copy { rows, cols }, vec![Some(from)], vec![Some(to)], None)?;
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
        let mut parts = Vec::new();
        for (v, param) in vars {
            if !grads.dense.contains_key(&v) {
                let name = self.param_name(v);
                return Err(Error::NoGradient(format!("parameter `{name}` does not reach the loss")));
            }
            let total = self.total(grads, v)?;
            let grad = self.grad_var(total, v)?;
            parts.push((grad, Kind::Slice { of: arena, offset: self.params.list()[param].offset }));
        }
        self.assemble(&parts, arena)?;
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
        let (mut places, mut parts, mut row) = (Vec::new(), Vec::new(), 0);
        for source in distinct {
            parts.push((source, Kind::View { of: joined, row, col: 0 }));
            places.push((source, row));
            row += self.shape(source)[0];
        }
        self.assemble(&parts, joined)?;
        let first = |row_use: &RowUse| places.iter().find(|(source, _)| *source == row_use.source).map_or(0, |p| p.1);
        let firsts = uses.iter().map(first).collect();
        Ok((joined, firsts))
    }
}
