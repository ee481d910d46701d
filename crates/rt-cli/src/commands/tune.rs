//! `recall tune`: a search over settings, judged on validation alone.

use super::train::settings;
use crate::args::{Global, Method, Tune};
use crate::fail::{Done, Fail};
use crate::output;
use crate::space::Space;
use rt_data::{Dataset, Split};
use rt_models::{Config, Device, train};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Of the trials of a rung one in so many goes on, with so many times the epochs (Li et al., JMLR 2018).
const ETA: usize = 3;

/// The first line of `trials.jsonl`: what the trials below it belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Search {
    data: String,
    method: String,
    seed: u64,
    base: String,
    space: String,
}

/// One training of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Trial {
    trial: u32,
    epochs: usize,
    settings: BTreeMap<String, String>,
    /// The metric `select` of the best epoch; absent where training failed.
    validation: Option<f64>,
    best_epoch: usize,
    seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// All settings, as TOML.
    config: String,
}

/// A search under way.
struct Tuning<'a> {
    global: &'a Global,
    device: &'a Device,
    data: Arc<Dataset>,
    split: Split,
    configs: Vec<(Config, BTreeMap<String, String>)>,
    done: BTreeMap<(u32, usize), Trial>,
    log: PathBuf,
    /// Did a trial fail in training, and not for its settings?
    diverged: bool,
}

pub(crate) fn run(global: &Global, args: &Tune) -> Done {
    if args.trials == 0 || args.trials > 1_000_000 {
        return Err(Fail::user(format!("--trials {}: from 1 to 1000000", args.trials)));
    }
    let base = settings(Config::new(args.model.parse()?), args.config.as_deref(), &args.set, args.data.request_time)?;
    let at = |e: Fail| Fail { what: format!("{}: {}", args.space.display(), e.what), ..e };
    let toml = std::fs::read_to_string(&args.space).map_err(|e| at(Fail::user(e.to_string())))?;
    let space = Space::parse(&toml, &base).map_err(at)?;
    for pair in &args.set {
        let key = pair.split('=').next().unwrap_or("").trim();
        if space.has(key) {
            return Err(Fail::user(format!("--set {pair}: `{key}` is searched over; take it out of one of the two")));
        }
    }
    if args.method == Method::Halving && space.has("epochs") {
        return Err(at(Fail::user("`epochs`: halving gives the epochs itself; set the most with --set epochs=..")));
    }
    // All trials are drawn and checked before the first one runs.
    let mut configs = Vec::new();
    for trial in 0..args.trials as u32 {
        let drawn = space.draw(global.seed, trial);
        let mut config = base.clone();
        for (key, value) in &drawn {
            config.set(key, value)?;
        }
        config.check()?;
        let config = super::train::check_request_time(config, args.data.request_time).map_err(at)?;
        configs.push((config, drawn.into_iter().collect()));
    }
    if args.out.join("manifest.json").exists() {
        let what = format!("--out {}: is a model's folder, which holds nothing else; name another", args.out.display());
        return Err(Fail::user(what));
    }
    let device = super::open(global)?;
    let schema = args.data.schema.as_ref().map(std::fs::read_to_string).transpose().unwrap_or_default();
    let source = args.data.read()?;
    output::note_data(global, &source.data);
    output::note_searches(global, source.data.searches.as_ref());
    let mut more = serde_json::Map::new();
    output::insert_searches(&mut more, source.data.searches.as_ref());
    let mut split = source.split;
    // What is not there cannot be looked at.
    split.test.clear();
    if split.valid.is_empty() {
        return Err(Fail::user("there is no validation case to judge trials by: no user has enough events"));
    }
    let data = Arc::new(source.data);
    // All trials are judged by the same metric. Settings that the data refuses are told when their trial fails.
    let resolved = configs.iter().find_map(|(config, _)| config.resolve(&data, &split).ok());
    let select = resolved.map_or_else(|| base.select.clone(), |config| config.select);
    for (config, _) in configs.iter_mut().filter(|(config, _)| config.select.is_auto()) {
        config.select = select.clone();
    }
    let rungs = match args.method {
        Method::Random => vec![(args.trials, None)],
        Method::Halving => {
            // Where the number follows from the data, it is asked for.
            let epochs = base.resolve(&data, &split)?.epochs;
            rungs(args.trials, epochs).into_iter().map(|(trials, epochs)| (trials, Some(epochs))).collect()
        }
    };
    let method = match args.method {
        Method::Random => "random".to_owned(),
        Method::Halving => format!("halving of {} trials", args.trials),
    };
    let search = Search {
        data: format!(
            "{}: {} users, {} items, {} events, split {}, {} examples, {} validation cases; {:?} {}",
            data.name,
            data.users.rows() - 1,
            data.items.rows() - 1,
            data.event_item.len(),
            split.kind,
            split.examples.len(),
            split.valid.len(),
            args.data,
            schema.unwrap_or_default()
        ),
        method,
        seed: global.seed,
        base: base.to_toml(),
        space: space.describe(),
    };
    std::fs::create_dir_all(&args.out).map_err(|e| Fail::machine(format!("{}: {e}", args.out.display())))?;
    let log = args.out.join("trials.jsonl");
    let done = resume(&log, &search)?;
    if !done.is_empty() {
        output::note(global, &format!("{} trainings stand in {} and are not run again", done.len(), log.display()));
    }
    let mut tuning = Tuning { global, device: &device, data, split, configs, done, log, diverged: false };
    let mut going: Vec<u32> = (0..args.trials as u32).collect();
    let mut last = Vec::new();
    for (trials, epochs) in rungs {
        going.truncate(trials);
        last = going.iter().map(|trial| tuning.trial(*trial, epochs)).collect::<Done<Vec<Trial>>>()?;
        last.sort_by(better);
        going = last.iter().filter(|t| t.validation.is_some()).map(|t| t.trial).collect();
        if going.is_empty() {
            break;
        }
    }
    let best = last.first().filter(|t| t.validation.is_some());
    let best = best.ok_or_else(|| {
        let what = last.first().and_then(|t| t.error.clone()).unwrap_or_default();
        let what = format!("every trial failed; the first said: {what}");
        if tuning.diverged { Fail::machine(what) } else { Fail::user(what) }
    })?;
    // The training that won, at the full number of epochs.
    let file = args.out.join("best.toml");
    output::write_file(&file, &tuning.configs[best.trial as usize].0.to_toml())?;
    let mut all: Vec<Trial> = tuning.done.into_values().filter(|t| (t.trial as usize) < args.trials).collect();
    all.sort_by(|a, b| b.epochs.cmp(&a.epochs).then(better(a, b)));
    if args.method == Method::Random {
        all.sort_by(better);
    }
    print(&all, &space, select.name());
    say!("the best settings are in {}: recall train --config {0} ...", file.display());
    more.insert("data".into(), search.data.into());
    more.insert("select".into(), select.name().into());
    more.insert("method".into(), search.method.into());
    more.insert("best_trial".into(), best.trial.into());
    output::write_json(global, "tune", output::device_name(&device), None, all, more)
}

