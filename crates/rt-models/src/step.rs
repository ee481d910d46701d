//! A training step over made-up data of given sizes: what `bench step` and the comparisons with other engines run.

use crate::candidates;
use crate::config::{Config, Loss, ModelKind, Switch};
use crate::losses::{self, Sizes};
use crate::schema::{Category, Schema, Side};
use crate::{Error, Result};
use rt_kernels::philox;
use rt_tensor::{Device, Program, Step, Store, Tape};

/// Sizes of the made-up data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepSizes {
    /// Rows of the user table.
    pub users: usize,
    /// Rows of the item table.
    pub items: usize,
    /// Items that occur, anywhere in the table; 0: all of them. A step's distinct ids follow from it, not from the table's size.
    pub active_items: usize,
    /// Further user categories (gender, age, occupation, zip), as the comparisons have them.
    pub user_columns: bool,
}

/// A step ready to be run and timed.
pub struct StepBench {
    tape: Tape,
    store: Store,
    program: Program,
    config: Config,
    seed: u64,
    step: u32,
    examples: usize,
    distinct: [usize; 2],
}

impl StepBench {
    /// Records and compiles a step. Items are drawn by Zipf's law over shuffled ids of those that occur, users uniformly;
    /// every history is full.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for sizes that are too small; device errors.
    pub fn new(device: &Device, config: &Config, sizes: StepSizes, seed: u64) -> Result<Self> {
        config.check()?;
        crate::negatives::check_together(config)?;
        if let Some(key) = crate::negatives::needs_data(config) {
            return Err(Error::Config(format!(
                "{key}: a step over made-up data has no users' items, no times, no columns and no epochs to take it from"
            )));
        }
        if sizes.users < 2 || sizes.items < 2 {
            return Err(Error::Config("a step needs at least 2 users and 2 items".into()));
        }
        if sizes.active_items >= sizes.items {
            let (active, rows) = (sizes.active_items, sizes.items);
            return Err(Error::Config(format!(
                "{active} items that occur: a table of {rows} rows holds at most {} (row 0 is no item)",
                rows - 1
            )));
        }
        let mut config = config.clone();
        config.user_id = Switch::On;
        if config.dim == 0 {
            config.dim = 64;
        }
        // What follows from data elsewhere has the values of much data.
        if config.batch == 0 {
            config.batch = 1024;
        }
        if config.windows.is_empty() {
            config.windows = vec![config.history];
        }
        if config.negatives == 0 {
            config.negatives = config.default_negatives();
        }
        let mut user = Side::default();
        user.categories.push(Category::new("user_id", sizes.users, config.dim));
        if sizes.user_columns {
            for (name, rows, dim) in [("gender", 2, 8), ("age", 7, 8), ("occupation", 21, 16), ("zip", 3000, 16)] {
                user.categories.push(Category::new(name, rows, dim));
            }
        }
        let schema = Schema {
            user_rows: sizes.users,
            item_rows: sizes.items,
            candidates: sizes.items - 1,
            first_items: true,
            item_dim: config.dim,
            user,
            item: Side::default(),
            context: Vec::new(),
            history_is_set: false,
            history: config.history,
            extra: crate::features::Extra::default(),
            weighted: false,
            exposed: 1,
            searches: None,
        };
        // Each example has its own run of events: its history, then its target. Four batches take turns.
        let run = config.history + 1;
        let examples = config.step_examples() * 4;
        let events = examples * run;
        let zipf = Zipf::new(sizes.items - 1, sizes.active_items, seed);
        let items: Vec<u32> = (0..events as u32).map(|i| zipf.draw(seed, i)).collect();
        // A user's events have to follow each other: users are drawn, and runs belong to them in ascending order.
        let mut users: Vec<u32> = (0..examples as u32)
            .map(|i| 1 + below(philox::draw(philox::key(seed), 1, 2, i), sizes.users as u32 - 1))
            .collect();
        users.sort_unstable();
        let start = |user: usize| (users.partition_point(|own| (*own as usize) < user) * run) as u32;
        let user_start: Vec<u32> = (0..=sizes.users).map(start).collect();
        let tape = losses::record(&config, &schema, &Sizes { examples, events })?;
        let store = Store::new(device, tape.params(), seed)?;
        let mut order: Vec<u32> = (0..examples).map(|i| (i * run + run - 1) as u32).collect();
        philox::shuffle(seed, 1, &mut order);
        let distinct = {
            let first = &order[..config.step_examples()];
            let count = |mut ids: Vec<u32>| {
                ids.sort_unstable();
                ids.dedup();
                ids.len()
            };
            let events = first.iter().map(|target| *target as usize + 1 - run..*target as usize + 1);
            [
                count(first.iter().map(|target| users[*target as usize / run]).collect()),
                count(events.flat_map(|run| items[run].iter().copied()).collect()),
            ]
        };
        store.put_u32("order", &order)?;
        store.put_u32("items", &items)?;
        // The target is the last event of its run, so that the history is full whichever run of the user's it is.
        store.put_u32("user_start", &user_start)?;
        let width = schema.user.categories.len();
        let mut categories = vec![0u32; sizes.users * width];
        for (u, row) in categories.chunks_mut(width).enumerate() {
            row[0] = u as u32;
            for (c, category) in schema.user.categories.iter().enumerate().skip(1) {
                row[c] = below(philox::draw(philox::key(seed), c as u32, 3, u as u32), category.rows as u32);
            }
        }
        store.put_u32("user.categories", &categories)?;
        let uniform = vec![-(sizes.items as f32).ln(); sizes.items];
        match config.loss {
            Loss::InBatch => {
                store.put_f32("logq.targets", &uniform)?;
                store.put_f32("share.targets", &candidates::shares(vec![1.0; sizes.items]))?;
            }
            Loss::Full => {
                let catalogue: Vec<u32> = (1..sizes.items as u32).collect();
                store.put_u32("catalogue", &catalogue)?;
                let index: Vec<u32> = (0..sizes.items as u32).map(|i| i.saturating_sub(1)).collect();
                store.put_u32("catalogue.index", &index)?;
            }
            Loss::Sampled | Loss::List | Loss::Pointwise | Loss::Bpr | Loss::Hinge => {
                let mut weights = vec![1.0; sizes.items];
                weights[0] = 0.0;
                let (threshold, alias) = rt_kernels::kernels::alias_table(&weights)?;
                store.put_u32("alias.threshold", &threshold)?;
                store.put_u32("alias.alias", &alias)?;
                store.put_f32("logq.sampler", &uniform)?;
            }
        }
        let program = tape.compile(&store)?;
        Ok(Self { tape, store, program, config, seed, step: 0, examples, distinct })
    }

