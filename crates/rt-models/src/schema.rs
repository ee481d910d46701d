//! What the towers are built from: which columns there are, how wide their embeddings are, how long their lists.

use crate::config::{Config, Gap, Label, Loss, ModelKind, NegativesFrom, Switch};
use crate::features::{Extra, USER_ID, has_indicator, hashed_row};
use crate::rules::Probe;
use crate::searches::SearchShape;
use crate::session;
use crate::{Error, Result};
use rt_data::{Column, Dataset, Features, Split};
use rt_tensor::Store;

/// A category that is embedded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Category {
    pub name: String,
    pub rows: usize,
    pub dim: usize,
    /// Hash function of its rows: the second one's are in the table of the category before, to whose part they add up.
    pub function: usize,
}

impl Category {
    pub(crate) fn new(name: impl Into<String>, rows: usize, dim: usize) -> Self {
        Self { name: name.into(), rows, dim, function: 0 }
    }

    /// The category once for each of `functions` hash functions.
    fn of_each(self, functions: usize) -> impl Iterator<Item = Self> {
        (0..functions).map(move |function| Self { function, ..self.clone() })
    }
}

/// A column of numbers in a tower's input.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Number {
    pub name: String,
    pub mean: f32,
    pub deviation: f32,
    /// Is it 1 where the number is missing, else 0, and not the number itself?
    pub indicator: bool,
}

/// A bag of categories: the mean of their embeddings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BagColumn {
    pub name: String,
    pub rows: usize,
    pub dim: usize,
    /// Longest list.
    pub max_len: usize,
    /// Categories in all lists together.
    pub values: usize,
}

/// The columns of one side.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Side {
    /// In the order of the columns of the id matrix.
    pub categories: Vec<Category>,
    pub bags: Vec<BagColumn>,
    /// Number columns, mean and deviation over the rows from 1 on, each followed by its indicator where it has one.
    pub numbers: Vec<Number>,
}

/// What a model is built from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Schema {
    pub user_rows: usize,
    pub item_rows: usize,
    /// Items that training may take as negatives; outside of training, all that are ranked.
    pub candidates: usize,
    /// Are these the first items of the vocabulary, so that a uniform draw of a number is one of an item?
    pub first_items: bool,
    /// Width of the item table, which the history pools; YoutubeDNN's `item_out` is as wide as the output.
    pub item_dim: usize,
    pub user: Side,
    pub item: Side,
    /// Categories of the event: what is known at request time.
    pub context: Vec<Category>,
    pub history_is_set: bool,
    /// Items of a history that enter the tower, at most.
    pub history: usize,
    /// How columns are made of columns.
    pub extra: Extra,
    /// Do examples have weights of their own?
    pub weighted: bool,
    /// Items that were shown and not clicked, at least 1 so that there is something to bind.
    pub exposed: usize,
    /// How searches enter the user tower, where they do.
    pub searches: Option<SearchShape>,
}

/// Width of a category's embedding by its number of rows: 8 for small ones, 16 for larger ones.
pub(crate) fn small_dim(rows: usize) -> usize {
    if rows <= 16 { 8 } else { 16 }
}

/// Training examples from which on vectors are wider by default: on validation of ml-1m-half and amazon-beauty 128 columns
/// were better than 64.
const WIDE_DATA: usize = 100_000;

/// The name of the coarse-gap category.
pub(crate) const GAP: &str = "gap";
/// No event before, within an hour, within a day, more.
pub(crate) const COARSE_GAPS: usize = 4;

