//! A model ready to answer: its two towers, its items' vectors, its users' histories.

use crate::config::Config;
use crate::losses::{self, Sizes};
use crate::query::{Query, user_tape};
use crate::schema::{COARSE_GAPS, GAP, Schema};
use crate::searches::{self, SearchShape};
use crate::serve::{Kept, Programs};
use crate::towers::Towers;
use crate::trained::Trained;
use crate::{Error, Index, Result};
use rt_data::{Column, Dataset, Searches, Split, Vocab};
use rt_kernels::kernels::{Activation, Gemm};
use rt_kernels::{CpuIo, Kernel, Mat, MatMut};
use rt_tensor::{Device, Params, Step, Store, Tape};
use std::sync::Arc;

/// Rows of a tower that run together at inference.
pub(crate) const CHUNK: usize = 256;

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

/// A DSSM or YoutubeDNN with its data, on a device. Any number of threads may ask it at once, rayon's too.
pub struct Model {
    pub(crate) config: Config,
    pub(crate) schema: Schema,
    pub(crate) data: Arc<Dataset>,
    /// What training saw.
    pub(crate) trained: Trained,
    /// What users searched for in the model's words, where it reads that.
    pub(crate) searches: Option<Searches>,
    pub(crate) store: Store,
    pub(crate) user_programs: Programs,
    /// The user tower of users whose columns come with the request, compiled when it is first asked for.
    pub(crate) given_users: Kept<Programs>,
    item_programs: Programs,
    vectors: Kept<Vec<f32>>,
    index: Kept<Index>,
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
        Self::with_words(device, config, data, split, seed, None)
    }

    /// The same with rows for these words of searches, where another model has them already.
    pub(crate) fn with_words(
        device: &Device,
        config: &Config,
        data: Arc<Dataset>,
        split: &Split,
        seed: u64,
        words: Option<&Vocab>,
    ) -> Result<Self> {
        config.check()?;
        let vectors = crate::vectors::read(config, &data)?;
        let data = vectors.as_ref().map_or_else(|| Ok(data.clone()), |v| v.attach(config, &data))?;
        let data = crate::features::settle_missing(data, split);
        let mut config = config.clone();
        let follows = config.item_vectors_tune && config.item_dim() == 0;
        if let (Some(vectors), true) = (&vectors, follows) {
            config.dim = vectors.dim(); // the table that they start is as wide as they are
        }
        let config = config.resolve(&data, split)?;
        let longest = data.user_start.windows(2).map(|w| (w[1] - w[0]) as usize).max().unwrap_or(0);
        let mut schema = Schema::new(&config, &data, split.history_is_set, longest).of_training(&data, split);
        schema.extra.item_ids = crate::features::item_ids(&config, &data, split);
        let trained = Trained::of(&data, split);
        let searches = searches::of_training(&config, &data, split, words)?;
        let model = Self::build(device, config, schema, data, trained, searches, seed)?;
        if let Some(vectors) = vectors.filter(|_| model.config.item_vectors_tune) {
            vectors.start(&model.store)?;
        }
        Ok(model)
    }

    pub(crate) fn build(
        device: &Device,
        config: Config,
        mut schema: Schema,
        data: Arc<Dataset>,
        trained: Trained,
        searches: Option<Searches>,
        seed: u64,
    ) -> Result<Self> {
        schema.searches = searches.as_ref().map(|searches| SearchShape::new(&config, searches, &data));
        let sizes = Sizes { examples: 1, events: data.event_item.len().max(1) };
        let params = losses::record(&config, &schema, &sizes)?.params().clone();
        let store = Store::new(device, &params, seed)?;
        schema.upload(&store, &data, &trained.users)?;
        let user_programs = Programs::new(user_tape(&config, &schema, &params, false)?, &store)?;
        let item_programs = Programs::new(item_tape(&config, &schema, &params)?, &store)?;
        let (given_users, vectors, index) = (Kept::default(), Kept::default(), Kept::default());
        Ok(Self {
            config,
            schema,
            data,
            trained,
            searches,
            store,
            user_programs,
            given_users,
            item_programs,
            vectors,
            index,
        })
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
        for items in items.chunks(CHUNK) {
            let mut ids = vec![0u32; CHUNK];
            ids[..items.len()].copy_from_slice(items);
            let vectors = self.item_programs.take()?.with(|program| {
                program.write_u32("query.item", &ids)?;
                program.run(&Step::new(1, 0, 0, items.len() as u32))?;
                Ok(program.read_f32("vectors")?)
            })?;
            out.extend_from_slice(&vectors[..items.len() * self.config.dim]);
        }
        Ok(out)
    }

    /// Vectors of all items by dense id, `[items, dim]`; row 0 is zero. Made once and kept until the weights change.
    ///
    /// # Errors
    ///
    /// Device errors.
    pub fn item_vectors(&self) -> Result<Arc<Vec<f32>>> {
        self.vectors.get(|| {
            let all: Vec<u32> = (0..self.schema.item_rows as u32).collect();
            let mut vectors = self.item_tower(&all)?;
            vectors[..self.config.dim].fill(0.0);
            Ok(vectors)
        })
    }

    /// Forgets what was derived from the weights.
    pub(crate) fn weights_changed(&self) {
        self.vectors.forget();
        self.index.forget();
    }

    /// The index of all items by dense id, on the model's device. Made once and kept until the weights change.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] where a weight is not a finite number; device errors.
    pub fn index(&self) -> Result<Arc<Index>> {
        self.index.get(|| Index::new(self.device(), &self.item_vectors()?, self.dim()))
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

    /// Dense items that may be recommended: those with an interaction, and, where items have a tower with columns of theirs, those of
    /// the item table without one, which are known by their columns alone.
    #[must_use]
    pub fn offered(&self) -> &[u32] {
        if self.schema.item.is_empty() { &self.data.catalogue } else { self.data.offered() }
    }

    /// The best `k` items that may be recommended to a user, without those in `exclude` (dense ids); ties in ascending id. Fewer if
    /// fewer are left; an item without a finite or plus infinite score is none of them.
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
        self.store.params().counts()
    }
}

impl crate::schema::Side {
    pub(crate) fn is_empty(&self) -> bool {
        self.categories.is_empty() && self.bags.is_empty() && self.numbers.is_empty()
    }
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

    /// Names of the context columns of the data, in the order of [`Query::context`].
    #[must_use]
    pub fn context_columns(&self) -> Vec<&str> {
        let given = self.schema.given_context().iter().map(|category| category.name.as_str());
        given.filter(|name| *name != GAP).collect()
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