    fn next(&mut self) -> Step {
        self.step += 1;
        let batch = self.config.step_examples();
        let offset = (self.step as usize - 1) * batch % self.examples;
        let step = Step::new(self.step, self.seed, offset as u32, batch as u32);
        self.config.optimizer().rates(step, self.config.lr, self.config.row_rate())
    }

    /// Runs a step; on a GPU it is submitted.
    ///
    /// # Errors
    ///
    /// Device errors.
    pub fn run(&mut self) -> Result<()> {
        let step = self.next();
        Ok(self.program.run(&step)?)
    }

    /// Runs a step node by node: (node, seconds).
    ///
    /// # Errors
    ///
    /// Device errors.
    pub fn run_timed(&mut self) -> Result<Vec<(usize, f64)>> {
        let step = self.next();
        Ok(self.program.run_timed(&step)?)
    }

    /// Waits until the device is done.
    ///
    /// # Errors
    ///
    /// Device errors.
    pub fn synchronize(&self) -> Result<()> {
        Ok(self.program.synchronize()?)
    }

    /// Losses of the last steps, at most of one round through the batches, oldest first.
    ///
    /// # Errors
    ///
    /// Device errors.
    pub fn losses(&self) -> Result<Vec<f32>> {
        let ring = self.program.read_f32("loss")?;
        let (step, kept) = (self.step as usize, ring.len().min(self.step as usize));
        Ok((step + 1 - kept..=step).map(|t| ring[t % ring.len()]).collect())
    }

    /// The recorded step.
    #[must_use]
    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    /// Its parameters, data and optimiser state.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The compiled step.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Distinct users and items (targets and histories) of the first step; the others have about as many.
    #[must_use]
    pub fn distinct_ids(&self) -> [usize; 2] {
        self.distinct
    }

    /// What it is a step of.
    #[must_use]
    pub fn model(&self) -> ModelKind {
        self.config.model
    }
}

fn below(draw: u32, n: u32) -> u32 {
    ((u64::from(draw) * u64::from(n)) >> 32) as u32
}

/// Zipf's law with exponent 1 over the ranks of `active` ids (0: all n), shuffled over ids from 1.
struct Zipf {
    cumulated: Vec<f64>,
    ids: Vec<u32>,
}

impl Zipf {
    fn new(n: usize, active: usize, seed: u64) -> Self {
        let mut sum = 0.0;
        let cumulated: Vec<f64> = (1..=if active == 0 { n } else { active })
            .map(|rank| {
                sum += 1.0 / rank as f64;
                sum
            })
            .collect();
        let mut ids: Vec<u32> = (1..=n as u32).collect();
        philox::shuffle(seed, 0, &mut ids);
        Self { cumulated, ids }
    }

    fn draw(&self, seed: u64, i: u32) -> u32 {
        let total = self.cumulated.last().copied().unwrap_or(1.0);
        let x = f64::from(philox::draw(philox::key(seed), 0, 1, i)) / 4_294_967_296.0 * total;
        self.ids[self.cumulated.partition_point(|c| *c < x).min(self.ids.len() - 1)]
    }
}
