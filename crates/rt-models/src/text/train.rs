//! Training of the text model: shuffled epochs, validation after each, early stopping, the best weights kept.

use super::batches::{negatives, without_clashes};
use super::config::{TextConfig, TextLoss};
use super::hashing::{Texts, trigrams};
use super::held_out::TrainedOn;
use super::model::TextModel;
use super::pairs::{Pair, Pairs, TextSplit};
use super::rank::{ModelTexts, TextFigures, TextScorer, rank_pairs};
use super::tfidf::TfIdf;
use super::tower::{TextSizes, record_gradients};
use crate::train::{ASK, OnProgress, Progress};
use crate::watch::LossWatch;
use crate::{Error, Result};
use rt_data::Vocab;
use rt_kernels::philox;
use rt_tensor::{Device, Step, Store, Tape};
use std::time::Instant;

/// What training reports.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TextReport {
    /// Seconds of training alone.
    pub seconds: f64,
    /// Training pairs a second of `seconds`.
    pub examples_per_second: f64,
    /// Seconds of validation.
    pub valid_seconds: f64,
    /// Best epoch, from 1.
    pub best_epoch: usize,
    /// Epochs run.
    pub epochs: usize,
    /// Losses of the first 100 steps.
    pub loss: Vec<f32>,
    /// Mean loss of each epoch.
    pub loss_epochs: Vec<f32>,
    /// Validation recall@10 of each epoch.
    pub valid: Vec<f64>,
    /// Dispatches of a step (kernel calls on the CPU).
    pub dispatches: usize,
    /// True where the model did not beat TF-IDF on validation.
    pub below_tfidf: bool,
    /// True where the callback ended training. The weights are those of `best_epoch`, or as they were where no epoch was judged.
    pub interrupted: bool,
}

/// The training part of the data, as the tape reads it.
pub(crate) struct Prepared {
    trigrams: Vocab,
    queries: Texts,
    documents: Texts,
    pairs: Vec<Pair>,
    /// Places in `pairs`, each as often as the data says it.
    examples: Vec<u32>,
    /// Documents of each query's training pairs, ascending.
    clicked: Vec<Vec<u32>>,
}

impl Prepared {
    pub(crate) fn new(config: &TextConfig, all: &Pairs, split: &TextSplit) -> Self {
        let pairs: Vec<Pair> = split.train.iter().map(|i| all.clicked[*i as usize]).collect();
        let mut vocab = Vocab::new();
        let mut clicked = vec![Vec::new(); all.queries.len()];
        let mut hashed = vec![false; all.documents.len()];
        for pair in &pairs {
            let list: &mut Vec<u32> = &mut clicked[pair.query as usize];
            if list.is_empty() {
                trigrams(&all.queries[pair.query as usize]).iter().for_each(|t| _ = vocab.insert(t));
            }
            list.push(pair.document);
            if !std::mem::replace(&mut hashed[pair.document as usize], true) {
                trigrams(&all.documents[pair.document as usize]).iter().for_each(|t| _ = vocab.insert(t));
            }
        }
        clicked.iter_mut().for_each(|list| list.sort_unstable());
        let texts = |list: &[String]| Texts::new(&vocab, list.iter().map(String::as_str), config.max_trigrams);
        let (queries, documents) = (texts(&all.queries), texts(&all.documents));
        let examples =
            pairs.iter().enumerate().flat_map(|(i, p)| std::iter::repeat_n(i as u32, p.count as usize)).collect();
        Self { trigrams: vocab, queries, documents, pairs, examples, clicked }
    }

    pub(crate) fn sizes(&self) -> TextSizes {
        let (q, d) = (&self.queries, &self.documents);
        TextSizes {
            vocab: self.trigrams.rows(),
            pairs: self.pairs.len(),
            examples: self.examples.len(),
            rows: [q.rows(), d.rows()],
            trigrams: [q.ids.len(), d.ids.len()],
            longest: [q.longest, d.longest],
        }
    }

    /// Negatives `[pairs, k]` of an epoch, for the list loss.
    pub(crate) fn negatives(&self, config: &TextConfig, all: &Pairs, seed: u64, epoch: u32) -> Vec<u32> {
        let (shown, n) = (&all.shown, all.documents.len());
        negatives(seed, epoch, &self.pairs, &self.clicked, shown, n, config.negatives)
    }

