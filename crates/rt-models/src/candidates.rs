//! The candidates of a softmax loss beyond the plain ones: drawn beside the batch, kept from earlier batches, and left out row by
//! row.

use crate::Result;
use crate::config::{Config, LogQ};
use crate::towers::Towers;
use rt_data::{Dataset, Split};
use rt_tensor::{Init, Negatives, PositiveVar, SoftmaxSpec, Store, Tape, Var};

/// Stream of the items drawn beside the batch: other losses draw from stream 0.
const MIXED: u32 = 1;

/// Alias tables of these draws, where the candidates are not the first items of the vocabulary.
const MIXED_TABLES: [&str; 2] = ["mixed.threshold", "mixed.alias"];

/// The dense parameter of the learned temperature: ln(1 / temperature).
const LOG_SCALE: &str = "log_scale";

/// Largest ln(1 / temperature), as CLIP's.
pub(crate) const MOST_LOG_SCALE: f32 = 4.605_170_2;

/// The user vectors and the factor that a loss takes: 1 / temperature, or with a learned temperature vectors that are scaled
/// already, and 1.
pub(crate) fn scaled(tape: &mut Tape, config: &Config, user: Var) -> Result<(Var, f32)> {
    if !config.learn_temperature {
        return Ok((user, 1.0 / config.softmax_temperature()));
    }
    let s = log_scale(tape, config)?;
    Ok((tape.scale_by_exp(user, s)?, 1.0))
}

/// Keeps the learned temperature at 0.01 or more, after the updates.
pub(crate) fn limit(tape: &mut Tape, config: &Config) -> Result<()> {
    if config.learn_temperature {
        let s = log_scale(tape, config)?;
        tape.clamp_top(s, MOST_LOG_SCALE)?;
    }
    Ok(())
}

fn log_scale(tape: &mut Tape, config: &Config) -> Result<Var> {
    let start = (1.0 / config.softmax_temperature()).ln().min(MOST_LOG_SCALE);
    Ok(tape.param(LOG_SCALE, [1, 1], Init::Constant(start))?)
}

/// The temperature that a model with `learn_temperature` has come to.
pub(crate) fn learned_temperature(store: &Store) -> Result<Option<f32>> {
    if store.params().find(LOG_SCALE).is_none() {
        return Ok(None);
    }
    Ok(Some((-store.get(LOG_SCALE)?[0]).exp()))
}

/// A batch's own targets as candidates, items drawn uniformly after them, targets of earlier batches last.
pub(crate) struct Pool {
    /// Vectors, ln q and ids.
    pub candidates: Negatives,
    /// Vectors of the batch's own targets.
    pub targets: Var,
    ids: Var,
    queue: Option<[Var; 2]>,
}

impl Pool {
    pub(crate) fn new(tape: &mut Tape, towers: &mut Towers<'_>, target: Var) -> Result<Self> {
        let (config, schema) = (towers.config, towers.schema);
        let batch = tape.shape(target)[0];
        let mut ids = vec![target];
        if config.mixed > 0 {
            ids.push(if schema.first_items {
                tape.draw_uniform(config.mixed, 1, schema.candidates as u32, MIXED)?
            } else {
                let [threshold, alias] = MIXED_TABLES.map(|name| tape.input_ids(name, schema.item_rows, 1));
                tape.draw_alias(config.mixed, threshold, alias, MIXED)?
            });
        }
        let made = if let [only] = ids[..] { only } else { tape.concat_id_rows(&ids)? };
        let vectors = towers.item(tape, made)?;
        let targets = if config.mixed == 0 { vectors } else { tape.rows(vectors, 0, batch)? };
        if config.mixed == 0 && config.queue == 0 {
            // Without logQ the table is zero and all columns are "corrected" alike, which changes nothing; what stays is
            // that padding is left out.
            let logq = crate::negatives::in_batch_logq(tape, config, schema, target)?;
            return Ok(Self {
                candidates: Negatives { vectors, logq: Some(logq), ids: Some(target) },
                targets,
                ids: target,
                queue: None,
            });
        }
        let mut all = vectors;
        let mut queue = None;
        let mut queued = 0;
        if config.queue > 0 {
            let (state, now) = tape.queue("queue.vectors", targets, config.queue)?;
            let (state_ids, now_ids) = tape.queue("queue.ids", target, config.queue)?;
            all = tape.concat_rows(&[vectors, now])?;
            ids.push(now_ids);
            queue = Some([state, state_ids]);
            queued = batch * config.queue;
        }
        let ids = tape.concat_id_rows(&ids)?;
        let table = tape.input("share.targets", schema.item_rows, 1);
        let corrected = config.logq != LogQ::Off;
        let logq = tape.candidate_logq(table, ids, (batch, queued), schema.candidates, corrected)?;
        let candidates = Negatives { vectors: all, logq: Some(logq), ids: Some(ids) };
        Ok(Self { candidates, targets, ids, queue })
    }

