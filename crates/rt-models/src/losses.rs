//! The training step of a model: batch, towers, loss, backward, updates, on one tape.

use crate::Result;
use crate::candidates::{self, Pool};
use crate::config::{Config, Label, LogQ, Loss, NegativesFrom, OptimizerKind, Sampler};
use crate::negatives;
use crate::schema::Schema;
use crate::towers::{Towers, UserInputs};
use rt_data::{Dataset, Split};
use rt_kernels::kernels::PairRule;
use rt_tensor::{BatchSpec, BatchVars, Negatives, Optimizer, PositiveVar, SoftmaxSpec, Store, Tape, Var};
use std::sync::Arc;

/// Where events' rows of the item table lie, by hash function, where items are hashed.
const ITEM_ROWS: [&str; 2] = ["items.hashed", "items.hashed again"];

/// Records a training step.
pub(crate) fn record(config: &Config, schema: &Schema, counts: &Sizes) -> Result<Tape> {
    let mut tape = record_gradients(config, schema, counts)?;
    tape.optimize(&config.optimizer())?;
    candidates::limit(&mut tape, config)?;
    Ok(tape)
}

impl Config {
    /// The optimiser that the settings name.
    pub(crate) fn optimizer(&self) -> Optimizer {
        Optimizer {
            weight_decay: self.weight_decay,
            weight_decay_rows: self.weight_decay_rows,
            clip: self.clip,
            ema: self.ema,
            ..self.optimizer.optimizer()
        }
    }
}

impl OptimizerKind {
    /// The optimiser of this name.
    pub(crate) fn optimizer(self) -> Optimizer {
        match self {
            Self::Adam => Optimizer::adam(),
            Self::Adagrad => Optimizer::adagrad_rows(),
            Self::Sgd => Optimizer::sgd(),
        }
    }
}

/// Records a training step without its updates. With `accumulate` the step has several batches, and each hands its gradient down
/// before the next one starts.
pub(crate) fn record_gradients(config: &Config, schema: &Schema, counts: &Sizes) -> Result<Tape> {
    let mut tape = Tape::new();
    let mut towers = Towers { config, schema, training: true, draws: 0, built: crate::blocks::Built::default() };
    let mut parts = Vec::new();
    for part in 0..config.accumulate {
        if part > 0 {
            tape.next_part(part * config.batch);
        }
        let rows = record_rows(&mut tape, &mut towers, counts)?;
        parts.push(rows);
        if part + 1 < config.accumulate {
            let loss = tape.sum(rows)?;
            tape.accumulate(loss)?;
        }
    }
    towers.built.check(config)?;
    let rows = tape.concat_rows(&parts)?;
    let last = tape.sum(parts[parts.len() - 1])?;
    tape.log_sum("loss", rows, counts.steps(config.step_examples()))?;
    tape.backward(last)?;
    Ok(tape)
}

