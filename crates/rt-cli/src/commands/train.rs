//! `recall train`: read, train, test, save.

use super::compare::Bench;
use super::everything::{self, Everything};
use super::seeds::{self, Run};
use super::source::{Source, Undivided, thin};
use crate::args::{Global, RequestTime, Train};
use crate::fail::{Done, Fail};
use crate::interrupt::Interrupt;
use crate::output;
use crate::tensorboard::Events;
use rt_data::{Dataset, Split, SplitKind};
use rt_models::eval::{Protocol, Row, peak_memory_bytes};
use rt_models::{
    Config, Extended, Gap, Model, ModelKind, Preset, Progress, SearchTime, TrainReport, check_out, extend, refit,
    refit_from, train, train_from,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

pub(crate) fn run(global: &Global, args: &Train) -> Done {
    if args.model.as_deref() == Some(rt_models::text::NAME) {
        return super::text::run_train(global, args);
    }
    let mut config = match &args.from {
        None => Some(settings(start(args)?, args.config.as_deref(), &args.set, args.data.request_time)?),
        Some(_) => None,
    };
    check_out(&args.out)?;
    check_boards(args)?;
    if let Some(name) = &args.preset {
        output::note(global, &Preset::find(name)?.limits());
    }
    let seeds = seeds::list(global.seed, args.seeds)?;
    let device = super::open(global)?;
    let base = args.from.as_ref().map(|from| Model::load(&device, from)).transpose()?;
    if let Some(base) = &base {
        config = Some(settings_of(base, &args.set, args.data.request_time)?);
    }
    let config = config.ok_or_else(|| Fail::user("give --model, or --from with a saved model"))?;
    let start = Instant::now();
    let (mut source, mut extended) = match &base {
        None => (args.data.read()?, None),
        Some(base) => {
            let (source, extended) = read_behind(global, args, base)?;
            (source, Some(extended))
        }
    };
    output::note_data(global, &source.data);
    let notes = source.data.notes.clone();
    thin(&mut source.split, args.evaluation.eval_users);
    if let Some(extended) = &mut extended {
        extended.split = source.split.clone();
    }
    let prepare_seconds = start.elapsed().as_secs_f64();
    // Asked now: training takes memory for its tables too, and the high-water mark never falls.
    let prepare_peak = peak_memory_bytes();
    let everything = source.split.kind == SplitKind::None;
    if source.split.test.is_empty() && !everything {
        output::note(global, "no user has an event to be tested: figures will be empty");
    }
    output::note_searches(global, source.data.searches.as_ref());
    output::warn_of_leaks(global, extended.as_ref().map_or(&source.data, |extended| &extended.data), &source.split);
    output::note_hot_item(global, extended.as_ref().map_or(&source.data, |extended| &extended.data), &source.split);
    let mut more = serde_json::Map::new();
    output::insert_searches(&mut more, source.data.searches.as_ref());
    let data = extended.as_ref().map_or_else(|| Arc::new(source.data), |extended| extended.data.clone());
    let bench = Bench { device: &device, data: &data, split: &source.split, baselines: args.evaluation.baselines };
    let everything = everything.then(|| Everything::new(args, &config, &data, &source.split)).transpose()?;
    let job = Job {
        global,
        args,
        data: &data,
        bench: &bench,
        config: &config,
        base: base.as_ref(),
        extended: extended.as_ref(),
        everything: everything.as_ref(),
    };
    let Trained { runs, best, model, interrupt } = job.run(&seeds, prepare_seconds)?;
    let interrupted = interrupt.code().is_some();
    // From here on the model is saved, and nothing that fails takes it away.
    let tested = !interrupted && everything.is_none();
    let mut rows = if tested { bench.baselines()? } else { Vec::new() };
    if let Some(latent) = source.latent.as_ref().filter(|_| tested) {
        rows.push(bench.bound(latent)?);
    }
    let first = &runs[0];
    let held = everything.as_ref().and_then(|everything| everything.held.as_ref()).filter(|_| !interrupted);
    let others = held.map(|split| Bench { split, ..bench }.baselines()).transpose()?;
    output::warn_below_knn(others.as_ref().unwrap_or(&rows), config.model.name(), first.row.validation_ndcg_10);
    rows.push(first.row.clone());
    let protocol = Protocol::new(&data, &source.split, args.data.request_time());
    if let Some(text) = unclicked(&model) {
        output::note(global, &text);
    }
    say!("{} on {}, {}, seed {}", config.model.name(), data.name, device.name(), global.seed);
    if tested {
        output::print_rows(&rows, &protocol);
    }
    output::print_left_out(&data.left_out);
    let kept = &runs[best];
    if runs.len() > 1 && !interrupted {
        if tested {
            let mean = seeds::mean(&runs);
            seeds::print(&runs, &mean, model.config().select.name());
            rows.push(mean);
        }
        more.insert("seeds".into(), seeds::to_json(&runs, kept.seed)?);
        say!("seed {} is the best on validation:", kept.seed);
    }
    if interrupted {
        more.insert("interrupted".into(), true.into());
    } else if let Some(everything) = &everything {
        everything.say(&kept.report, model.config().select.name(), &args.out);
        more.insert("everything".into(), everything.to_json(&kept.report));
    } else {
        say!("best epoch {} of {}; the model is in {}", kept.report.best_epoch, kept.report.epochs, args.out.display());
    }
    say_of_training(global, &first.report);
    // Beside the rows stands what the first run's row belongs to; what others say is in `seeds`.
    insert_training(&mut more, &first.report, model.config());
    more.insert("data".into(), data.name.clone().into());
    more.insert("left_out".into(), output::left_out(&data.left_out));
    more.insert("notes".into(), notes.into());
    if let (Some(extended), Some(from)) = (&extended, &args.from) {
        more.insert("from".into(), from.display().to_string().into());
        more.insert("new_users".into(), extended.new_users.into());
        more.insert("new_items".into(), extended.new_items.into());
        more.insert("known_events".into(), extended.known_events.into());
    }
    more.insert("interactions".into(), data.event_item.len().into());
    more.insert("interaction_bytes".into(), data.event_bytes().into());
    more.insert("prepare_peak_memory_bytes".into(), prepare_peak.into());
    output::write_json(global, "train", output::device_name(&device), Some(protocol), rows, more)?;
    if interrupted { Err(interrupt.failure(kept.report.best_epoch, &args.out)) } else { Ok(()) }
}

/// What a training did beside its row.
fn say_of_training(global: &Global, report: &TrainReport) {
    if report.mine_seconds > 0.0 {
        say!("mining hard negatives took {:.1} s of the {:.1} s of training", report.mine_seconds, report.seconds);
    }
    if let Some(temperature) = report.temperature {
        output::note(global, &format!("the temperature was learned: {temperature:.4}"));
    }
}

/// The same for `--json`, with the settings that were resolved.
fn insert_training(more: &mut serde_json::Map<String, serde_json::Value>, report: &TrainReport, config: &Config) {
    if report.mine_seconds > 0.0 {
        more.insert("mine_seconds".into(), report.mine_seconds.into());
    }
    if let Some(temperature) = report.temperature {
        more.insert("temperature".into(), temperature.into());
    }
    more.insert("config".into(), config.to_toml().into());
    let ndcg: Vec<Option<f64>> = report.valid_figures.iter().map(|f| f.get("NDCG@10")).collect();
    more.insert("validation_ndcg_10".into(), ndcg.into());
    more.insert("select".into(), config.select.name().into());
    more.insert("validation".into(), report.valid.clone().into());
    more.insert("dispatches_per_step".into(), report.launches.len().into());
}

/// What is trained, on what.
struct Job<'a> {
    global: &'a Global,
    args: &'a Train,
    data: &'a Arc<Dataset>,
    bench: &'a Bench<'a>,
    config: &'a Config,
    base: Option<&'a Model>,
    extended: Option<&'a Extended>,
    /// With `--split none`.
    everything: Option<&'a Everything>,
}

