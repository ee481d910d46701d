//! Training: shuffled epochs, validation after each, early stopping, the best weights kept.

use crate::config::Config;
use crate::eval::{Popularity, figures, rank_cases};
use crate::losses::{self, Sizes};
use crate::model::Model;
use crate::score::ModelScorer;
use crate::{Error, Result};
use rt_data::{Dataset, EvalCase, Mask, Split};
use rt_kernels::philox;
use rt_tensor::{Device, Step};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

/// Where training stands; given to the progress callback.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Epochs at most.
    pub epochs: usize,
    /// Step of the epoch, from 1.
    pub step: usize,
    /// Steps of an epoch.
    pub steps: usize,
    /// After an epoch: its mean loss.
    pub loss: Option<f32>,
    /// After an epoch: validation NDCG@10, masked.
    pub valid: Option<f64>,
    /// After an epoch: is this the best so far?
    pub best: bool,
    /// Examples per second of training so far, validation not counted.
    pub examples_per_second: f64,
}

/// The callback: `Break` stops training, and [`Error::Stopped`] comes back.
pub type OnProgress<'a> = &'a mut dyn FnMut(&Progress) -> ControlFlow<()>;

/// What training reports.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrainReport {
    /// Seconds of training alone.
    pub seconds: f64,
    /// Examples per second of training alone.
    pub examples_per_second: f64,
    /// Seconds spent in validation.
    pub valid_seconds: f64,
    /// Best epoch, from 1.
    pub best_epoch: usize,
    /// Epochs run.
    pub epochs: usize,
    /// Losses of the first 100 steps.
    pub loss: Vec<f32>,
    /// Mean loss of each epoch.
    pub loss_epochs: Vec<f32>,
    /// Validation NDCG@10 of each epoch, masked.
    pub valid: Vec<f64>,
    /// Dispatches of a step (kernel calls on the CPU).
    pub dispatches: usize,
    /// True where the model did not beat most-popular on validation.
    pub below_popular: bool,
}

