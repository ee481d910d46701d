//! Nodes that make ids and draws on the device: no gradient flows through them.

use super::dropout::threshold;
use crate::Result;
use crate::tape::{Tape, Var};
use rt_kernels::Dtype;
use rt_kernels::kernels::{Batch, DrawAlias, DrawUniform, DropIds, HistoryMask, LogQ, ShownNegatives};
use rt_kernels::philox;

/// The interactions on the device, and how a batch is cut from them.
#[derive(Debug, Clone, Copy)]
pub struct BatchSpec {
    /// Examples (event numbers) in the order of this epoch `[n, 1]`.
    pub order: Var,
    /// Item of each event `[events, 1]`, sorted by (user, time).
    pub items: Var,
    /// First event of each user `[users + 1, 1]`, ascending.
    pub starts: Var,
    /// Where a history is all but the target: the end of each user's train events `[users, 1]`.
    pub ends: Option<Var>,
    /// Examples a step.
    pub batch: usize,
    /// Most items of a history.
    pub history: usize,
}

/// What a batch consists of; rows past the step's `valid` are padding: ids 0, empty slices, weight 0.
#[derive(Debug, Clone, Copy)]
pub struct BatchVars {
    /// Users `[batch, 1]`.
    pub user: Var,
    /// Target items `[batch, 1]`.
    pub target: Var,
    /// Histories as (start, length) of the items `[batch, 2]`.
    pub slice: Var,
    /// 1 / valid for examples, 0 for padding `[batch, 1]`.
    pub weight: Var,
    /// Where a history is a set: the target's place, left out of it `[batch, 1]`.
    pub hole: Option<Var>,
    /// The example's event `[batch, 1]`.
    pub event: Var,
}

impl Tape {
    /// Records the cutting of a batch: examples `offset .. offset + batch` of the order, where the step says what the
    /// offset is.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit.
    pub fn batch(&mut self, spec: &BatchSpec) -> Result<BatchVars> {
        let BatchSpec { order, items, starts, ends, batch, history } = *spec;
        let events = self.shape(items)[0];
        let order = self.ids_below("batch", "order", order, events, u32::MAX)?;
        let end = |tape: &mut Self, v| tape.ids_below("batch", "ends", v, events.saturating_add(1), 0);
        let ends = ends.map(|ends| end(self, ends)).transpose()?;
        let set = ends.is_some();
        let vars = BatchVars {
            user: self.temp_ids(batch, 1),
            target: self.temp_ids(batch, 1),
            slice: self.temp_ids(batch, 2),
            weight: self.temp(batch, 1),
            hole: set.then(|| self.temp_ids(batch, 1)),
            event: self.temp_ids(batch, 1),
        };
        let reads = vec![Some(order), Some(items), Some(starts), ends];
        let writes =
            vec![Some(vars.user), Some(vars.target), Some(vars.slice), Some(vars.weight), vars.hole, Some(vars.event)];
        let first = self.part.first;
        self.push(Batch { batch, history, set, first }, reads, writes, None)?;
        Ok(vars)
    }

    /// Records the bits of the history positions that are kept: each of the newest `32 * words` with probability
    /// `1 - p`. `[rows, words]`.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] unless 0 <= p < 1.
    pub fn history_mask(&mut self, rows: usize, words: usize, p: f32, number: u32) -> Result<Var> {
        if !(0.0..1.0).contains(&p) {
            let what = format!("probability {p} has to lie in [0, 1)");
            return Err(crate::error::shape("history_mask", what));
        }
        let mask = self.temp_ids(rows, words);
        let stream = self.stream(philox::stream::HISTORY, number);
        let kernel = HistoryMask { rows, words, keep_threshold: threshold(1.0 - p), stream };
        self.push(kernel, Vec::new(), vec![Some(mask)], None)?;
        Ok(mask)
    }

    /// Records `ids` `[n, 1]` with each left out, which is 0, with probability `p`: what row 0 of a table says, zero, takes
    /// the place of what the id's row says. `number` tells the draws of a tape apart.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] unless 0 <= p < 1, or where `ids` is no column of ids.
    pub fn drop_ids(&mut self, ids: Var, p: f32, number: u32) -> Result<Var> {
        if !(0.0..1.0).contains(&p) {
            return Err(crate::error::shape("drop_ids", format!("probability {p} has to lie in [0, 1)")));
        }
        let n = self.shape(ids)[0];
        let out = self.temp_ids(n, 1);
        let kernel =
            DropIds { n, keep_threshold: threshold(1.0 - p), stream: self.stream(philox::stream::IDS, number) };
        self.push(kernel, vec![Some(ids)], vec![Some(out)], None)?;
        Ok(out)
    }