impl Config {
    /// The configuration with its rules applied to the data: `user_id`, `windows` and `negatives` get values.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] where a setting does not go with the data or the model.
    pub fn resolve(&self, data: &Dataset, split: &Split) -> Result<Self> {
        self.check()?;
        let mut config = self.clone();
        let mut probe = None;
        if split.history_is_set {
            if !(config.windows.is_empty() || config.windows == [usize::MAX]) {
                let what =
                    "windows: the data has no time, so a history is a set and has no last items; leave windows empty";
                return Err(Error::Config(what.into()));
            }
            config.windows = vec![usize::MAX];
        } else {
            let short = crate::history::seconds(&data.event_time).is_ok();
            let timed = data.has_clock() && short && config.label != Label::HeldOut;
            probe = if config.asks(timed) { Probe::of(data, split)? } else { None };
            config.resolve_order(data, split, timed, probe.as_ref());
        }
        config.resolve_steps(split);
        config.resolve_width(split);
        config.resolve_sets(data, split);
        if let Some(last) = config.windows.last().filter(|w| **w > config.history && **w != usize::MAX) {
            let what = format!("windows: the last one, {last}, is longer than history = {}", config.history);
            return Err(Error::Config(what));
        }
        crate::features::resolve(&mut config, data)?;
        let plain = |(_, column): &&(String, Column)| !matches!(column, Column::Category { .. });
        if let Some((name, _)) = data.event_features.columns.iter().find(plain) {
            let what = format!(
                "context column `{name}`: a request's context enters a tower as categories; read it as {name}:category"
            );
            return Err(Error::Config(what));
        }
        if config.user_id == Switch::Auto {
            let users = data.user_start.windows(2).filter(|w| w[0] < w[1]).count().max(1);
            let many = split.examples.len() >= 20 * users;
            config.user_id = if many { Switch::On } else { Switch::Off };
            if !many {
                config.column_dims.retain(|(name, _)| name != USER_ID);
            }
        }
        if config.dim == 0 {
            config.dim = if split.examples.len() < WIDE_DATA { 64 } else { 128 };
        }
        config.resolve_noise(split, probe.as_ref());
        crate::negatives::check_together(&config)?;
        if config.negatives == 0 {
            config.negatives = config.default_negatives();
        }
        if config.mine > 0 {
            let candidates = crate::sampler::candidates(data, split).len();
            let [first, last] = config.ranks_mined(candidates);
            if last > candidates {
                let what = format!(
                    "`mine_ranks = {first},{last}`: the catalogue of training has {candidates} items, so that the last rank is at most that; left \
                     empty, the ranks follow their number"
                );
                return Err(Error::Config(what));
            }
            config.mine_ranks = vec![first, last];
        }
        let heldout = config.label == Label::HeldOut;
        // With a held-out label later items stand in the history: it has no running session.
        let clock = data.has_clock() && !split.history_is_set && !heldout;
        match config.session {
            None => config.session = Some(0),
            Some(0) => {}
            Some(_) if clock => {}
            Some(seconds) if heldout => {
                let what = format!("`session = {seconds}` with `label = heldout`: there is no running session");
                return Err(Error::Config(what));
            }
            Some(_) => return Err(Error::Config("session: the data has no clock times".into())),
        }
        if config.gap != Gap::Off && !data.has_clock() {
            return Err(Error::Config("gap: the data has no clock times".into()));
        }
        if heldout && config.decay_heads > 0 {
            let what = "`decay_heads` with `label = heldout`: gaps would be counted from the target's own time";
            return Err(Error::Config(what.into()));
        }
        let negatives = match config.loss {
            Loss::InBatch => config.clone().within(split.examples.len()).batch * (config.queue + 1) + config.mixed - 1,
            Loss::Sampled => config.negatives,
            _ => crate::sampler::candidates(data, split).len().saturating_sub(1),
        };
        if config.hard_negatives > 0 && config.hard_from > negatives {
            let what = format!(
                "`hard_from = {}`: a row has at most {negatives} negatives, so that none would stay; use a larger batch or \
                 more negatives",
                config.hard_from
            );
            return Err(Error::Config(what));
        }
        config.check_history_of(data, split.history_is_set)?;
        config.resolve_searches(data)?;
        if config.negatives_from != NegativesFrom::Sampler {
            let name = if config.negatives_from == NegativesFrom::Data { "data" } else { "both" };
            if !config.loss.draws_own() {
                let what = format!("negatives_from = {name}: loss has to be list, pointwise, bpr or hinge");
                return Err(Error::Config(what));
            }
            if data.exposed.is_none() {
                let what = format!(
                    "negatives_from = {name}: no item of the data was shown and not clicked; name its label column \
                     (--label-col), in which 0 says so"
                );
                return Err(Error::Config(what));
            }
        }
        if config.label == Label::HeldOut && split.history_is_set {
            let what = "label = heldout: the data has no time, so every example is held out of a set already";
            return Err(Error::Config(what.into()));
        }
        if config.model == ModelKind::YoutubeDnn && !config.item_hidden.is_empty() {
            return Err(Error::Config("item_hidden: youtube-dnn has no item tower, its items are a table".into()));
        }
        config.check_widths(data, split.history_is_set)?;
        Ok(config)
    }
}