/// (trials, epochs) of each rung of successive halving: as many rungs as trials and epochs allow, the last with all epochs.
fn rungs(trials: usize, epochs: usize) -> Vec<(usize, usize)> {
    let mut depth = 0;
    while ETA.pow(depth + 1) <= trials.min(epochs) {
        depth += 1;
    }
    (0..=depth).map(|i| ((trials / ETA.pow(i)).max(1), epochs / ETA.pow(depth - i))).collect()
}

/// Higher validation first; failed trials last; else the lower number.
fn better(a: &Trial, b: &Trial) -> std::cmp::Ordering {
    let value = |t: &Trial| t.validation.unwrap_or(f64::NEG_INFINITY);
    value(b).total_cmp(&value(a)).then(a.trial.cmp(&b.trial))
}

/// The trainings that the file holds; the file is begun where there is none. A last line that was cut off is taken away.
fn resume(log: &Path, search: &Search) -> Done<BTreeMap<(u32, usize), Trial>> {
    let fail = |what: String| Fail::user(format!("{}: {what}", log.display()));
    let text = match std::fs::read_to_string(log) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(Fail::machine(format!("{}: {e}", log.display()))),
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    let mut lines = whole.lines().enumerate();
    let Some((_, first)) = lines.next() else {
        let mut line = serde_json::to_string(search).map_err(|e| Fail::machine(e.to_string()))?;
        line.push('\n');
        output::write_file(log, &line)?;
        return Ok(BTreeMap::new());
    };
    let known: Search = serde_json::from_str(first).map_err(|e| fail(format!("line 1 is of no search: {e}")))?;
    for (what, old, new) in [
        ("data", &known.data, &search.data),
        ("method", &known.method, &search.method),
        ("space", &known.space, &search.space),
        ("settings", &known.base, &search.base),
        ("seed", &known.seed.to_string(), &search.seed.to_string()),
    ] {
        if old != new {
            let differs =
                if what == "settings" || what == "space" { String::new() } else { format!(" ({old}, not {new})") };
            return Err(fail(format!("belongs to a search with another {what}{differs}: name another --out")));
        }
    }
    let mut done = BTreeMap::new();
    for (i, line) in lines {
        let trial: Trial = serde_json::from_str(line).map_err(|e| fail(format!("line {}: {e}", i + 1)))?;
        done.insert((trial.trial, trial.epochs), trial);
    }
    if whole.len() < text.len() {
        output::write_file(log, whole)?;
    }
    Ok(done)
}