    /// Puts what a step reads into a store, but for the negatives.
    pub(crate) fn upload(&self, store: &Store, config: &TextConfig) -> Result<()> {
        let number = |of: fn(&Pair) -> u32| self.pairs.iter().map(|p| of(p) + 1).collect::<Vec<u32>>();
        store.put_u32("order", &self.examples)?;
        store.put_u32("pair.query", &number(|p| p.query))?;
        store.put_u32("pair.document", &number(|p| p.document))?;
        store.put_u32("pair.start", &[0, self.pairs.len() as u32])?;
        let mut counts = vec![0.0; self.documents.rows()];
        if config.logq {
            self.examples.iter().for_each(|i| counts[self.pairs[*i as usize].document as usize + 1] += 1.0);
        }
        let share = |count: &f64| if *count > 0.0 { (count / self.examples.len() as f64).ln() as f32 } else { 0.0 };
        store.put_f32("logq.documents", &counts.iter().map(share).collect::<Vec<_>>())?;
        for (name, texts) in [("query", &self.queries), ("document", &self.documents)] {
            store.put_u32(&format!("{name}.slices"), &texts.slices)?;
            store.put_u32(&format!("{name}.texts"), &texts.ids)?;
        }
        Ok(())
    }
}

impl TextModel {
    /// The training step of `dssm-text` on these pairs as a tape, for listings.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for settings that are wrong.
    pub fn training_tape(config: &TextConfig, pairs: &Pairs, split: &TextSplit) -> Result<Tape> {
        config.check()?;
        let mut tape = record_gradients(config, &Prepared::new(config, pairs, split).sizes())?;
        tape.optimize(&config.optimizer())?;
        Ok(tape)
    }

    /// Figures of pairs (numbers of [`Pairs::clicked`]): see [`rank_pairs`]. The pairs' documents have to be the model's.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] where they are not; device errors.
    pub fn evaluate(&self, pairs: &Pairs, chosen: &[u32]) -> Result<TextFigures> {
        if pairs.documents != self.documents {
            let what = format!("`{}` has other documents than the model: train on it, or search the model", pairs.name);
            return Err(Error::Request(what));
        }
        let scorer = ModelTexts::new(self)?;
        on(self.device(), || rank_pairs(pairs, chosen, &scorer))
    }
}

/// In the device's own threads.
fn on<R: Send>(device: &Device, run: impl FnOnce() -> R + Send) -> R {
    match device {
        Device::Cpu(cpu) => cpu.install(run),
        #[cfg(feature = "gpu")]
        Device::Gpu(_) => run(),
    }
}