/// What came of it. The model, that of the run that is best on validation, is saved.
struct Trained {
    /// At least one.
    runs: Vec<Run>,
    best: usize,
    model: Model,
    interrupt: Interrupt,
}

impl Job<'_> {
    /// Trains from each seed, until a signal comes, and saves each model that is the best so far.
    fn run(&self, seeds: &[u64], prepare_seconds: f64) -> Done<Trained> {
        let mut boards = boards(self.args, seeds)?.into_iter();
        let interrupt = Interrupt::watch()?;
        let mut runs: Vec<Run> = Vec::new();
        // The model that is best on validation, and its place among the runs.
        let mut kept: Option<(usize, Model)> = None;
        for &seed in seeds {
            let name = self.config.model.name();
            let name = if seeds.len() > 1 { format!("{name} seed {seed}") } else { name.to_owned() };
            let mut board = boards.next();
            let held = self.everything.and_then(|everything| everything.held.as_ref());
            let split = held.unwrap_or(self.bench.split);
            let (mut model, report) = self.one(seed, &name, (split, None), board.as_mut(), &interrupt)?;
            let mut run = Run { seed, row: Row::default(), report };
            let is_best = kept.as_ref().is_none_or(|(best, _)| run.validation() > runs[*best].validation());
            if is_best {
                model.save(&self.args.out)?;
            }
            if held.is_some() && is_best && interrupt.code().is_none() {
                let of = (self.bench.split, Some((&model, run.report.best_epoch)));
                let (all, report) = self.one(seed, &format!("{name} on everything"), of, board.as_mut(), &interrupt)?;
                // --out already holds a whole model, which is worth more than one that is half trained on everything.
                if !report.interrupted {
                    all.save(&self.args.out)?;
                    model = all;
                    everything::add(&mut run.report, &report);
                }
            }
            board.map_or(Ok(()), Events::finish)?;
            let examples = self.bench.split.examples.len();
            output::note_without_negatives(self.global, run.report.without_negatives, examples);
            let interrupted = interrupt.code().is_some();
            run.row = match interrupted || self.everything.is_some() {
                true => self.bench.untested(&model, (&run.report, prepare_seconds))?,
                false => self.bench.model(&model, Some((&run.report, prepare_seconds)))?,
            };
            if run.report.below_popular {
                let what = "does not beat most-popular on validation; it is not worth its time as it is";
                eprintln!("warning: {name} {what}; {}", output::BELOW_POPULAR);
            }
            if is_best {
                kept = Some((runs.len(), model));
            }
            runs.push(run);
            // It may have come while the model was tested.
            if interrupt.code().is_some() {
                break;
            }
        }
        interrupt.release();
        let (best, model) = kept.ok_or_else(|| Fail::user("--seeds 0: at least 1"))?;
        Ok(Trained { runs, best, model, interrupt })
    }

    /// Trains from one seed on a split, or again on it for as many epochs as were the best of a first model.
    fn one(
        &self,
        seed: u64,
        name: &str,
        (split, again): (&Split, Option<(&Model, usize)>),
        mut board: Option<&mut Events>,
        interrupt: &Interrupt,
    ) -> Done<(Model, TrainReport)> {
        let device = self.bench.device;
        let mut show = output::progress(self.global, name);
        let mut progress = interrupt.stopping(|p: &Progress<'_>| {
            if let Some(board) = &mut board {
                board.progress(p);
            }
            show(p)
        });
        let extended = self.extended.map(|extended| Extended { split: split.clone(), ..extended.clone() });
        Ok(match (self.base.zip(extended.as_ref()), again) {
            (Some((base, extended)), None) => train_from(device, base, self.config, extended, seed, &mut progress)?,
            (Some((base, extended)), Some((first, epochs))) => {
                refit_from(first, base, extended, epochs, seed, &mut progress)?
            }
            (None, Some((first, epochs))) => refit(first, split, epochs, seed, &mut progress)?,
            (None, None) => train(device, self.config, self.data.clone(), split, seed, &mut progress)?,
        })
    }
}

