//! Towers: features side by side, then a multi-layer perceptron.

use crate::Result;
use crate::config::{Config, Hidden, Norm};
use crate::features::{ITEM_ID, USER_ID};
use crate::schema::{BagColumn, Schema, Side};
use crate::searches::SearchInputs;
use rt_tensor::{Activation, BagOptions, Init, Tape, Var};

/// What a user tower reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UserInputs {
    /// Rows of the user columns `[n, 1]`; `None` where the columns themselves are inputs.
    pub user: Option<Var>,
    /// Rows of the item table that histories are slices of.
    pub items: Var,
    /// Those of the second hash function, where items are hashed by two.
    pub again: Option<Var>,
    /// Histories (start, length) `[n, 2]`.
    pub slice: Var,
    /// The place left out of each, where a history is a set.
    pub hole: Option<Var>,
    /// The running session's part of the history (start, length) `[n, 2]`, and its categories `[n, 2]`.
    pub session: Option<[Var; 2]>,
    /// Context categories `[n, columns]`.
    pub context: Option<Var>,
    /// Example Age `[n, 3]`.
    pub age: Option<Var>,
    /// Searches, where the configuration reads them.
    pub searches: Option<SearchInputs>,
    /// Times of the items, whole seconds, where the configuration has decay heads.
    pub times: Option<Var>,
}

/// A model being recorded.
pub(crate) struct Towers<'a> {
    pub config: &'a Config,
    pub schema: &'a Schema,
    /// Dropout is recorded in training alone.
    pub training: bool,
    /// Numbers the dropouts of the tape.
    pub draws: u32,
    /// What parts of towers need of each other.
    pub built: crate::blocks::Built,
}

