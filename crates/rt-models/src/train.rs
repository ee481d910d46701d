//! Training: shuffled epochs, validation after each, early stopping, the best weights kept.

use crate::config::Config;
use crate::eval::{Figures, Popularity, figures, rank_cases};
use crate::examples::Epochs;
use crate::losses::{self, Sizes};
use crate::mine::Miner;
use crate::model::Model;
use crate::score::ModelScorer;
use crate::watch::LossWatch;
use crate::{Error, Result};
use rt_data::{Dataset, EvalCase, Mask, Split};
use rt_tensor::{Device, Step};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where training stands; given to the progress callback.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress<'a> {
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
    /// The validation metric that chooses the epoch, such as `NDCG@10`.
    pub select: &'a str,
    /// After an epoch: that metric, masked.
    pub valid: Option<f64>,
    /// The same of most-popular, where there are validation cases.
    pub popular: Option<f64>,
    /// After an epoch: all validation metrics, masked.
    pub figures: Option<&'a Figures>,
    /// After an epoch: the loss of each of its steps.
    pub losses: &'a [f32],
    /// Learning rates of the last step: of dense parameters, of table rows.
    pub rates: [f32; 2],
    /// After an epoch: is this the best so far?
    pub best: bool,
    /// Examples per second of training so far, validation not counted.
    pub examples_per_second: f64,
}

/// The callback: `Break` ends training with the best weights so far, see [`TrainReport::interrupted`]. It is asked after each epoch,
/// every 16 steps of it, and between two steps where the last time was a fifth of a second ago.
pub type OnProgress<'a> = &'a mut dyn FnMut(&Progress<'_>) -> ControlFlow<()>;

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
    /// Validation metric (`select`) of each epoch, masked.
    pub valid: Vec<f64>,
    /// All validation metrics of each epoch, masked.
    pub valid_figures: Vec<Figures>,
    /// Shader of each dispatch of a step, in order (kernel of each call on the CPU).
    pub launches: Vec<&'static str>,
    /// Seconds spent in mining hard negatives, part of `seconds`.
    pub mine_seconds: f64,
    /// The temperature that was learned; `None` where it is fixed.
    pub temperature: Option<f32>,
    /// True where the model did not beat most-popular on validation.
    pub below_popular: bool,
    /// Training examples that nothing is learned from: all that could be a negative of theirs is left out.
    pub without_negatives: usize,
    /// True where the callback ended training. The weights are those of `best_epoch`, or as they were where no epoch was judged.
    pub interrupted: bool,
}

/// What is asked between two steps waits no longer than this for the next time.
pub(crate) const ASK: Duration = Duration::from_millis(200);

/// Trains a model on a split.
///
/// Validation chooses the best epoch by the metric `select` under the mask of the split. Without validation cases all epochs run
/// and the last weights stay. With `ema` the weights that are validated and kept are the averages.
///
/// # Errors
///
/// [`Error::Config`] where configuration and data do not go together or leave no example a negative, [`Error::Training`] where there
/// is nothing to train on or the loss is not finite; device errors.
pub fn train(
    device: &Device,
    config: &Config,
    data: Arc<Dataset>,
    split: &Split,
    seed: u64,
    progress: OnProgress<'_>,
) -> Result<(Model, TrainReport)> {
    let model = Model::new(device, config, data, split, seed)?;
    fit(model, split, None, seed, progress)
}

/// Trains anew with the settings of a model, on the events that `split` trains on, and stops after so many epochs: what
/// [`Split::hold_back`] held back for `first` can then be learned from too. Schedules run as they did for `first`.
///
/// # Errors
///
/// As [`train`]; [`Error::Training`] for 0 epochs.
pub fn refit(
    first: &Model,
    split: &Split,
    epochs: usize,
    seed: u64,
    progress: OnProgress<'_>,
) -> Result<(Model, TrainReport)> {
    let model = Model::new(first.device(), &first.config, first.data.clone(), split, seed)?;
    fit(model, split, Some(epochs), seed, progress)
}

