//! `recall train`: read, train, test, save.

use super::compare::Bench;
use crate::args::{Global, RequestTime, Train};
use crate::fail::{Done, Fail};
use crate::output;
use rt_models::eval::Protocol;
use rt_models::{Config, Gap, ModelKind, Preset, check_out, train};
use std::sync::Arc;
use std::time::Instant;

pub(crate) fn run(global: &Global, args: &Train) -> Done {
    if args.model.as_deref() == Some(rt_models::text::NAME) {
        return super::text::run_train(global, args);
    }
    let config = config(args)?;
    check_out(&args.out)?;
    let device = super::open(global)?;
    let start = Instant::now();
    let mut source = args.data.read()?;
    source.thin(args.evaluation.eval_users);
    let prepare_seconds = start.elapsed().as_secs_f64();
    if source.split.test.is_empty() {
        output::note(global, "no user has an event to be tested: figures will be empty");
    }
    let data = Arc::new(source.data);
    let mut progress = output::progress(global, config.model.name());
    let (model, report) = train(&device, &config, data.clone(), &source.split, global.seed, &mut progress)?;
    let bench = Bench {
        device: &device,
        data: &data,
        split: &source.split,
        mask: source.mask,
        baselines: args.evaluation.baselines,
    };
    let own = bench.model(&model, Some((&report, prepare_seconds)))?;
    if report.below_popular {
        eprintln!("warning: the model does not beat most-popular on validation; it is not worth its time as it is");
    }
    let mut rows = bench.baselines()?;
    if let Some(latent) = &source.latent {
        rows.push(bench.bound(latent)?);
    }
    rows.push(own);
    let protocol = Protocol::new(&data, &source.split, source.mask, args.data.request_time());
    model.save(&args.out)?;
    say!("{} on {}, {}, seed {}", config.model.name(), data.name, device.name(), global.seed);
    output::print_rows(&rows, &protocol);
    output::print_left_out(&data.left_out);
    say!("best epoch {} of {}; the model is in {}", report.best_epoch, report.epochs, args.out.display());
    if report.mine_seconds > 0.0 {
        say!("mining hard negatives took {:.1} s of the {:.1} s of training", report.mine_seconds, report.seconds);
    }
    let mut more = serde_json::Map::new();
    if report.mine_seconds > 0.0 {
        more.insert("mine_seconds".into(), report.mine_seconds.into());
    }
    more.insert("data".into(), data.name.clone().into());
    more.insert("left_out".into(), output::left_out(&data.left_out));
    more.insert("config".into(), model.config().to_toml().into());
    more.insert("validation_ndcg_10".into(), report.valid.clone().into());
    if let Some(temperature) = report.temperature {
        output::note(global, &format!("the temperature was learned: {temperature:.4}"));
        more.insert("temperature".into(), temperature.into());
    }
    more.insert("dispatches_per_step".into(), report.dispatches.into());
    output::write_json(global, "train", output::device_name(&device), Some(protocol), rows, more)
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

/// `--set` over file over preset over default.
fn config(args: &Train) -> Done<Config> {
    let mut config = start(args)?;
    if let Some(path) = &args.config {
        let text = std::fs::read_to_string(path).map_err(|e| Fail::user(format!("{}: {e}", path.display())))?;
        config.read_toml(&text).map_err(|e| Fail::user(format!("{}: {e}", path.display())))?;
    }
    for pair in &args.set {
        config.set_pair(pair)?;
    }
    config.check()?;
    match (args.data.request_time, config.gap) {
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
