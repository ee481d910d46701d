//! `recall eval`: the figures of a saved model.

use super::compare::Bench;
use crate::args::{Eval, Global, RequestTime};
use crate::fail::{Done, Fail};
use crate::output;
use rt_data::Searches;
use rt_models::eval::Protocol;
use rt_models::text::NAME;
use rt_models::{Gap, Model, SearchTime, saved_model};

pub(crate) fn run(global: &Global, args: &Eval) -> Done {
    if saved_model(&args.model)? == NAME {
        return super::text::run_eval(global, args);
    }
    let device = super::open(global)?;
    let model = Model::load(&device, &args.model)?;
    if model.config().gap == Gap::Fine && args.data.request_time == RequestTime::Strict {
        return Err(Fail::user("the model uses the target's own time (gap = fine): give --request-time exact"));
    }
    if model.config().search_time == SearchTime::Target && args.data.request_time == RequestTime::Strict {
        let what =
            "the model reads searches up to the target's own time (search_time = target): give --request-time exact";
        return Err(Fail::user(what));
    }
    let mut source = args.data.read()?;
    match (model.config().searches_read() > 0, &args.data.searches) {
        (false, Some(path)) => {
            let what = format!("--searches {}: the model was trained without searches", path.display());
            return Err(Fail::user(what));
        }
        (true, None) if source.data.searches.is_none() => {
            output::note(
                global,
                "the model reads searches and none were given (--searches): it counts on no user having any",
            );
        }
        (true, _) if source.data.searches.as_ref().is_some_and(|searches| !knows_any(&model, searches)) => {
            output::note(
                global,
                "no word of the searches is one that the model knows: it counts on no user having any",
            );
        }
        _ => {}
    }
    output::note_searches(global, source.data.searches.as_ref());
    source.thin(args.evaluation.eval_users);
    let bench = Bench {
        device: &device,
        data: &source.data,
        split: &source.split,
        mask: source.mask,
        baselines: args.evaluation.baselines,
    };
    let own = bench.model(&model, None)?;
    let mut rows = bench.baselines()?;
    if let Some(latent) = &source.latent {
        rows.push(bench.bound(latent)?);
    }
    rows.push(own);
    let protocol = Protocol::new(&source.data, &source.split, source.mask, args.data.request_time());
    say!("{} from {} on {}, {}", model.config().model.name(), args.model.display(), source.data.name, device.name());
    output::print_rows(&rows, &protocol);
    output::print_left_out(&source.data.left_out);
    let mut more = serde_json::Map::new();
    more.insert("data".into(), source.data.name.clone().into());
    more.insert("left_out".into(), output::left_out(&source.data.left_out));
    output::insert_searches(&mut more, source.data.searches.as_ref());
    output::write_json(global, "eval", output::device_name(&device), Some(protocol), rows, more)
}

/// Does the model have a row for a word that was searched?
fn knows_any(model: &Model, searches: &Searches) -> bool {
    // User 0 is nobody, of whom no searches are kept.
    searches.tokens.iter().any(|word| !model.searches_of(0, &[word]).is_empty())
}