/// The defaults of a model, or a preset.
fn start(args: &Train) -> Done<Config> {
    let kind = args.model.as_deref().map(str::parse::<ModelKind>).transpose()?;
    let Some(name) = &args.preset else {
        return kind.map(Config::new).ok_or_else(|| Fail::user("which model? give --model or --preset"));
    };
    let preset = Preset::find(name)?;
    if let Some(other) = kind.filter(|kind| *kind != preset.model) {
        let what = format!("--preset {name} is a {} and --model says {}", preset.model.name(), other.name());
        return Err(Fail::user(what));
    }
    Ok(preset.config()?)
}

/// The settings of a saved model, with `--set` over them.
fn settings_of(base: &Model, set: &[String], request_time: RequestTime) -> Done<Config> {
    let mut config = base.config().clone();
    for pair in set {
        config.set_pair(pair)?;
    }
    config.check()?;
    check_request_time(config, request_time)
}

/// The new data behind that of a saved model.
fn read_behind(global: &Global, args: &Train, base: &Model) -> Done<(Source, Extended)> {
    let Undivided { data: new, kind, options, .. } = args.data.read_undivided()?;
    if options.eval_source.is_some() {
        return Err(Fail::user("--eval-source: with --from, the events of the saved model have no source"));
    }
    let extended = extend(base, &new, kind, options)?;
    output::note(
        global,
        &format!(
            "{} new users, {} new items, {} new events behind those of the model",
            extended.new_users,
            extended.new_items,
            new.event_item.len() - extended.known_events
        ),
    );
    extended.notes.iter().for_each(|text| output::note(global, text));
    // The true model of synthetic data is that of its own ids.
    let source = Source { data: new, split: extended.split.clone(), latent: None };
    Ok((source, extended))
}