impl Schema {
    /// The columns of the context that come from the data; the session's stand after them.
    pub(crate) fn given_context(&self) -> &[Category] {
        let given = self.context.iter().take_while(|c| c.name != session::LENGTH).count();
        &self.context[..given]
    }

    /// Rows of the item table.
    pub(crate) fn item_table_rows(&self) -> usize {
        self.extra.item_table_rows(self.item_rows)
    }

    /// Hash functions of the rows that histories pool; 0 where these are the items themselves.
    pub(crate) fn hashed_history(&self) -> usize {
        if self.extra.hash_items > 0 { self.extra.hash_functions } else { 0 }
    }

    /// The same for training on this data: no room for histories longer than its longest. (Up to 64 items room costs nothing, and
    /// what is drawn for a history stays what it is.)
    pub(crate) fn within(&self, data: &Dataset) -> Self {
        let longest = data.user_start.windows(2).map(|w| (w[1] - w[0]) as usize).max().unwrap_or(0);
        Self { history: self.history.min(longest.max(64)), ..self.clone() }
    }

    /// Reads the schema off the data.
    pub(crate) fn new(config: &Config, data: &Dataset, split_is_set: bool, longest: usize) -> Self {
        let (user_rows, item_rows) = (data.users.rows(), data.items.rows());
        let extra = Extra::new(config);
        let mut user = if config.user_features { side(&extra, &data.user_features) } else { Side::default() };
        if config.user_id == Switch::On {
            let rows = if config.hash_rows > 0 { config.hash_rows + 1 } else { user_rows };
            let functions = if config.hash_rows > 0 { config.hash_functions } else { 1 };
            user.categories.splice(0..0, Category::new(USER_ID, rows, config.dim).of_each(functions));
        }
        let with_items = config.model == ModelKind::Dssm && config.item_features;
        let mut item = if with_items { side(&extra, &data.item_features) } else { Side::default() };
        let mut context = side(&Extra::default(), &data.event_features).categories;
        match config.gap {
            Gap::Off => {}
            Gap::Coarse => context.push(Category::new(GAP, COARSE_GAPS, 8)),
            Gap::Fine => context.push(Category::new(GAP, 34, 16)),
        }
        if config.session_seconds() > 0 {
            context.push(Category::new(session::LENGTH, session::LENGTHS, 8));
            context.push(Category::new(session::PAUSE, session::PAUSES, 8));
        }
        config.set_widths(&mut user.categories, &mut user.bags);
        config.set_widths(&mut item.categories, &mut item.bags);
        config.set_widths(&mut context, &mut []);
        let history = if split_is_set { longest.max(1) } else { config.history };
        let weighted = !data.event_weight.is_empty();
        let exposed = data.exposed.as_ref().map_or(1, |exposed| exposed.items.len().max(1));
        Self {
            user_rows,
            item_rows,
            candidates: data.catalogue.len(),
            first_items: true,
            item_dim: config.item_dim(),
            user,
            item,
            context,
            history_is_set: split_is_set,
            history,
            extra,
            weighted,
            exposed,
            searches: None,
        }
    }

    /// Takes as candidates of training the items that have a train event.
    pub(crate) fn of_training(mut self, data: &Dataset, split: &Split) -> Self {
        let candidates = crate::sampler::candidates(data, split);
        self.candidates = candidates.len();
        self.first_items = candidates.iter().zip(1..).all(|(item, place)| *item == place);
        self
    }