impl Towers<'_> {
    fn table_init(&self) -> Init {
        Init::Normal(self.config.init_std)
    }

    /// The item embedding table, shared by history and items: `[rows, item_dim]`.
    pub(crate) fn item_table(&self, tape: &mut Tape) -> Result<Var> {
        Ok(tape.table(ITEM_ID, self.schema.item_table_rows(), self.schema.item_dim, self.table_init())?)
    }

    fn next_draw(&mut self) -> u32 {
        self.draws += 1;
        self.draws
    }

    /// Embedded columns of one side for rows `ids`.
    fn columns(&self, tape: &mut Tape, prefix: &str, side: &Side, ids: Var, parts: &mut Vec<Var>) -> Result<()> {
        let rows = if prefix == "user" { self.schema.user_rows } else { self.schema.item_rows };
        if !side.categories.is_empty() {
            let matrix = tape.input_ids(&format!("{prefix}.categories"), rows, side.categories.len());
            let taken = tape.take(matrix, ids)?;
            self.categories(tape, prefix, &side.categories, taken, parts)?;
        }
        for bag in &side.bags {
            let slices = tape.input_ids(&format!("{prefix}.{}.slices", bag.name), rows, 2);
            let values = tape.input_ids(&format!("{prefix}.{}.values", bag.name), bag.values, 1);
            let slice = tape.take(slices, ids)?;
            parts.push(self.bag_column(tape, prefix, bag, values, slice)?);
        }
        if !side.numbers.is_empty() {
            let matrix = tape.input(&format!("{prefix}.numbers"), rows, side.numbers.len());
            parts.push(tape.take(matrix, ids)?);
        }
        Ok(())
    }

    /// The same of `rows` users whose columns are inputs themselves: `query.` and the names above.
    fn given_columns(&self, tape: &mut Tape, side: &Side, rows: usize, parts: &mut Vec<Var>) -> Result<()> {
        if !side.categories.is_empty() {
            let taken = tape.input_ids("query.user.categories", rows, side.categories.len());
            self.categories(tape, "user", &side.categories, taken, parts)?;
        }
        for bag in &side.bags {
            let slice = tape.input_ids(&format!("query.user.{}.slices", bag.name), rows, 2);
            let values = tape.input_ids(&format!("query.user.{}.values", bag.name), rows * bag.max_len, 1);
            parts.push(self.bag_column(tape, "user", bag, values, slice)?);
        }
        if !side.numbers.is_empty() {
            parts.push(tape.input("query.user.numbers", rows, side.numbers.len()));
        }
        Ok(())
    }

    fn bag_column(&self, tape: &mut Tape, prefix: &str, bag: &BagColumn, values: Var, slice: Var) -> Result<Var> {
        let table = tape.table(&format!("{prefix}.{}", bag.name), bag.rows, bag.dim, self.table_init())?;
        Ok(tape.bag(table, values, slice, &whole_mean(bag.max_len, None, None))?)
    }

    fn categories(
        &self,
        tape: &mut Tape,
        prefix: &str,
        categories: &[crate::schema::Category],
        taken: Var,
        parts: &mut Vec<Var>,
    ) -> Result<()> {
        for (c, category) in categories.iter().enumerate() {
            let again = category.function > 0;
            let name = format!("{prefix}.{}", category.name);
            let table = tape.table(&name, category.rows, category.dim, self.table_init())?;
            let mut ids = tape.columns(taken, c, 1)?;
            let p = self.config.user_id_dropout;
            if self.training && p > 0.0 && category.name == USER_ID {
                ids = tape.drop_ids(ids, p, 0)?; // both hashes of a row are left out together
            }
            let part = tape.gather(table, ids)?;
            match parts.last_mut().filter(|_| again) {
                Some(first) => *first = tape.add(*first, part)?,
                None => parts.push(part),
            }
        }
        Ok(())
    }

    /// The user tower: `[n, dim]`, of length one where the configuration normalises.
    pub(crate) fn user(&mut self, tape: &mut Tape, inputs: &UserInputs) -> Result<Var> {
        let mut parts = Vec::new();
        let schema = self.schema;
        match inputs.user {
            Some(ids) => self.columns(tape, "user", &schema.user, ids, &mut parts)?,
            None => self.given_columns(tape, &schema.user, tape.shape(inputs.slice)[0], &mut parts)?,
        }
        let given = schema.given_context();
        if let Some(context) = inputs.context {
            self.categories(tape, "context", given, context, &mut parts)?;
        }
        if let Some([_, categories]) = inputs.session {
            self.categories(tape, "context", &schema.context[given.len()..], categories, &mut parts)?;
        }
        let table = self.item_table(tape)?;
        let mask = self.dropped(tape, inputs.slice, schema.history)?;
        parts.extend(self.pooled(tape, table, inputs, mask)?);
        if let Some([session, _]) = inputs.session {
            // The session's items are the newest of the history: the same ones are dropped.
            let options = whole_mean(schema.history, mask, inputs.hole);
            parts.push(self.bag(tape, table, &UserInputs { slice: session, ..*inputs }, &options)?);
        }
        if let (Some(shape), Some(searches)) = (&schema.searches, inputs.searches) {
            parts.push(self.searched(tape, shape, searches)?);
        }
        parts.extend(inputs.age);
        let widths: Vec<usize> = parts.iter().map(|part| tape.shape(*part)[1]).collect();
        let x = tape.concat(&parts)?;
        let x = self.senet(tape, "user", x, &widths)?;
        let hidden = self.config.user_hidden.clone().unwrap_or_default();
        let v = self.mlp(tape, "user", x, &hidden)?;
        self.finish(tape, v)
    }

    /// Bits of the positions of each row of `slice` that stay where the history's dropout leaves some out; none in inference.
    pub(crate) fn dropped(&mut self, tape: &mut Tape, slice: Var, longest: usize) -> Result<Option<Var>> {
        let p = self.config.history_dropout.unwrap_or(0.0);
        if !self.training || p == 0.0 {
            return Ok(None);
        }
        let (rows, number) = (tape.shape(slice)[0], self.next_draw());
        Ok(Some(tape.history_mask(rows, longest.div_ceil(32), p, number)?))
    }

    /// The item tower of DSSM, or the item table of YoutubeDNN: `[n, dim]`.
    pub(crate) fn item(&mut self, tape: &mut Tape, ids: Var) -> Result<Var> {
        if self.config.model == crate::ModelKind::YoutubeDnn {
            let table = match self.config.item_table {
                crate::config::ItemTable::Shared => self.item_table(tape)?,
                crate::config::ItemTable::Separate => {
                    tape.table("item_out", self.schema.item_table_rows(), self.config.dim, self.table_init())?
                }
            };
            let v = self.own_rows(tape, table, ids)?;
            return self.finish(tape, v);
        }
        let table = self.item_table(tape)?;
        let schema = self.schema;
        let mut parts = vec![self.own_rows(tape, table, ids)?];
        self.columns(tape, "item", &schema.item, ids, &mut parts)?;
        let widths: Vec<usize> = parts.iter().map(|part| tape.shape(*part)[1]).collect();
        let x = tape.concat(&parts)?;
        let x = self.senet(tape, "item", x, &widths)?;
        let hidden = self.config.item_hidden.clone();
        let v = self.mlp(tape, "item", x, &hidden)?;
        self.finish(tape, v)
    }

    /// The rows of items in a table of their ids: the sum of two where ids are hashed by two functions.
    fn own_rows(&mut self, tape: &mut Tape, table: Var, ids: Var) -> Result<Var> {
        let functions = self.schema.extra.item_functions();
        let taken = if functions > 0 {
            let map = tape.input_ids("item.ids", self.schema.item_rows, functions);
            tape.take(map, ids)?
        } else {
            ids
        };
        let p = if self.training { self.config.item_id_dropout } else { 0.0 };
        let number = if p > 0.0 { self.next_draw() } else { 0 };
        let rows = |tape: &mut Tape, function: usize| -> Result<Var> {
            let mut own = if functions > 1 { tape.columns(taken, function, 1)? } else { taken };
            if p > 0.0 {
                own = tape.drop_ids(own, p, number)?; // all rows of an item are left out together
            }
            Ok(tape.gather(table, own)?)
        };
        let first = rows(tape, 0)?;
        (1..functions).try_fold(first, |sum, function| {
            let more = rows(tape, function)?;
            Ok(tape.add(sum, more)?)
        })
    }

    fn finish(&self, tape: &mut Tape, v: Var) -> Result<Var> {
        Ok(if self.config.normalize { tape.l2_normalize(v)? } else { v })
    }

    /// Hidden layers with activation and dropout, a last layer of width `dim`, linear or with an activation of its own, and the
    /// skip, which is added to its linear part.
    fn mlp(&mut self, tape: &mut Tape, name: &str, x: Var, hidden: &[usize]) -> Result<Var> {
        let x = self.dropout(tape, x)?;
        let inputs = tape.shape(x)[1];
        let mut h = x;
        for (layer, width) in hidden.iter().enumerate() {
            let before = h;
            h = self.layer(tape, &format!("{name}.{layer}"), h, *width, None, Some(self.config.activation))?;
            h = self.dropout(tape, h)?;
            h = self.residual(tape, before, h)?;
        }
        let dim = self.config.dim;
        let skip = if self.config.skip && !hidden.is_empty() {
            let w = tape.param(&format!("{name}.skip"), [inputs, dim], linear_init(inputs))?;
            Some(tape.linear(x, w, None, None, Activation::None)?)
        } else {
            None
        };
        let last = self.config.last_activation;
        let v = self.layer(tape, &format!("{name}.{}", hidden.len()), h, dim, skip, last)?;
        if last.is_some() { self.dropout(tape, v) } else { Ok(v) }
    }

    fn layer(
        &self,
        tape: &mut Tape,
        name: &str,
        x: Var,
        width: usize,
        skip: Option<Var>,
        hidden: Option<Hidden>,
    ) -> Result<Var> {
        let inputs = tape.shape(x)[1];
        let w = tape.param(&format!("{name}.weight"), [inputs, width], linear_init(inputs))?;
        if let Some(hidden) = hidden.filter(|_| self.config.norm == Norm::Batch) {
            // Its mean takes a bias away again; the norm has one.
            let y = tape.linear(x, w, None, skip, Activation::None)?;
            return self.normed(tape, name, y, hidden);
        }
        let b = tape.param(&format!("{name}.bias"), [1, width], linear_init(inputs))?;
        let activation = match hidden {
            Some(_) if self.config.norm == Norm::Layer => Activation::None,
            Some(Hidden::Relu) => Activation::Relu,
            Some(Hidden::Tanh) => Activation::Tanh,
            Some(Hidden::Sigmoid) => Activation::Sigmoid,
            Some(Hidden::Prelu | Hidden::Gelu) | None => Activation::None,
        };
        let y = tape.linear(x, w, Some(b), skip, activation)?;
        match hidden {
            Some(hidden) if activation == Activation::None => self.normed(tape, name, y, hidden),
            _ => Ok(y),
        }
    }

    fn dropout(&mut self, tape: &mut Tape, x: Var) -> Result<Var> {
        let p = self.config.dropout.unwrap_or(0.0);
        if !self.training || p == 0.0 {
            return Ok(x);
        }
        let number = self.next_draw();
        Ok(tape.dropout(x, p, number)?)
    }
}

/// The mean over whole slices of at most `max_len`.
pub(crate) fn whole_mean(max_len: usize, mask: Option<Var>, hole: Option<Var>) -> BagOptions {
    BagOptions { windows: vec![usize::MAX], mean: true, zones: false, max_len, mask, hole }
}

/// Uniform in ±1 / sqrt(fan-in), weights and biases.
pub(crate) fn linear_init(inputs: usize) -> Init {
    Init::Uniform(1.0 / (inputs.max(1) as f32).sqrt())
}