/// Trains a model from the weights that it has, for `epochs` at most or as many as its settings say.
pub(crate) fn fit(
    model: Model,
    split: &Split,
    epochs: Option<usize>,
    seed: u64,
    progress: OnProgress<'_>,
) -> Result<(Model, TrainReport)> {
    if epochs == Some(0) {
        return Err(Error::Training("0 epochs: at least 1".into()));
    }
    if split.examples.is_empty() {
        let what =
            "the data has no training example: an example needs a user with two events or more in the train part";
        return Err(Error::Training(what.into()));
    }
    let sizes = Sizes { examples: split.examples.len(), events: model.data.event_item.len() };
    let config = model.config.clone().within(sizes.examples);
    let without_negatives = crate::learnable::without_negatives(&config, &model.data, split)?;
    let tape = losses::record(&config, &model.schema.within(&model.data), &sizes)?;
    losses::upload(&model.store, &config, &model.schema, &model.data, split)?;
    crate::searches::upload(&model.store, &config, model.searches.as_ref(), &model.data)?;
    let mut program = tape.compile(&model.store)?;
    let optimizer = config.optimizer();

    let launches = program.launches().into_iter().map(|(_, shader)| shader).collect();
    let mut report = TrainReport { launches, without_negatives, ..TrainReport::default() };
    let of_step = config.step_examples();
    // Losses of so many steps stay on the device; an epoch that leaves examples out has fewer.
    let ring = sizes.steps(of_step);
    let mut watch = LossWatch::new(&program, ring)?;
    // What a schedule runs over: steps as they are expected, where examples are left out by a draw.
    let expected = crate::examples::expected(&config, &model.data, split);
    let mut total = expected.div_ceil(of_step) * config.epochs;
    if config.max_steps > 0 {
        total = total.min(config.max_steps);
    }
    config.check_warmup(total)?;
    let popular = validate(&model, split, &Popularity::new(&model.data, split))?;
    let popular = popular.and_then(|f| config.select.of(&f));
    let length = epochs.unwrap_or(config.epochs).min(config.epochs);
    let mut rates = [0.0; 2];
    let context = model.event_context(&model.data);
    let mut best: Option<(f64, Vec<Vec<f32>>)> = None;
    let mut order = Epochs::new(&config, &model.data, split);
    let mut miner = Miner::new(&model, split, &context);
    let (mut t, mut seen, mut asked) = (0u32, 0, Instant::now());
    'epochs: for epoch in 1..=length {
        let start = Instant::now();
        let examples = order.next(&model.store, seed, epoch as u32)?;
        let steps = examples.div_ceil(of_step);
        let left = if config.max_steps == 0 { steps } else { config.max_steps - t as usize };
        let ran = steps.min(left);
        for step in 0..ran {
            t += 1;
            if let Some(miner) = miner.as_mut().filter(|_| Miner::is_due(&config, t, step)) {
                miner.refresh(&model, seed, t)?;
                report.mine_seconds = miner.seconds;
            }
            let offset = step * of_step;
            let valid = of_step.min(examples - offset);
            let at = Step::new(t, seed, offset as u32, valid as u32);
            let factor = config.rate_factor(t as usize, total, epoch);
            rates = [factor * config.lr, factor * config.row_rate()];
            program.run(&optimizer.rates(at, rates[0], rates[1]))?;
            watch.after(&program, epoch, step, t)?;
            if (step + 1) % 16 == 0 || asked.elapsed() >= ASK {
                asked = Instant::now();
                let seconds = report.seconds + start.elapsed().as_secs_f64();
                let done = seen + offset + valid;
                let at = Progress {
                    epoch,
                    epochs: length,
                    step: step + 1,
                    steps,
                    loss: None,
                    select: config.select.name(),
                    valid: None,
                    popular,
                    figures: None,
                    losses: &[],
                    rates,
                    best: false,
                    examples_per_second: done as f64 / seconds,
                };
                if progress(&at).is_break() {
                    if best.is_none() {
                        // These weights are kept, so they have to be numbers.
                        let losses = watch.epoch(&program, epoch, step + 1, t)?;
                        report.loss.extend(losses.iter().take(100usize.saturating_sub(report.loss.len())));
                    }
                    report.seconds += start.elapsed().as_secs_f64();
                    report.examples_per_second = done as f64 / report.seconds;
                    report.interrupted = true;
                    break 'epochs;
                }
            }
        }
        // The epoch's only wait for the device.
        let losses = watch.epoch(&program, epoch, ran, t)?;
        report.seconds += start.elapsed().as_secs_f64();
        report.loss.extend(losses.iter().take(100usize.saturating_sub(report.loss.len())));
        // Each step's loss is the mean over its examples.
        let weight = |i: usize| of_step.min(examples - i * of_step) as f64;
        let total: f64 = losses.iter().enumerate().map(|(i, l)| f64::from(*l) * weight(i)).sum();
        let done = examples.min(ran * of_step);
        report.loss_epochs.push((total / done as f64) as f32);
        report.epochs = epoch;
        seen += done;

        let start = Instant::now();
        // With averages these stand in for the weights while the epoch is judged.
        let own = if config.ema > 0.0 { Some(snapshot(&model)?) } else { None };
        if own.is_some() {
            put(&model, &model.store.averages(config.ema, t)?)?;
        }
        model.weights_changed();
        let judged = validate(&model, split, &ModelScorer::new(&model, &model.data, &context))?;
        report.valid_seconds += start.elapsed().as_secs_f64();
        let valid = judged.as_ref().and_then(|f| config.select.of(f));
        let is_best = valid.is_none_or(|v| best.as_ref().is_none_or(|(b, _)| v > *b));
        report.valid.extend(valid);
        report.valid_figures.extend(judged);
        if is_best {
            report.best_epoch = epoch;
            if let Some(v) = valid {
                best = Some((v, snapshot(&model)?));
            }
        }
        // Without validation the averages of the last epoch are the model.
        if let Some(own) = own.filter(|_| valid.is_some() || epoch < length) {
            put(&model, &own)?;
        }
        report.examples_per_second = seen as f64 / report.seconds;
        let at = Progress {
            epoch,
            epochs: length,
            step: steps,
            steps,
            loss: report.loss_epochs.last().copied(),
            select: config.select.name(),
            valid,
            popular,
            figures: report.valid_figures.last(),
            losses: &losses,
            rates,
            best: is_best && valid.is_some(),
            examples_per_second: report.examples_per_second,
        };
        if progress(&at).is_break() {
            report.interrupted = true;
            break;
        }
        asked = Instant::now();
        if epoch - report.best_epoch >= config.patience || ran == left && config.max_steps > 0 {
            break;
        }
    }
    if let Some((value, weights)) = best {
        put(&model, &weights)?;
        report.below_popular = popular.is_some_and(|p| value <= p);
        if report.below_popular {
            tracing::warn!("the model does not beat most-popular on validation");
        }
    } else if report.interrupted && config.ema > 0.0 {
        put(&model, &model.store.averages(config.ema, t)?)?;
    }
    report.temperature = crate::candidates::learned_temperature(&model.store)?;
    model.weights_changed();
    Ok((model, report))
}

fn snapshot(model: &Model) -> Result<Vec<Vec<f32>>> {
    let params = model.store.params().list();
    params.iter().map(|p| model.store.get(&p.name).map_err(Error::from)).collect()
}

fn put(model: &Model, weights: &[Vec<f32>]) -> Result<()> {
    for (p, values) in model.store.params().list().iter().zip(weights) {
        model.store.set(&p.name, values)?;
    }
    Ok(())
}

/// Metrics on validation under the split's mask; `None` without a case that can be answered.
fn validate(model: &Model, split: &Split, scorer: &dyn crate::eval::Scorer) -> Result<Option<Figures>> {
    if split.valid.is_empty() {
        return Ok(None);
    }
    let ranks = evaluate(model.device(), &model.data, &split.valid, scorer, &[split.mask])?;
    Ok(Some(figures(&ranks[0]).0).filter(|figures| !figures.is_empty()))
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