/// What becomes of the items that nobody clicked yet.
fn unclicked(model: &Model) -> Option<String> {
    let data = model.data();
    let count = data.offered().len().saturating_sub(data.catalogue.len());
    if count == 0 {
        return None;
    }
    Some(match model.offered().len() > data.catalogue.len() {
        true if model.config().item_id_dropout > 0.0 => {
            format!("{count} items without an interaction are recommended by their columns")
        }
        true => format!(
            "{count} items without an interaction are recommended by their columns; --set item_id_dropout=0.2 would teach the model \
             to do without their ids"
        ),
        false => format!(
            "{count} items without an interaction are not recommended: that takes the model dssm and columns of items"
        ),
    })
}

/// A model's folder is replaced whole: nothing else may be written into it.
fn check_boards(args: &Train) -> Done {
    let Some(folder) = &args.tensorboard else { return Ok(()) };
    let full = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if full(folder).starts_with(full(&args.out)) {
        let what = format!("--tensorboard {}: lies in --out, which holds a model and nothing else", folder.display());
        return Err(Fail::user(what));
    }
    Ok(())
}

/// The event files of `--tensorboard`, one for each seed, in folders of their own where there are several.
fn boards(args: &Train, seeds: &[u64]) -> Done<Vec<Events>> {
    let Some(folder) = &args.tensorboard else { return Ok(Vec::new()) };
    let of = |seed: &u64| match seeds.len() {
        1 => Events::create(folder),
        _ => Events::create(&folder.join(format!("seed-{seed}"))),
    };
    seeds.iter().map(of).collect()
}

/// The settings of a command: `--set` over file over what it starts from, defaults or a preset.
pub(crate) fn settings(
    mut config: Config,
    file: Option<&Path>,
    set: &[String],
    request_time: RequestTime,
) -> Done<Config> {
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|e| Fail::user(format!("{}: {e}", path.display())))?;
        config.read_toml(&text).map_err(|e| Fail::user(format!("{}: {e}", path.display())))?;
    }
    for pair in set {
        config.set_pair(pair)?;
    }
    config.check()?;
    check_request_time(config, request_time)
}

/// Holds the settings against `--request-time`.
pub(crate) fn check_request_time(mut config: Config, request_time: RequestTime) -> Done<Config> {
    match (request_time, config.search_time) {
        (RequestTime::Strict, SearchTime::Target) => {
            let what = "search_time = target counts searches up to the time of the event that is predicted, which no server \
                        knows: give --request-time exact, for comparisons alone, or search_time = history";
            return Err(Fail::user(what));
        }
        (RequestTime::Exact, SearchTime::History) => config.search_time = SearchTime::Target,
        (RequestTime::Strict, SearchTime::History) | (RequestTime::Exact, SearchTime::Target) => {}
    }
    match (request_time, config.gap) {
        (RequestTime::Strict, Gap::Fine) => {
            let what = "gap = fine uses the time of the event that is predicted, which no server knows: give \
                        --request-time exact, for comparisons alone, or gap = coarse";
            Err(Fail::user(what))
        }
        (RequestTime::Exact, Gap::Off) => {
            config.gap = Gap::Fine;
            Ok(config)
        }
        _ => Ok(config),
    }
}
