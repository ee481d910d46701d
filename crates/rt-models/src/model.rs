//! A model ready to answer: its two towers, its items' vectors, its users' histories.

use crate::config::Config;
use crate::losses::{self, Sizes};
use crate::schema::{COARSE_GAPS, GAP, Schema};
use crate::session;
use crate::towers::{Towers, UserInputs};
use crate::{Error, Index, Result};
use rt_data::{Column, Dataset, Split};
use rt_kernels::kernels::{Activation, Gemm};
use rt_kernels::{CpuIo, Kernel, Mat, MatMut};
use rt_tensor::{Device, Params, Program, Step, Store, Tape};
use std::sync::{Arc, Mutex, PoisonError};

/// Rows of a tower that run together at inference.
const CHUNK: usize = 256;

/// One user to make a vector for; `..Query::default()` stands for what is not known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<'a> {
    /// Dense user id; 0 for one whom the model does not know.
    pub user: u32,
    /// Dense items, oldest first; the tower takes the last ones.
    pub history: &'a [u32],
    /// Context categories in the order of the schema; shorter is padded with 0, "unknown".
    pub context: &'a [u32],
    /// Seconds of each item of the history, from any origin; empty where they are not known: then all count as simultaneous,
    /// as one session.
    pub times: &'a [i64],
}

/// A recommended item.
#[derive(Debug, Clone, PartialEq)]
pub struct Recommendation {
    /// From 1.
    pub rank: usize,
    /// Dense item id.
    pub item: u32,
    /// Raw item id.
    pub raw: String,
    /// Title, or the raw id where there is none.
    pub title: String,
    /// Dot product of user and item vector: the cosine where vectors are normalised.
    pub score: f32,
}

/// A DSSM or YoutubeDNN with its data, on a device.
pub struct Model {
    pub(crate) config: Config,
    pub(crate) schema: Schema,
    pub(crate) data: Arc<Dataset>,
    /// Had the user a training event?
    pub(crate) trained: Vec<bool>,
    pub(crate) store: Store,
    towers: Mutex<Inference>,
    vectors: Mutex<Option<Arc<Vec<f32>>>>,
    index: Mutex<Option<Arc<Index>>>,
}

struct Inference {
    user: Program,
    item: Program,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("config", &self.config).field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Model {
    /// A model at its initial values for `seed`. `config` is resolved against the data.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] where configuration and data do not go together; device errors.
    pub fn new(device: &Device, config: &Config, data: Arc<Dataset>, split: &Split, seed: u64) -> Result<Self> {
        let vectors = crate::vectors::read(config, &data)?;
        let data = vectors.as_ref().map_or_else(|| Ok(data.clone()), |v| v.attach(config, &data))?;
        let mut config = config.clone();
        if let (Some(vectors), true) = (&vectors, config.item_vectors_tune && config.dim == 0) {
            config.dim = vectors.dim(); // the table that they start is as wide as they are
        }
        let config = config.resolve(&data, split)?;
        let longest = data.user_start.windows(2).map(|w| (w[1] - w[0]) as usize).max().unwrap_or(0);
        let mut schema = Schema::new(&config, &data, split.history_is_set, longest);
        schema.extra.item_ids = crate::features::item_ids(&config, &data, split);
        let trained: Vec<bool> = split.train_end.iter().zip(&data.user_start).map(|(end, start)| end > start).collect();
        let model = Self::build(device, config, schema, data, trained, seed)?;
        if let Some(vectors) = vectors.filter(|_| model.config.item_vectors_tune) {
            vectors.start(&model.store)?;
        }
        Ok(model)
    }

    pub(crate) fn build(
        device: &Device,
        config: Config,
        schema: Schema,
        data: Arc<Dataset>,
        trained: Vec<bool>,
        seed: u64,
    ) -> Result<Self> {
        let sizes = Sizes { examples: 1, events: data.event_item.len().max(1) };
        let params = losses::record(&config, &schema, &sizes)?.params().clone();
        let store = Store::new(device, &params, seed)?;
        schema.upload(&store, &data, &trained)?;
        let towers = Inference {
            user: user_tape(&config, &schema, &params)?.compile(&store)?,
            item: item_tape(&config, &schema, &params)?.compile(&store)?,
        };
        let (towers, vectors, index) = (Mutex::new(towers), Mutex::new(None), Mutex::new(None));
        Ok(Self { config, schema, data, trained, store, towers, vectors, index })
    }

    /// The resolved configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Vocabularies, histories, features and titles.
    #[must_use]
    pub fn data(&self) -> &Dataset {
        &self.data
    }

    /// The device that it runs on.
    #[must_use]
    pub fn device(&self) -> &Device {
        self.store.device()
    }

    /// Parameters and data on the device.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Width of both towers' output.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.config.dim
    }