impl Tuning<'_> {
    /// Trains a trial, or finds it done, and writes it down.
    fn trial(&mut self, number: u32, epochs: Option<usize>) -> Done<Trial> {
        let (config, settings) = &self.configs[number as usize];
        let mut config = config.clone();
        config.epochs = epochs.unwrap_or(config.epochs);
        if let Some(trial) = self.done.get(&(number, config.epochs)) {
            return Ok(trial.clone());
        }
        let name = format!("trial {number}");
        let mut progress = output::progress(self.global, &name);
        let trained = train(self.device, &config, self.data.clone(), &self.split, self.global.seed, &mut progress);
        let mut trial = Trial {
            trial: number,
            epochs: config.epochs,
            settings: settings.clone(),
            validation: None,
            best_epoch: 0,
            seconds: 0.0,
            error: None,
            config: config.to_toml(),
        };
        match trained {
            Ok((_, report)) => {
                trial.validation = report.valid.get(report.best_epoch.wrapping_sub(1)).copied();
                trial.best_epoch = report.best_epoch;
                trial.seconds = report.seconds;
            }
            // A setting that diverges, or that does not go with the data, loses; what the machine refuses ends the search.
            Err(e @ (rt_models::Error::Training(_) | rt_models::Error::Config(_))) => {
                self.diverged |= e.exit_code() == 1;
                trial.error = Some(e.to_string());
            }
            Err(e) => return Err(e.into()),
        }
        let mut line = serde_json::to_string(&trial).map_err(|e| Fail::machine(e.to_string()))?;
        line.push('\n');
        let refuse = |e: std::io::Error| Fail::machine(format!("{}: {e}", self.log.display()));
        let mut file = std::fs::OpenOptions::new().append(true).open(&self.log).map_err(refuse)?;
        file.write_all(line.as_bytes()).map_err(refuse)?;
        self.done.insert((number, config.epochs), trial.clone());
        Ok(trial)
    }
}

fn print(all: &[Trial], space: &Space, select: &str) {
    let validation = format!("validation {select}");
    let mut header = vec!["trial", "epochs"];
    header.extend(space.keys());
    header.extend([validation.as_str(), "best epoch", "seconds"]);
    let mut t = output::table(&header);
    for trial in all {
        let mut line = vec![trial.trial.to_string(), trial.epochs.to_string()];
        line.extend(space.keys().map(|key| trial.settings.get(key).cloned().unwrap_or_default()));
        line.push(trial.validation.map_or_else(|| "failed".into(), |v| format!("{v:.4}")));
        line.extend([trial.best_epoch.to_string(), format!("{:.1}", trial.seconds)]);
        t.add_row(line);
    }
    say!("{t}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_end_with_all_epochs() {
        assert_eq!(rungs(9, 9), [(9, 1), (3, 3), (1, 9)]);
        assert_eq!(rungs(20, 40), [(20, 4), (6, 13), (2, 40)]);
        assert_eq!(rungs(30, 5), [(30, 1), (10, 5)]);
        assert_eq!(rungs(2, 40), [(2, 40)]);
        assert_eq!(rungs(1, 1), [(1, 1)]);
    }
}