/// Records a batch and its towers; gives the loss of each row.
fn record_rows(tape: &mut Tape, towers: &mut Towers<'_>, counts: &Sizes) -> Result<Var> {
    let (config, schema) = (towers.config, towers.schema);
    let order = tape.input_ids("order", counts.examples, 1);
    let items = tape.input_ids("items", counts.events, 1);
    let starts = tape.input_ids("user_start", schema.user_rows + 1, 1);
    let ends = all_but_target(config, schema).then(|| tape.input_ids("train_end", schema.user_rows, 1));
    let batch = tape.batch(&BatchSpec { order, items, starts, ends, batch: config.batch, history: schema.history })?;
    let context = if schema.given_context().is_empty() {
        None
    } else {
        let matrix = tape.input_ids("event.categories", counts.events, schema.given_context().len());
        Some(tape.take(matrix, batch.event)?)
    };
    let seconds = needs_seconds(config).then(|| tape.input_ids("event.seconds", counts.events, 1));
    let session = match (config.session_seconds(), seconds) {
        (0, _) | (_, None) => None,
        (pause, Some(seconds)) => {
            let pause = u32::try_from(pause).unwrap_or(u32::MAX);
            Some(tape.sessions(seconds, &batch, starts, schema.history, pause)?)
        }
    };
    let age = if config.example_age {
        let ages = tape.input("event.age", counts.events, crate::age::WIDTH);
        Some(tape.take(ages, batch.event)?)
    } else {
        None
    };
    let times = seconds.filter(|_| config.decay_heads > 0);
    let searches = schema.searches.as_ref().map(|shape| shape.record(tape, counts.events, batch.event)).transpose()?;
    let (user, slice, hole) = (batch.user, batch.slice, batch.hole);
    let hashed = ITEM_ROWS.iter().take(schema.hashed_history());
    let mut hashed = hashed.map(|name| tape.input_ids(name, counts.events, 1));
    let (items, again) = (hashed.next().unwrap_or(items), hashed.next());
    let inputs = UserInputs { session, age, times, searches, user: Some(user), items, again, slice, hole, context };
    towers.rows_have(batch.weight);
    let user = towers.user(tape, &inputs)?;
    let weight = crate::examples::weight(tape, config, schema.user_rows, &batch)?;
    let weight = if schema.weighted {
        let own = tape.input("event.weight", counts.events, 1);
        let own = tape.take(own, batch.event)?;
        tape.weigh(weight, own)?
    } else {
        weight
    };
    let batch = BatchVars { weight, ..batch };
    loss_rows(tape, towers, user, &batch, counts.events)
}

/// Sizes of the data that a training tape is recorded for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub examples: usize,
    pub events: usize,
}

impl Sizes {
    /// Steps of an epoch. The losses of so many steps stay on the device until they are read.
    pub(crate) fn steps(&self, batch: usize) -> usize {
        self.examples.div_ceil(batch)
    }
}

/// Is the history all of the user's training items but the target, later ones too?
pub(crate) fn all_but_target(config: &Config, schema: &Schema) -> bool {
    schema.history_is_set || config.label == Label::HeldOut
}

/// Do the towers read when an event was?
fn needs_seconds(config: &Config) -> bool {
    config.decay_heads > 0 || config.session_seconds() > 0
}

