//! The training step of a model: batch, towers, loss, backward, updates, on one tape.

use crate::Result;
use crate::config::{Config, Label, LogQ, Loss, NegativesFrom, OptimizerKind, Sampler};
use crate::schema::Schema;
use crate::towers::{Towers, UserInputs};
use rt_data::{Dataset, Split};
use rt_tensor::{BatchSpec, Negatives, Optimizer, PositiveVar, ShownSpec, SoftmaxSpec, Store, Tape, Var};

/// Records a training step.
pub(crate) fn record(config: &Config, schema: &Schema, counts: &Sizes) -> Result<Tape> {
    let (mut tape, _) = record_gradients(config, schema, counts)?;
    tape.optimize(&config.optimizer())?;
    Ok(tape)
}

impl Config {
    /// The optimiser that the settings name.
    pub(crate) fn optimizer(&self) -> Optimizer {
        let optimizer = match self.optimizer {
            OptimizerKind::Adam => Optimizer::adam(),
            OptimizerKind::Adagrad => Optimizer::adagrad_rows(),
            OptimizerKind::Sgd => Optimizer::sgd(),
        };
        Optimizer { weight_decay: self.weight_decay, ..optimizer }
    }
}

/// Records a training step without its updates; gives the tape and its loss.
pub(crate) fn record_gradients(config: &Config, schema: &Schema, counts: &Sizes) -> Result<(Tape, Var)> {
    let mut tape = Tape::new();
    let mut towers = Towers { config, schema, training: true, draws: 0 };
    let order = tape.input_ids("order", counts.examples, 1);
    let items = tape.input_ids("items", counts.events, 1);
    let starts = tape.input_ids("user_start", schema.user_rows + 1, 1);
    let ends = all_but_target(config, schema).then(|| tape.input_ids("train_end", schema.user_rows, 1));
    let batch = tape.batch(&BatchSpec { order, items, starts, ends, batch: config.batch, history: schema.history })?;
    let context = if schema.context.is_empty() {
        None
    } else {
        let matrix = tape.input_ids("event.categories", counts.events, schema.context.len());
        Some(tape.take(matrix, batch.event)?)
    };
    let inputs = UserInputs { user: batch.user, items, slice: batch.slice, hole: batch.hole, context };
    let user = towers.user(&mut tape, &inputs)?;
    let weight = if schema.weighted {
        let own = tape.input("event.weight", counts.events, 1);
        let own = tape.take(own, batch.event)?;
        tape.weigh(batch.weight, own)?
    } else {
        batch.weight
    };
    let shown = match config.negatives_from {
        NegativesFrom::Sampler => None,
        _ => {
            let spans = tape.input_ids("exposed.spans", counts.events, 2);
            Some((tape.input_ids("exposed.items", schema.exposed, 1), tape.take(spans, batch.event)?))
        }
    };
    let rows = loss_rows(&mut tape, &mut towers, user, batch.target, weight, shown)?;
    let loss = tape.sum(rows)?;
    tape.log_sum("loss", rows, counts.steps(config.batch))?;
    tape.backward(loss)?;
    Ok((tape, loss))
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
fn all_but_target(config: &Config, schema: &Schema) -> bool {
    schema.history_is_set || config.label == Label::HeldOut
}

/// The loss of each row. `shown`: items that were shown and not clicked, and each row's span of them.
fn loss_rows(
    tape: &mut Tape,
    towers: &mut Towers<'_>,
    user: Var,
    target: Var,
    weight: Var,
    shown: Option<(Var, Var)>,
) -> Result<Var> {
    let (config, schema) = (towers.config, towers.schema);
    let scale = 1.0 / config.temperature;
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
    };
    match config.loss {
        Loss::InBatch => {
            let vectors = towers.item(tape, target)?;
            // Without logQ the table is zero and all columns are "corrected" alike, which changes nothing; what stays is
            // that padding is left out.
            let table = tape.input("logq.targets", schema.item_rows, 1);
            let logq = tape.logq(table, target, true, 0.0)?;
            let ids = config.mask_hits.then_some(target);
            let correct_positive = config.logq != LogQ::Negatives;
            let spec = softmax(vectors, Some(logq), ids, PositiveVar::Diagonal, correct_positive);
            Ok(tape.softmax_loss(&spec)?)
        }
        Loss::Full => {
            let catalogue = tape.input_ids("catalogue", schema.catalogue, 1);
            let index = tape.input_ids("catalogue.index", schema.item_rows, 1);
            let vectors = towers.item(tape, catalogue)?;
            let label = tape.take(index, target)?;
            let spec = softmax(vectors, None, None, PositiveVar::Label(label), false);
            Ok(tape.softmax_loss(&spec)?)
        }
        Loss::Sampled => {
            let ids = draw(tape, config, schema, k)?;
            let positives = towers.item(tape, target)?;
            let vectors = towers.item(tape, ids)?;
            let table = tape.input("logq.sampler", schema.item_rows, 1);
            let corrected = config.logq != LogQ::Off;
            let logq = corrected.then(|| tape.logq(table, ids, false, ln_k)).transpose()?;
            let own = all.then(|| tape.logq(table, target, false, ln_k)).transpose()?;
            let positive = PositiveVar::Own { vectors: positives, logq: own };
            let spec = softmax(vectors, logq, config.mask_hits.then_some(ids), positive, all);
            Ok(tape.softmax_loss(&spec)?)
        }
        Loss::List | Loss::Pointwise => {
            let rows = tape.shape(target)[0];
            let mut ids = draw(tape, config, schema, rows * k)?;
            let corrected = config.loss == Loss::List && config.logq != LogQ::Off;
            let table = corrected.then(|| tape.input("logq.sampler", schema.item_rows, 1));
            let mut correction = None;
            if let Some((items, spans)) = shown {
                let own = if config.negatives_from == NegativesFrom::Both { k.div_ceil(2) } else { k };
                let spec = ShownSpec { items, spans, drawn: ids, own };
                (ids, correction) = tape.shown_negatives(&spec, table, ln_k)?;
            }
            let (positives, negatives) = (towers.item(tape, target)?, towers.item(tape, ids)?);
            let near = tape.group_dot(user, positives, scale)?;
            let far = tape.group_dot(user, negatives, scale)?;
            let z = tape.concat(&[near, far])?;
            if config.loss == Loss::Pointwise {
                return Ok(tape.bce_with_logits(z, weight, None)?);
            }
            let list = tape.reshape(ids, rows, k)?;
            let masked = config.mask_hits.then(|| tape.concat_ids(&[target, list])).transpose()?;
            let logq = match table {
                None => None,
                Some(table) => {
                    let own = tape.logq(table, target, false, ln_k)?;
                    let others = match correction {
                        Some(correction) => correction,
                        None => tape.logq(table, ids, false, ln_k)?,
                    };
                    let others = tape.reshape(others, rows, k)?;
                    Some(tape.concat(&[own, others])?)
                }
            };
            Ok(tape.list_softmax(z, weight, masked, logq, all)?)
        }
    }
}