    /// The row of the table of users' ids that hash function `function` gives to a user.
    pub(crate) fn user_id(&self, data: &Dataset, trained: &[bool], function: usize, user: usize) -> u32 {
        match self.extra.hash_rows {
            // Hashed ids need no training: users whom it never saw share rows with those whom it did.
            rows @ 1.. if user > 0 => hashed_row(data.users.raw(user as u32), rows, function as u64),
            0 if trained.get(user).copied().unwrap_or(false) => user as u32,
            _ => 0,
        }
    }

    /// Puts the features of users, items and events into the store, for every tape to share.
    pub(crate) fn upload(&self, store: &Store, data: &Dataset, trained: &[bool]) -> Result<()> {
        let user_features = self.extra.derive(&data.user_features);
        let id = |function, user| self.user_id(data, trained, function, user);
        upload_side(store, "user", (&self.user, &self.extra), &user_features, self.user_rows, id)?;
        if let Some(rows) = self.extra.item_rows(&data.items) {
            store.put_u32("item.ids", &rows)?;
        }
        let item_features = self.extra.derive(&data.item_features);
        upload_side(store, "item", (&self.item, &self.extra), &item_features, self.item_rows, |_, item| item as u32)
    }
}

fn side(extra: &Extra, features: &Features) -> Side {
    let mut side = Side::default();
    for (name, column) in &extra.derive(features).columns {
        let name = name.clone();
        match column {
            Column::Category { vocab, .. } => {
                let hashed = extra.hashed_cross(&name);
                let rows = hashed.map_or(vocab.rows(), |rows| rows + 1);
                let functions = hashed.map_or(1, |_| extra.hash_functions);
                side.categories.extend(Category::new(name, rows, small_dim(rows)).of_each(functions));
            }
            Column::Bag { vocab, offsets, values } => {
                let max_len = offsets.windows(2).map(|w| (w[1] - w[0]) as usize).max().unwrap_or(0);
                if max_len > 0 {
                    side.bags.push(BagColumn { name, rows: vocab.rows(), dim: 16, max_len, values: values.len() });
                }
            }
            Column::Number { values } => {
                let (mean, deviation) = extra.moments(values.get(1..).unwrap_or(&[]));
                let number = Number { name, mean, deviation, indicator: false };
                let indicator = has_indicator(values).then(|| Number { indicator: true, ..number.clone() });
                side.numbers.push(number);
                side.numbers.extend(indicator);
            }
        }
    }
    side
}

/// The columns of one side row by row, as a tower takes them.
#[derive(Debug, Clone, Default)]
pub(crate) struct SideRows {
    /// `[rows, categories]`
    pub categories: Vec<u32>,
    /// Of each bag the slices (start, length) `[rows, 2]` and what they are of.
    pub bags: Vec<(Vec<u32>, Vec<u32>)>,
    /// `[rows, numbers]`
    pub numbers: Vec<f32>,
}

impl Side {
    /// Rows of `features`, which are derived ([`Extra::derive`]) already. `id` gives the id of a row by hash function; row 0 of
    /// `features` is nobody where `nobody` says so.
    pub(crate) fn rows(
        &self,
        extra: &Extra,
        features: &Features,
        rows: usize,
        nobody: bool,
        id: impl Fn(usize, usize) -> u32,
    ) -> SideRows {
        let find = |name: &str| features.columns.iter().find(|(n, _)| n == name).map(|(_, c)| c);
        let width = self.categories.len();
        let mut categories = vec![0u32; rows * width];
        for (c, category) in self.categories.iter().enumerate() {
            let (column, hash_rows) = (find(&category.name), extra.hashed_cross(&category.name));
            for row in 0..rows {
                categories[row * width + c] = match (column, hash_rows) {
                    (Some(Column::Category { vocab, values }), hash_rows) => {
                        let value = values.get(row).copied().unwrap_or(0);
                        let place = |rows| hashed_row(vocab.raw(value), rows, category.function as u64);
                        hash_rows.filter(|_| value > 0).map_or(value, place)
                    }
                    _ => id(category.function, row),
                };
            }
        }
        let bag = |bag: &BagColumn| match find(&bag.name) {
            Some(Column::Bag { offsets, values, .. }) => {
                (offsets.windows(2).flat_map(|w| [w[0], w[1] - w[0]]).collect(), values.clone())
            }
            _ => (vec![0; 2 * rows], Vec::new()),
        };
        let width = self.numbers.len();
        let mut numbers = vec![0f32; rows * width];
        for (c, Number { name, mean, deviation, indicator }) in self.numbers.iter().enumerate() {
            if let Some(Column::Number { values }) = find(name) {
                for row in 0..rows {
                    // Row 0 is who or what is not known, as are rows past the column.
                    let value = values.get(row).copied().filter(|x| !(x.is_nan() || nobody && row == 0));
                    numbers[row * width + c] = match (value, indicator) {
                        (value, true) => f32::from(u8::from(value.is_none())),
                        (Some(value), false) => (value - mean) / deviation,
                        (None, false) => 0.0,
                    };
                }
            }
        }
        SideRows { categories, bags: self.bags.iter().map(bag).collect(), numbers }
    }
}