/// Trains a model on a split.
///
/// Validation chooses the best epoch by NDCG@10 under the history mask. Without validation cases all epochs run and the
/// last weights stay.
///
/// # Errors
///
/// [`Error::Config`] where configuration and data do not go together, [`Error::Training`] where there is nothing to train
/// on or the loss is not finite, [`Error::Stopped`]; device errors.
pub fn train(
    device: &Device,
    config: &Config,
    data: Arc<Dataset>,
    split: &Split,
    seed: u64,
    progress: OnProgress<'_>,
) -> Result<(Model, TrainReport)> {
    if split.examples.is_empty() {
        let what =
            "the data has no training example: an example needs a user with two events or more in the train part";
        return Err(Error::Training(what.into()));
    }
    let model = Model::new(device, config, data, split, seed)?;
    let config = model.config.clone();
    let sizes = Sizes { examples: split.examples.len(), events: model.data.event_item.len() };
    let tape = losses::record(&config, &model.schema, &sizes)?;
    losses::upload(&model.store, &config, &model.schema, &model.data, split)?;
    let mut program = tape.compile(&model.store)?;
    let optimizer = config.optimizer();

    let mut report = TrainReport { dispatches: program.dispatches(), ..TrainReport::default() };
    let steps = sizes.steps(config.batch);
    let examples = split.examples.len();
    let popular = validate(&model, split, &Popularity::new(&model.data, split))?;
    let context = model.event_context(&model.data);
    let mut best: Option<(f64, Vec<Vec<f32>>)> = None;
    let mut t = 0u32;
    for epoch in 1..=config.epochs {
        let start = Instant::now();
        // The order lives on the device alone: a copy here for as long as it is shuffled, each epoch's from the last one's.
        let mut order = model.store.read("order")?;
        philox::shuffle(seed, epoch as u32, &mut order);
        model.store.put_u32("order", &order)?;
        drop(order);
        let left = if config.max_steps == 0 { steps } else { config.max_steps - t as usize };
        let ran = steps.min(left);
        let seen = examples.min(ran * config.batch);
        for step in 0..ran {
            t += 1;
            let offset = step * config.batch;
            let valid = config.batch.min(examples - offset);
            let at = Step::new(t, seed, offset as u32, valid as u32);
            program.run(&optimizer.rates(at, config.lr, config.row_rate()))?;
            if (step + 1) % 16 == 0 {
                let seconds = report.seconds + start.elapsed().as_secs_f64();
                let done = (epoch - 1) * examples + offset + valid;
                let at = Progress {
                    epoch,
                    epochs: config.epochs,
                    step: step + 1,
                    steps,
                    loss: None,
                    valid: None,
                    best: false,
                    examples_per_second: done as f64 / seconds,
                };
                if progress(&at).is_break() {
                    return Err(Error::Stopped);
                }
            }
        }
        let log = program.read_f32("loss")?;
        report.seconds += start.elapsed().as_secs_f64();
        let losses: Vec<f32> = (t + 1 - ran as u32..=t).map(|t| log[t as usize % steps]).collect();
        if let Some(step) = losses.iter().position(|l| !l.is_finite()) {
            let what = format!(
                "the loss is {} in epoch {epoch}, step {}: use a smaller lr or a larger temperature",
                losses[step],
                step + 1
            );
            return Err(Error::Training(what));
        }
        report.loss.extend(losses.iter().take(100usize.saturating_sub(report.loss.len())));
        // Each step's loss is the mean over its examples.
        let weight = |i: usize| config.batch.min(examples - i * config.batch) as f64;
        let total: f64 = losses.iter().enumerate().map(|(i, l)| f64::from(*l) * weight(i)).sum();
        report.loss_epochs.push((total / seen as f64) as f32);
        report.epochs = epoch;

        let start = Instant::now();
        model.weights_changed();
        let valid = validate(&model, split, &ModelScorer::new(&model, &model.data, &context))?;
        report.valid_seconds += start.elapsed().as_secs_f64();
        let is_best = valid.is_none_or(|v| best.as_ref().is_none_or(|(b, _)| v > *b));
        report.valid.extend(valid);
        if is_best {
            report.best_epoch = epoch;
            if let Some(v) = valid {
                best = Some((v, snapshot(&model)?));
            }
        }
        report.examples_per_second = ((epoch - 1) * examples + seen) as f64 / report.seconds;
        let at = Progress {
            epoch,
            epochs: config.epochs,
            step: steps,
            steps,
            loss: report.loss_epochs.last().copied(),
            valid,
            best: is_best,
            examples_per_second: report.examples_per_second,
        };
        if progress(&at).is_break() {
            return Err(Error::Stopped);
        }
        if epoch - report.best_epoch >= config.patience || ran == left && config.max_steps > 0 {
            break;
        }
    }
    if let Some((value, weights)) = best {
        for (p, values) in model.store.params().list().iter().zip(&weights) {
            model.store.set(&p.name, values)?;
        }
        report.below_popular = popular.is_some_and(|p| value <= p);
        if report.below_popular {
            tracing::warn!("the model does not beat most-popular on validation");
        }
    }
    model.weights_changed();
    Ok((model, report))
}

fn snapshot(model: &Model) -> Result<Vec<Vec<f32>>> {
    let params = model.store.params().list();
    params.iter().map(|p| model.store.get(&p.name).map_err(Error::from)).collect()
}

/// NDCG@10 on validation under the history mask; `None` without cases.
fn validate(model: &Model, split: &Split, scorer: &dyn crate::eval::Scorer) -> Result<Option<f64>> {
    if split.valid.is_empty() {
        return Ok(None);
    }
    let ranks = evaluate(model.device(), &model.data, &split.valid, scorer, &[Mask::History])?;
    Ok(figures(&ranks[0]).0.get("NDCG@10"))
}

/// Ranks of cases under each mask, in the device's own threads.
///
/// # Errors
///
/// [`Error::Evaluation`] with what the scorer said.
pub fn evaluate(
    device: &Device,
    data: &Dataset,
    cases: &[EvalCase],
    scorer: &dyn crate::eval::Scorer,
    masks: &[Mask],
) -> Result<Vec<crate::eval::CaseRanks>> {
    let run = || rank_cases(data, cases, scorer, masks).map_err(|e| Error::Evaluation(e.to_string()));
    match device {
        Device::Cpu(cpu) => cpu.install(run),
        #[cfg(feature = "gpu")]
        Device::Gpu(_) => run(),
    }
}