    /// Vectors of users, `[queries, dim]`.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] for a user or item past the vocabularies, [`Error::Request`] for times that are not as many as the
    /// history's items; device errors.
    pub fn user_tower(&self, queries: &[Query<'_>]) -> Result<Vec<f32>> {
        let mut out = Vec::with_capacity(queries.len() * self.dim());
        let mut towers = self.towers.lock().unwrap_or_else(PoisonError::into_inner);
        let (history, columns) = (self.schema.history, self.schema.given_context().len());
        let chunk = user_chunk(&self.schema);
        for queries in queries.chunks(chunk) {
            let mut users = vec![0u32; chunk];
            let mut items = vec![0u32; chunk * history];
            let mut slices = vec![0u32; chunk * 2];
            let mut context = vec![0u32; chunk * columns];
            let mut sessions = [vec![0u32; chunk * 2], vec![0u32; chunk * 2]];
            let mut seconds = vec![0u32; if self.config.decay_heads > 0 { chunk * history } else { 0 }];
            for (i, q) in queries.iter().enumerate() {
                self.check_ids(q)?;
                let last = &q.history[q.history.len().saturating_sub(history)..];
                users[i] = q.user;
                items[i * history..][..last.len()].copy_from_slice(last);
                slices[i * 2] = (i * history) as u32;
                slices[i * 2 + 1] = last.len() as u32;
                let given = q.context.len().min(columns);
                context[i * columns..][..given].copy_from_slice(&q.context[..given]);
                if self.config.session_seconds() > 0 {
                    let session = session::of_request(q.history, q.times, self.config.session_seconds());
                    let length = (session.length as usize).min(last.len());
                    let start = (i * history + last.len() - length) as u32;
                    sessions[0][i * 2..][..2].copy_from_slice(&[start, length as u32]);
                    sessions[1][i * 2..][..2].copy_from_slice(&session.categories());
                }
                if self.config.decay_heads > 0 {
                    let times = &q.times[q.times.len().saturating_sub(history)..];
                    let since = crate::history::seconds_of_request(times);
                    seconds[i * history..].iter_mut().zip(since).for_each(|(to, s)| *to = s);
                }
            }
            let program = &mut towers.user;
            if !self.schema.user.is_empty() {
                program.write_u32("query.user", &users)?;
            }
            program.write_u32("query.items", &items)?;
            program.write_u32("query.slice", &slices)?;
            if self.config.session_seconds() > 0 {
                program.write_u32("query.session", &sessions[0])?;
                program.write_u32("query.session_categories", &sessions[1])?;
            }
            if columns > 0 {
                program.write_u32("query.context", &context)?;
            }
            if self.config.decay_heads > 0 {
                program.write_u32("query.seconds", &seconds)?;
            }
            program.run(&Step::new(1, 0, 0, queries.len() as u32))?;
            out.extend_from_slice(&program.read_f32("vectors")?[..queries.len() * self.config.dim]);
        }
        Ok(out)
    }

    fn check_ids(&self, q: &Query<'_>) -> Result<()> {
        let unknown = |what, id: u32| Error::Unknown { what, id: id.to_string(), hint: " (dense id)".into() };
        if q.user as usize >= self.schema.user_rows {
            return Err(unknown("user", q.user));
        }
        if let Some(item) = q.history.iter().find(|i| **i as usize >= self.schema.item_rows) {
            return Err(unknown("item", *item));
        }
        if !q.times.is_empty() && q.times.len() != q.history.len() {
            let (times, items) = (q.times.len(), q.history.len());
            let what = format!("{times} times for a history of {items} items: give one for each item, or none");
            return Err(Error::Request(what));
        }
        for (value, category) in q.context.iter().zip(&self.schema.context) {
            if *value as usize >= category.rows {
                return Err(unknown("context category", *value));
            }
        }
        Ok(())
    }

    /// Vectors of items, `[items, dim]`.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] for an item past the vocabulary; device errors.
    pub fn item_tower(&self, items: &[u32]) -> Result<Vec<f32>> {
        if let Some(item) = items.iter().find(|i| **i as usize >= self.schema.item_rows) {
            return Err(Error::Unknown { what: "item", id: item.to_string(), hint: " (dense id)".into() });
        }
        let mut out = Vec::with_capacity(items.len() * self.dim());
        let mut towers = self.towers.lock().unwrap_or_else(PoisonError::into_inner);
        for items in items.chunks(CHUNK) {
            let mut ids = vec![0u32; CHUNK];
            ids[..items.len()].copy_from_slice(items);
            let program = &mut towers.item;
            program.write_u32("query.item", &ids)?;
            program.run(&Step::new(1, 0, 0, items.len() as u32))?;
            out.extend_from_slice(&program.read_f32("vectors")?[..items.len() * self.config.dim]);
        }
        Ok(out)
    }

    /// Vectors of all items by dense id, `[items, dim]`; row 0 is zero. Made once and kept until the weights change.
    ///
    /// # Errors
    ///
    /// Device errors.
    pub fn item_vectors(&self) -> Result<Arc<Vec<f32>>> {
        let mut kept = self.vectors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(vectors) = &*kept {
            return Ok(vectors.clone());
        }
        let all: Vec<u32> = (0..self.schema.item_rows as u32).collect();
        let mut vectors = self.item_tower(&all)?;
        vectors[..self.config.dim].fill(0.0);
        let vectors = Arc::new(vectors);
        *kept = Some(vectors.clone());
        Ok(vectors)
    }

    /// Forgets what was derived from the weights.
    pub(crate) fn weights_changed(&self) {
        *self.vectors.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.index.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The index of all items by dense id, on the model's device. Made once and kept until the weights change.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] where a weight is not a finite number; device errors.
    pub fn index(&self) -> Result<Arc<Index>> {
        let mut kept = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = &*kept {
            return Ok(index.clone());
        }
        let index = Arc::new(Index::new(self.device(), &self.item_vectors()?, self.dim())?);
        *kept = Some(index.clone());
        Ok(index)
    }

    /// Scores of users against all items by dense id, `[queries, items]`, into `out`.
    ///
    /// # Errors
    ///
    /// As [`Model::user_tower`].
    pub fn scores(&self, queries: &[Query<'_>], out: &mut [f32]) -> Result<()> {
        let users = self.user_tower(queries)?;
        let items = self.item_vectors()?;
        product(&users, &items, queries.len(), self.schema.item_rows, self.dim(), out);
        Ok(())
    }

    /// The best `k` items of the catalogue for a user, without those in `exclude` (dense ids); ties in ascending id.
    ///
    /// # Errors
    ///
    /// As [`Model::user_tower`]; [`Error::Request`] for k = 0.
    pub fn recommend(&self, query: &Query<'_>, exclude: &[u32], k: usize) -> Result<Vec<Recommendation>> {
        if k == 0 {
            return Err(Error::Request("k = 0: ask for at least one item".into()));
        }
        let best = crate::retrieve::top_k(self, query, exclude, k)?;
        let named = |(i, (item, score)): (usize, (u32, f32))| Recommendation {
            rank: i + 1,
            item,
            raw: self.data.items.raw(item).to_owned(),
            title: self.data.title(item).to_owned(),
            score,
        };
        Ok(best.into_iter().enumerate().map(named).collect())
    }

    /// Dense items of all events of a user, oldest first: the history to recommend from, and what to leave out.
    #[must_use]
    pub fn history_of(&self, user: u32) -> &[u32] {
        &self.data.event_item[self.data.events_of(user)]
    }

    /// Seconds of the events of [`Model::history_of`]; empty where the data has no clock times.
    #[must_use]
    pub fn times_of(&self, user: u32) -> Vec<i64> {
        self.data.clock_times(self.data.events_of(user))
    }

    /// Dense id of a user.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] where the raw id stands in no file that the model was trained from.
    pub fn user(&self, raw: &str) -> Result<u32> {
        self.data.users.get(raw).ok_or_else(|| Error::Unknown {
            what: "user",
            id: raw.into(),
            hint: format!(
                ": it knows {} users, such as `{}`; for others give a history of items",
                self.data.users.rows() - 1,
                self.data.users.raw(1)
            ),
        })
    }

    /// Dense id of an item.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] where the raw id stands in no file that the model was trained from.
    pub fn item(&self, raw: &str) -> Result<u32> {
        self.data.items.get(raw).ok_or_else(|| Error::Unknown {
            what: "item",
            id: raw.into(),
            hint: format!(": it knows {} items, such as `{}`", self.data.items.rows() - 1, self.data.items.raw(1)),
        })
    }

    /// Did training see the user? Others are served from their features and history.
    #[must_use]
    pub fn was_trained(&self, user: u32) -> bool {
        self.trained.get(user as usize).copied().unwrap_or(false)
    }

    /// Context categories of an event, as [`Query::context`].
    #[must_use]
    pub fn context_of(&self, all: &[u32], event: usize) -> Vec<u32> {
        let columns = self.schema.given_context().len();
        all.get(event * columns..(event + 1) * columns).map_or_else(Vec::new, <[u32]>::to_vec)
    }

    /// The training step of this model as a tape, for listings.
    ///
    /// # Errors
    ///
    /// As recording.
    pub fn training_tape(&self, examples: usize) -> Result<Tape> {
        losses::record(&self.config, &self.schema, &Sizes { examples, events: self.data.event_item.len().max(1) })
    }

    /// Numbers of parameters: (in tables, in dense layers).
    #[must_use]
    pub fn parameters(&self) -> (usize, usize) {
        let count = |kind| {
            let of = self.store.params().list().iter().filter(move |p| p.kind == kind);
            of.map(|p| p.shape[0] * p.shape[1]).sum()
        };
        (count(rt_tensor::ParamKind::Table), count(rt_tensor::ParamKind::Dense))
    }
}

impl crate::schema::Side {
    fn is_empty(&self) -> bool {
        self.categories.is_empty() && self.bags.is_empty() && self.numbers.is_empty()
    }
}

/// Users that run together: fewer where histories are long, so that a chunk's histories stay below 4 M items.
fn user_chunk(schema: &Schema) -> usize {
    (4_194_304 / schema.history.max(1)).clamp(1, CHUNK)
}

fn user_tape(config: &Config, schema: &Schema, params: &Params) -> Result<Tape> {
    let mut tape = Tape::with_params(params.clone());
    let mut towers = Towers { config, schema, training: false, draws: 0, built: crate::blocks::Built::default() };
    let rows = user_chunk(schema);
    let given = schema.given_context().len();
    let context = (given > 0).then(|| tape.input_ids("query.context", rows, given));
    let inputs = UserInputs {
        user: tape.input_ids("query.user", rows, 1),
        items: tape.input_ids("query.items", rows * schema.history, 1),
        slice: tape.input_ids("query.slice", rows, 2),
        session: (config.session_seconds() > 0)
            .then(|| ["query.session", "query.session_categories"].map(|name| tape.input_ids(name, rows, 2))),
        hole: None,
        context,
        age: config.example_age.then(|| serving_age(&mut tape, config, rows)).transpose()?,
        times: (config.decay_heads > 0).then(|| tape.input_ids("query.seconds", rows * schema.history, 1)),
    };
    let vectors = towers.user(&mut tape, &inputs)?;
    tape.output("vectors", vectors);
    Ok(tape)
}

/// The Example Age that all queries have.
fn serving_age(tape: &mut Tape, config: &Config, rows: usize) -> Result<rt_tensor::Var> {
    let age = crate::age::inputs(config.example_age_serving);
    Ok(tape.constant(&age.repeat(rows), rows, age.len())?)
}

fn item_tape(config: &Config, schema: &Schema, params: &Params) -> Result<Tape> {
    let mut tape = Tape::with_params(params.clone());
    let mut towers = Towers { config, schema, training: false, draws: 0, built: crate::blocks::Built::default() };
    let ids = tape.input_ids("query.item", CHUNK, 1);
    let vectors = towers.item(&mut tape, ids)?;
    tape.output("vectors", vectors);
    Ok(tape)
}

/// `out[i, j] = users_i . items_j`, on the CPU in the current thread pool.
pub(crate) fn product(users: &[f32], items: &[f32], m: usize, n: usize, k: usize, out: &mut [f32]) {
    if m * n == 0 {
        return;
    }
    let gemm = Gemm { m, n, k, trans_a: false, trans_b: true, activation: Activation::None };
    let step = Step::default();
    let reads = vec![
        Some(Mat::new(bytemuck::cast_slice(users), m, k, k)),
        Some(Mat::new(bytemuck::cast_slice(items), n, k, k)),
        None,
        None,
    ];
    let writes = vec![Some(MatMut::new(bytemuck::cast_slice_mut(out), m, n, n))];
    gemm.run(&mut CpuIo::new(&step, reads, writes));
}

/// The context of a request made now: the coarse gap is more than a day; a fine one, and all else, is not known.
pub(crate) fn context_now(schema: &Schema) -> Vec<u32> {
    schema.given_context().iter().map(|c| if c.name == GAP && c.rows == COARSE_GAPS { 3 } else { 0 }).collect()
}

impl Model {
    /// The context of a request whose context is not known.
    #[must_use]
    pub fn default_context(&self) -> Vec<u32> {
        context_now(&self.schema)
    }

    /// Context categories of all events, row-major, for evaluation.
    #[must_use]
    pub fn event_context(&self, data: &Dataset) -> Vec<u32> {
        if self.schema.given_context().is_empty() {
            Vec::new()
        } else {
            crate::schema::event_context(&self.schema, &self.data, data)
        }
    }

    /// Dense category of a context column by raw value; 0 where it is not known.
    #[must_use]
    pub fn context_category(&self, column: &str, raw: &str) -> u32 {
        let found = self.data.event_features.columns.iter().find(|(name, _)| name == column);
        match found {
            Some((_, Column::Category { vocab, .. })) => vocab.get(raw).unwrap_or(0),
            _ => 0,
        }
    }
}