/// The loss of each row.
fn loss_rows(tape: &mut Tape, towers: &mut Towers<'_>, user: Var, batch: &BatchVars, events: usize) -> Result<Var> {
    let (config, schema) = (towers.config, towers.schema);
    let target = batch.target;
    let (user, scale) = candidates::scaled(tape, config, user)?;
    // A symmetric loss is the mean of two.
    let weight = if config.symmetric { tape.scale(batch.weight, 0.5)? } else { batch.weight };
    let (rows, sizes) = ([batch.user, target], [schema.user_rows, events]);
    let k = config.negatives;
    let ln_k = (k as f64).ln() as f32;
    let all = config.logq == LogQ::All;
    let softmax = |vectors, logq, ids: Option<Var>, positive, correct_positive| SoftmaxSpec {
        users: user,
        weight,
        candidates: Negatives { vectors, logq, ids },
        positive,
        mask_hits: ids.map(|_| target),
        scale,
        correct_positive,
        smoothing: config.label_smoothing,
        mask: None,
    };
    match config.loss {
        Loss::InBatch => {
            let pool = Pool::new(tape, towers, target)?;
            let Negatives { vectors, logq, ids } = pool.candidates;
            let correct_positive = config.logq != LogQ::Negatives;
            let hits = ids.filter(|_| config.mask_hits);
            let spec = softmax(vectors, logq, hits, PositiveVar::Diagonal, correct_positive);
            let to_items = candidates::masked_loss(tape, config, spec, pool.ids(), rows, sizes)?;
            pool.keep(tape, target)?;
            if !config.symmetric {
                return Ok(to_items);
            }
            let to_users = candidates::items_to_users(tape, &spec, pool.targets, target)?;
            Ok(tape.add(to_items, to_users)?)
        }
        Loss::Full => {
            let catalogue = tape.input_ids("catalogue", schema.candidates, 1);
            let index = tape.input_ids("catalogue.index", schema.item_rows, 1);
            towers.all_rows(tape, schema.candidates)?;
            let vectors = towers.item(tape, catalogue)?;
            let label = tape.take(index, target)?;
            let spec = softmax(vectors, None, None, PositiveVar::Label(label), false);
            candidates::masked_loss(tape, config, spec, catalogue, rows, sizes)
        }
        Loss::Sampled => {
            let ids = negatives::draw(tape, config, schema, k)?;
            let positives = towers.item(tape, target)?;
            towers.all_rows(tape, k)?;
            let vectors = towers.item(tape, ids)?;
            let table = tape.input("logq.sampler", schema.item_rows, 1);
            let corrected = config.logq != LogQ::Off;
            let logq = corrected.then(|| tape.logq(table, ids, false, ln_k)).transpose()?;
            let own = all.then(|| tape.logq(table, target, false, ln_k)).transpose()?;
            let positive = PositiveVar::Own { vectors: positives, logq: own };
            let spec = softmax(vectors, logq, config.mask_hits.then_some(ids), positive, all);
            candidates::masked_loss(tape, config, spec, ids, rows, sizes)
        }
        Loss::List | Loss::Pointwise | Loss::Bpr | Loss::Hinge => {
            let own = negatives::own(tape, config, schema, batch, events)?;
            let positives = towers.item(tape, target)?;
            let near = tape.group_dot(user, positives, scale)?;
            let far = if config.negatives_shared {
                towers.all_rows(tape, k)?;
                let pool = towers.item(tape, own.flat)?;
                let all = tape.product(user, pool)?;
                tape.scale(all, scale)?
            } else {
                let of_each = tape.shape(own.ids)[1];
                towers.each_row(tape, weight, of_each)?;
                let others = towers.item(tape, own.flat)?;
                tape.group_dot(user, others, scale)?
            };
            let z = tape.concat(&[near, far])?;
            let masked = config.mask_hits || own.holes;
            let masked = masked.then(|| tape.concat_ids(&[target, own.ids])).transpose()?;
            match (config.loss, masked) {
                (Loss::Pointwise, None) => return Ok(tape.bce_with_logits(z, weight, None)?),
                (Loss::Pointwise, Some(ids)) => return Ok(tape.bce_masked(z, weight, ids)?),
                (Loss::Bpr, _) => return Ok(tape.pairwise(z, weight, masked, PairRule::Bpr)?),
                (Loss::Hinge, _) => {
                    let rule = PairRule::Hinge { margin: config.margin };
                    return Ok(tape.pairwise(z, weight, masked, rule)?);
                }
                _ => {}
            }
            let logq = if config.logq == LogQ::Off {
                None
            } else {
                let table = tape.input("logq.sampler", schema.item_rows, 1);
                let positive = tape.logq(table, target, false, ln_k)?;
                let others = negatives::logq(tape, config, schema, table, &own, batch.user)?;
                Some(tape.concat(&[positive, others])?)
            };
            Ok(tape.list_softmax(z, weight, masked, logq, all, config.label_smoothing)?)
        }
    }
}

/// The items of all events.
struct Items(Arc<Dataset>);

impl AsRef<[u32]> for Items {
    fn as_ref(&self) -> &[u32] {
        &self.0.event_item
    }
}

/// The seconds of all events from one origin.
struct Seconds(Arc<Dataset>);

impl AsRef<[u32]> for Seconds {
    fn as_ref(&self) -> &[u32] {
        self.0.event_time.offsets().unwrap_or(&[])
    }
}