/// Trains `dssm-text` on the training pairs of a split.
///
/// Validation chooses the best epoch by recall@10, of equal ones by MRR. Without validation pairs all epochs run and the
/// last weights stay.
///
/// # Errors
///
/// [`Error::Config`] for settings that are wrong or leave no pair a negative, [`Error::Training`] where the loss is not finite; device
/// errors.
pub fn train(
    device: &Device,
    config: &TextConfig,
    pairs: &Pairs,
    split: &TextSplit,
    seed: u64,
    progress: OnProgress<'_>,
) -> Result<(TextModel, TextReport)> {
    config.check()?;
    if split.train.is_empty() {
        return Err(Error::Training("no pair of the data is in the training part".into()));
    }
    let data = Prepared::new(config, pairs, split);
    let whole = config;
    let config = &within(whole, pairs, data.examples.len())?;
    let mut tape = record_gradients(config, &data.sizes())?;
    let optimizer = config.optimizer();
    tape.optimize(&optimizer)?;
    let (documents, name) = (pairs.documents.clone(), pairs.name.clone());
    let mut model = TextModel::build(device, whole.clone(), data.trigrams.clone(), documents, name, seed)?;
    model.trained_on = Some(TrainedOn::new(pairs, split.by, split.seed));
    data.upload(&model.store, &model.config)?;
    if config.loss == TextLoss::List {
        // Compiled programs find what is there; each epoch writes over it.
        model.store.put_u32("negatives", &vec![0; data.pairs.len() * config.negatives])?;
    }
    let mut program = tape.compile(&model.store)?;
    let mut report = TextReport { dispatches: program.dispatches(), ..TextReport::default() };
    let steps = data.examples.len().div_ceil(config.batch);
    let mut watch = LossWatch::new(&program, steps)?;
    // Validation recall@10 and MRR of the best epoch, and its weights.
    let (mut best, mut kept): (Option<(f64, f64)>, Vec<Vec<f32>>) = (None, Vec::new());
    let mut order = data.examples.clone();
    let (mut t, mut asked) = (0u32, Instant::now());
    'epochs: for epoch in 1..=config.epochs {
        let start = Instant::now();
        philox::shuffle(seed, epoch as u32, &mut order);
        match config.loss {
            TextLoss::InBatch => {
                let apart = without_clashes(&order, &data.pairs, &data.clicked, config.batch);
                model.store.put_u32("order", &apart)?;
            }
            TextLoss::List => {
                model.store.put_u32("order", &order)?;
                model.store.put_u32("negatives", &data.negatives(config, pairs, seed, epoch as u32))?;
            }
        }
        let mut at = Progress {
            epoch,
            epochs: config.epochs,
            step: 0,
            steps,
            loss: None,
            select: "recall@10",
            valid: None,
            popular: None,
            figures: None,
            losses: &[],
            rates: [config.lr, config.row_rate()],
            best: false,
            examples_per_second: 0.0,
        };
        for step in 0..steps {
            t += 1;
            let offset = step * config.batch;
            let valid = config.batch.min(order.len() - offset);
            let now = Step::new(t, seed, offset as u32, valid as u32);
            program.run(&optimizer.rates(now, config.lr, config.row_rate()))?;
            watch.after(&program, epoch, step, t)?;
            if (step + 1) % 16 == 0 || asked.elapsed() >= ASK {
                asked = Instant::now();
                at.step = step + 1;
                let done = (epoch - 1) * order.len() + offset + valid;
                at.examples_per_second = done as f64 / (report.seconds + start.elapsed().as_secs_f64());
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
        let losses = watch.epoch(&program, epoch, steps, t)?;
        report.seconds += start.elapsed().as_secs_f64();
        report.loss.extend(losses.iter().take(100usize.saturating_sub(report.loss.len())));
        // Each step's loss is the mean over its examples.
        let weight = |i: usize| config.batch.min(order.len() - i * config.batch) as f64;
        let total: f64 = losses.iter().enumerate().map(|(i, l)| f64::from(*l) * weight(i)).sum();
        report.loss_epochs.push((total / order.len() as f64) as f32);
        report.epochs = epoch;
        report.examples_per_second = (epoch * order.len()) as f64 / report.seconds;

        model.weights_changed();
        at.best = true;
        if !split.valid.is_empty() {
            let start = Instant::now();
            let figures = model.evaluate(pairs, &split.valid)?;
            report.valid_seconds += start.elapsed().as_secs_f64();
            let value = (figures.get("recall@10"), figures.get("MRR"));
            report.valid.push(value.0);
            at.valid = Some(value.0);
            at.best = best.is_none_or(|b| value > b);
            if at.best {
                best = Some(value);
                kept = snapshot(&model)?;
            }
        }
        if at.best {
            report.best_epoch = epoch;
        }
        at.step = steps;
        at.loss = report.loss_epochs.last().copied();
        at.examples_per_second = report.examples_per_second;
        if progress(&at).is_break() {
            report.interrupted = true;
            break;
        }
        asked = Instant::now();
        if epoch - report.best_epoch >= config.patience {
            break;
        }
    }
    if let Some(value) = best {
        for (p, values) in model.store.params().list().iter().zip(&kept) {
            model.store.set(&p.name, values)?;
        }
        if !report.interrupted {
            let tfidf: &dyn TextScorer = &TfIdf::new(&pairs.documents);
            report.below_tfidf = value.0 <= on(device, || rank_pairs(pairs, &split.valid, tfidf))?.get("recall@10");
        }
    }
    model.weights_changed();
    Ok((model, report))
}

/// The settings with a batch no larger than the examples.
fn within(config: &TextConfig, pairs: &Pairs, examples: usize) -> Result<TextConfig> {
    let config = TextConfig { batch: config.batch.min(examples), ..config.clone() };
    let what = if pairs.documents.len() < 2 {
        "the data has one document, and a model learns to tell documents apart".to_owned()
    } else if config.loss == TextLoss::InBatch && config.batch < 2 {
        format!(
            "the negatives of loss = in-batch are the other pairs of a batch, and of {examples} pairs a batch has one; use a larger \
             batch, or loss = list"
        )
    } else {
        return Ok(config);
    };
    Err(Error::Config(format!("there is nothing to learn: {what}")))
}

fn snapshot(model: &TextModel) -> Result<Vec<Vec<f32>>> {
    let params = model.store.params().list();
    params.iter().map(|p| model.store.get(&p.name).map_err(Error::from)).collect()
}