    /// Records `n` draws uniform over the ids `low .. low + count`, `[n, 1]`.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] for an empty range.
    pub fn draw_uniform(&mut self, n: usize, low: u32, count: u32, number: u32) -> Result<Var> {
        if count == 0 {
            return Err(crate::error::shape("draw_uniform", "no ids to draw from"));
        }
        let ids = self.temp_ids(n, 1);
        let kernel = DrawUniform { n, low, count, stream: self.stream(philox::stream::NEGATIVES, number) };
        self.push(kernel, Vec::new(), vec![Some(ids)], None)?;
        Ok(ids)
    }

    /// Records `n` draws through an alias table ([`rt_kernels::kernels::alias_table`]), `[n, 1]`.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the tables do not fit each other.
    pub fn draw_alias(&mut self, n: usize, threshold: Var, alias: Var, number: u32) -> Result<Var> {
        let ids = self.temp_ids(n, 1);
        let kernel = DrawAlias { n, stream: self.stream(philox::stream::NEGATIVES, number) };
        self.push(kernel, vec![Some(threshold), Some(alias)], vec![Some(ids)], None)?;
        Ok(ids)
    }

    /// Records ln of how often each id is expected among the negatives: `table[ids[i]] + constant`, and with `batch` +
    /// ln(valid - 1) and 1e30 (left out) for padding. `[n, 1]`.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit.
    pub fn logq(&mut self, table: Var, ids: Var, batch: bool, constant: f32) -> Result<Var> {
        let ids = self.ids_below("logq", "ids", ids, self.shape(table)[0], u32::MAX)?;
        let n = self.shape(ids)[0];
        let out = self.temp(n, 1);
        let first = self.part.first;
        self.push(LogQ { n, batch, constant, first }, vec![Some(table), Some(ids)], vec![Some(out)], None)?;
        Ok(out)
    }
}

impl Tape {
    /// Records `[a | b | ...]` of ids.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the rows differ.
    pub fn concat_ids(&mut self, parts: &[Var]) -> Result<Var> {
        let rows = parts.first().map_or(0, |p| self.shape(*p)[0]);
        let out = self.temp_ids(rows, parts.iter().map(|p| self.shape(*p)[1]).sum());
        let mut col = 0;
        for part in parts {
            self.check_dtype("concat_ids", "part", *part, Dtype::U32)?;
            if self.shape(*part)[0] != rows {
                return Err(crate::error::shape("concat_ids", "parts have different numbers of rows"));
            }
            self.copy_into(*part, crate::tape::Kind::View { of: out, row: 0, col })?;
            col += self.shape(*part)[1];
        }
        Ok(out)
    }
}

/// Explicit negatives, and how many of a row's may be of them.
#[derive(Debug, Clone, Copy)]
pub struct ShownSpec {
    /// Items that spans lie in `[any, 1]`.
    pub items: Var,
    /// (start, length) of each row `[rows, 2]`; the last of a span comes first.
    pub spans: Var,
    /// What fills up `[rows * k, 1]`.
    pub drawn: Var,
    /// At most so many of a row's are explicit.
    pub own: usize,
}

impl Tape {
    /// Records the negatives of each row: what was shown and not clicked, filled up with draws; `[rows * k, 1]`. With the
    /// table of ln q also the correction of each: 0 for what was shown, `table[id] + constant` for what was drawn.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit.
    pub fn shown_negatives(
        &mut self,
        spec: &ShownSpec,
        table: Option<Var>,
        constant: f32,
    ) -> Result<(Var, Option<Var>)> {
        let (rows, n) = (self.shape(spec.spans)[0], self.shape(spec.drawn)[0]);
        if rows == 0 || n % rows != 0 {
            let what = format!("{n} draws for {rows} rows: the same number for each is wanted");
            return Err(crate::error::shape("shown_negatives", what));
        }
        let spans = self.slices_within("shown_negatives", spec.spans, self.shape(spec.items)[0])?;
        let below = table.map(|table| self.shape(table)[0]);
        let drawn = below.map(|n| self.ids_below("shown_negatives", "draws", spec.drawn, n, 0)).transpose()?;
        let ids = self.temp_ids(n, 1);
        let logq = table.map(|_| self.temp(n, 1));
        let kernel = ShownNegatives { rows, k: n / rows, own: spec.own, constant };
        let reads = vec![Some(spec.items), Some(spans), Some(drawn.unwrap_or(spec.drawn)), table];
        self.push(kernel, reads, vec![Some(ids), logq], None)?;
        Ok((ids, logq))
    }
}