    /// Records that the batch's targets enter the queue, once the loss has read it. To later steps they are constants.
    pub(crate) fn keep(&self, tape: &mut Tape, target: Var) -> Result<()> {
        if let Some([vectors, ids]) = self.queue {
            let targets = tape.stop_gradient(self.targets);
            tape.queue_push(vectors, targets)?;
            tape.queue_push(ids, target)?;
        }
        Ok(())
    }

    /// Ids of all candidates.
    pub(crate) fn ids(&self) -> Var {
        self.ids
    }
}

/// A softmax loss with the candidates masked that the settings leave out. `ids` are those of all candidates, `user` the
/// rows' users and `target` their targets; `[users, events]` are the sizes of the data.
pub(crate) fn masked_loss(
    tape: &mut Tape,
    config: &Config,
    mut spec: SoftmaxSpec,
    ids: Var,
    [user, target]: [Var; 2],
    [users, events]: [usize; 2],
) -> Result<Var> {
    if config.masks_own() {
        let slices = tape.input_ids("own.slices", users, 2);
        let items = tape.input_ids("own.items", events, 1);
        let slice = tape.take(slices, user)?;
        spec.mask = Some(tape.own_mask(slice, items, ids, target)?);
    }
    if config.hard_negatives > 0 {
        spec.mask = Some(tape.hard_mask(&spec, config.hard_from, config.hard_negatives)?);
    }
    Ok(tape.softmax_loss(&spec)?)
}

/// The half of a symmetric loss that goes from items to users: row i is the target of example i, candidates are the batch's
/// users, and users whose example has the same target are masked. Users are drawn as the examples are, so there is no logQ; what a
/// logq of constants does is that padding is left out.
pub(crate) fn items_to_users(tape: &mut Tape, spec: &SoftmaxSpec, targets: Var, target: Var) -> Result<Var> {
    let batch = tape.shape(target)[0];
    let table = tape.constant(&[0.0], 1, 1)?;
    let none = tape.constant_ids(&vec![0; batch], batch, 1)?;
    let logq = tape.logq(table, none, true, 0.0)?;
    let candidates = Negatives { vectors: spec.users, logq: Some(logq), ids: Some(target) };
    let back = SoftmaxSpec {
        users: targets,
        candidates,
        positive: PositiveVar::Diagonal,
        mask_hits: Some(target),
        // All users alike: taking it off the positive too leaves their differences.
        correct_positive: true,
        mask: None,
        ..*spec
    };
    Ok(tape.softmax_loss(&back)?)
}

/// Puts what these candidates read into the store.
pub(crate) fn upload(store: &Store, config: &Config, data: &Dataset, split: &Split) -> Result<()> {
    if config.mixed > 0 {
        let mut uniform = vec![0.0; data.items.rows()];
        crate::sampler::candidates(data, split).iter().for_each(|item| uniform[*item as usize] = 1.0);
        let (threshold, alias) = rt_kernels::kernels::alias_table(&uniform)?;
        store.put_u32(MIXED_TABLES[0], &threshold)?;
        store.put_u32(MIXED_TABLES[1], &alias)?;
    }
    if config.mixed > 0 || config.queue > 0 {
        store.put_f32("share.targets", &shares(crate::examples::expected_targets(config, data, split)))?;
    }
    Ok(())
}

/// Each item's share of the training targets; 0 without a target. Row 0 is no item.
pub(crate) fn shares(mut counts: Vec<f64>) -> Vec<f32> {
    counts[0] = 0.0;
    let total: f64 = counts.iter().sum();
    counts.iter().map(|c| (c / total) as f32).collect()
}

#[cfg(test)]
mod tests;