fn draw(tape: &mut Tape, config: &Config, schema: &Schema, n: usize) -> Result<Var> {
    Ok(match config.sampler {
        Sampler::Uniform => tape.draw_uniform(n, 1, schema.catalogue as u32, 0)?,
        Sampler::Popularity => {
            let threshold = tape.input_ids("alias.threshold", schema.item_rows, 1);
            let alias = tape.input_ids("alias.alias", schema.item_rows, 1);
            tape.draw_alias(n, threshold, alias, 0)?
        }
    })
}

/// Puts what a training step reads into the store: interactions, catalogue, sampling probabilities.
pub(crate) fn upload(store: &Store, config: &Config, schema: &Schema, data: &Dataset, split: &Split) -> Result<()> {
    store.put_u32("order", &split.examples.to_vec())?;
    store.put_u32("items", &data.event_item)?;
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
    if !schema.context.is_empty() {
        store.put_u32("event.categories", &crate::schema::event_context(schema, data))?;
    }
    let targets = split.target_counts(data);
    match config.loss {
        Loss::InBatch => {
            let table = match config.logq {
                LogQ::Off => vec![0.0; schema.item_rows],
                LogQ::Negatives | LogQ::All => ln_q(targets.iter().map(|c| f64::from(*c).max(0.5)).collect()),
            };
            store.put_f32("logq.targets", &table)?;
        }
        Loss::Full => {
            store.put_u32("catalogue", &data.catalogue)?;
            let mut index = vec![0u32; schema.item_rows];
            for (i, item) in data.catalogue.iter().enumerate() {
                index[*item as usize] = i as u32;
            }
            store.put_u32("catalogue.index", &index)?;
        }
        Loss::Sampled | Loss::List | Loss::Pointwise => {
            let mut weights = vec![0.0f64; schema.item_rows];
            for &item in &data.catalogue {
                weights[item as usize] = match config.sampler {
                    Sampler::Uniform => 1.0,
                    Sampler::Popularity => f64::from(targets[item as usize]).powf(f64::from(config.alpha)),
                };
            }
            if config.sampler == Sampler::Popularity {
                let (threshold, alias) = rt_kernels::kernels::alias_table(&weights)?;
                store.put_u32("alias.threshold", &threshold)?;
                store.put_u32("alias.alias", &alias)?;
            }
            let least = weights.iter().copied().filter(|w| *w > 0.0).fold(f64::MAX, f64::min).min(1.0);
            store.put_f32("logq.sampler", &ln_q(weights.into_iter().map(|w| w.max(least * 0.5)).collect()))?;
        }
    }
    Ok(())
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

/// ln of each weight's share. Row 0 is no item.
fn ln_q(mut weights: Vec<f64>) -> Vec<f32> {
    weights[0] = 0.0;
    let total: f64 = weights.iter().sum();
    weights.iter().map(|w| if *w > 0.0 { (w / total).ln() as f32 } else { 0.0 }).collect()
}