/// Puts what a training step reads into the store: interactions, catalogue, sampling probabilities.
pub(crate) fn upload(
    store: &Store,
    config: &Config,
    schema: &Schema,
    data: &Arc<Dataset>,
    split: &Split,
) -> Result<()> {
    store.put_u32("order", &split.examples.to_vec())?;
    store.share_u32("items", Arc::new(Items(data.clone())))?;
    for (function, name) in ITEM_ROWS.iter().enumerate().take(schema.hashed_history()) {
        let row = |item: &u32| schema.extra.item_row(&data.items, *item, function);
        store.put_u32(name, &data.event_item.iter().map(row).collect::<Vec<_>>())?;
    }
    store.put_u32("user_start", &data.user_start)?;
    if all_but_target(config, schema) {
        store.put_u32("train_end", &split.train_end)?;
    }
    if schema.weighted {
        store.put_f32("event.weight", &weights(data, split)?)?;
    }
    if let (true, Some(exposed)) = (config.negatives_from != NegativesFrom::Sampler, &data.exposed) {
        store.put_u32("exposed.items", &exposed.items)?;
        store.put_u32("exposed.spans", exposed.spans.as_flattened())?;
    }
    if !schema.given_context().is_empty() {
        store.put_u32("event.categories", &crate::schema::event_context(schema, data, data))?;
    }
    if config.example_age {
        store.put_f32("event.age", &crate::age::of_events(data, split))?;
    }
    if needs_seconds(config) {
        crate::history::seconds(&data.event_time)?;
        store.share_u32("event.seconds", Arc::new(Seconds(data.clone())))?;
    }
    candidates::upload(store, config, data, split)?;
    let targets = split.target_counts(data);
    match config.loss {
        Loss::InBatch => {
            let table = match config.logq {
                LogQ::Off => vec![0.0; schema.item_rows],
                LogQ::Negatives | LogQ::All => {
                    let expected = crate::examples::expected_targets(config, data, split);
                    ln_q(expected)
                }
            };
            store.put_f32("logq.targets", &table)?;
        }
        Loss::Full => {
            let candidates = crate::sampler::candidates(data, split);
            store.put_u32("catalogue", &candidates)?;
            let mut index = vec![0u32; schema.item_rows];
            for (i, item) in candidates.iter().enumerate() {
                index[*item as usize] = i as u32;
            }
            store.put_u32("catalogue.index", &index)?;
        }
        Loss::Sampled | Loss::List | Loss::Pointwise | Loss::Bpr | Loss::Hinge => {
            let candidates = crate::sampler::candidates(data, split);
            let weights = crate::sampler::sampler_weights(config.sampler, config.alpha, &targets, &candidates);
            if config.exclude_own {
                negatives::upload_own_share(store, data, split, &weights)?;
            }
            if config.sampler != Sampler::Uniform || !schema.first_items {
                let (threshold, alias) = rt_kernels::kernels::alias_table(&weights)?;
                store.put_u32("alias.threshold", &threshold)?;
                store.put_u32("alias.alias", &alias)?;
            }
            store.put_f32("logq.sampler", &ln_q(weights))?;
        }
    }
    negatives::upload(store, config, data, split)?;
    crate::examples::upload(store, config, data, split)
}

/// The least weight above zero, at most 1.
fn least(weights: &[f64]) -> f64 {
    weights.iter().copied().filter(|w| *w > 0.0).fold(f64::MAX, f64::min).min(1.0)
}

/// Weight of every event, with a mean of 1 over the training examples: the loss, and with it the right learning rate, keep
/// their size whatever the unit of the weights is.
fn weights(data: &Dataset, split: &Split) -> Result<Vec<f32>> {
    let of = |event: u32| f64::from(data.event_weight[event as usize]);
    let total: f64 = split.examples.iter().map(of).sum();
    if total <= 0.0 {
        let what = "the weights of all training examples are 0: there is nothing to learn from";
        return Err(crate::Error::Training(what.into()));
    }
    let scale = split.examples.len() as f64 / total;
    Ok(data.event_weight.iter().map(|weight| (f64::from(*weight) * scale) as f32).collect())
}

/// ln of each weight's share of all. An item that is never drawn has no share, and takes none from the others; should a target be
/// one, half of the least weight stands for its own. Row 0 is no item.
fn ln_q(mut weights: Vec<f64>) -> Vec<f32> {
    weights[0] = 0.0;
    let (total, floor): (f64, f64) = (weights.iter().sum(), least(&weights) * 0.5);
    let share = |(row, w): (usize, &f64)| if row == 0 { 0.0 } else { (w.max(floor) / total).ln() as f32 };
    weights.iter().enumerate().map(share).collect()
}