fn upload_side(
    store: &Store,
    prefix: &str,
    (side, extra): (&Side, &Extra),
    features: &Features,
    rows: usize,
    id: impl Fn(usize, usize) -> u32,
) -> Result<()> {
    let SideRows { categories, bags, numbers } = side.rows(extra, features, rows, true, id);
    if !categories.is_empty() {
        store.put_u32(&format!("{prefix}.categories"), &categories)?;
    }
    for (bag, (slices, values)) in side.bags.iter().zip(bags) {
        store.put_u32(&format!("{prefix}.{}.slices", bag.name), &slices)?;
        store.put_u32(&format!("{prefix}.{}.values", bag.name), &values)?;
    }
    if !numbers.is_empty() {
        store.put_f32(&format!("{prefix}.numbers"), &numbers)?;
    }
    Ok(())
}

/// Context categories of each event of `data`, row-major `[events, given]`, in the ids of `own`, the model's data: the columns of the
/// data and the gap. The session's are made in the step. What the model does not know, and a column that is not there, is 0.
pub(crate) fn event_context(schema: &Schema, own: &Dataset, data: &Dataset) -> Vec<u32> {
    let given = schema.given_context();
    let mut matrix = vec![0u32; data.event_item.len() * given.len()];
    for (c, category) in given.iter().enumerate() {
        let find = |data: &'_ Dataset| data.event_features.columns.iter().position(|(name, _)| *name == category.name);
        let cells = matrix.iter_mut().skip(c).step_by(given.len()).enumerate();
        match (find(own), find(data)) {
            (None, _) => cells.for_each(|(event, cell)| *cell = gap(data, event, category.rows > COARSE_GAPS)),
            (Some(_), None) => {
                tracing::warn!("the data has no context column `{}`: it counts as unknown", category.name);
            }
            (Some(known), Some(found)) => {
                let (Column::Category { vocab, .. }, Column::Category { vocab: theirs, values }) =
                    (&own.event_features.columns[known].1, &data.event_features.columns[found].1)
                else {
                    continue;
                };
                let ids = std::iter::once(0).chain(theirs.iter().map(|raw| vocab.get(raw).unwrap_or(0)));
                let ids: Vec<u32> = ids.collect();
                cells.for_each(|(event, cell)| *cell = ids[values[event] as usize]);
            }
        }
    }
    matrix
}

/// 1 = within an hour of the user's event before, 2 = within a day, 3 = more, 0 = no event before. Fine: 1 + the number
/// of bits of the seconds.
fn gap(data: &Dataset, event: usize, fine: bool) -> u32 {
    if event as u32 == data.user_start[data.user_of(event) as usize] {
        return 0;
    }
    let seconds = data.time(event) - data.time(event - 1);
    if fine {
        return 33 - u32::try_from(seconds.max(0)).unwrap_or(u32::MAX).leading_zeros();
    }
    match seconds {
        ..=3_600 => 1,
        3_601..=86_400 => 2,
        _ => 3,
    }
}
