//! `recall eval`: the figures of a saved model.

use super::compare::Bench;
use super::source::{Source, thin};
use crate::args::{Eval, Global, MaskArg, RequestTime};
use crate::fail::{Done, Fail};
use crate::output;
use rt_data::Searches;
use rt_models::eval::Protocol;
use rt_models::text::NAME;
use rt_models::{Gap, Model, SearchTime, Unknown, UnknownIds, saved_model};

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
    if args.data.split.as_deref() == Some("none") {
        return Err(Fail::user(
            "--split none: everything trains and nothing is tested; name the split whose test part is to be ranked",
        ));
    }
    let mut source = args.data.read()?;
    if args.data.mask == MaskArg::Auto {
        (source.split.mask, source.split.mask_reason) = (model.mask(), "that of the model".into());
    }
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
    output::note_data(global, &source.data);
    if let Some(text) = strangers(&model, &source) {
        output::note(global, &text);
    }
    output::note_searches(global, source.data.searches.as_ref());
    thin(&mut source.split, args.evaluation.eval_users);
    note_unknown(global, &model, &source)?;
    let seen = check_seen(global, args, &model, &source)?;
    let bench =
        Bench { device: &device, data: &source.data, split: &source.split, baselines: args.evaluation.baselines };
    let own = bench.model(&model, None)?;
    let mut rows = bench.baselines()?;
    if let Some(latent) = &source.latent {
        rows.push(bench.bound(latent)?);
    }
    rows.push(own);
    let mut protocol = Protocol::new(&source.data, &source.split, args.data.request_time());
    protocol.seen_cases = args.allow_seen.then_some(seen);
    say!("{} from {} on {}, {}", model.config().model.name(), args.model.display(), source.data.name, device.name());
    output::print_rows(&rows, &protocol);
    output::print_left_out(&source.data.left_out);
    let mut more = serde_json::Map::new();
    more.insert("data".into(), source.data.name.clone().into());
    more.insert("left_out".into(), output::left_out(&source.data.left_out));
    more.insert("notes".into(), source.data.notes.clone().into());
    output::insert_searches(&mut more, source.data.searches.as_ref());
    output::write_json(global, "eval", output::device_name(&device), Some(protocol), rows, more)
}

/// Says what of the data the model does not know; fails where that leaves nothing to evaluate.
fn note_unknown(global: &Global, model: &Model, source: &Source) -> Done {
    let cases = &source.split.test;
    let UnknownIds { users, items, strangers } = model.unknown(&source.data, cases);
    let like = |of: &Unknown| format!("such as {}", of.names.join(", "));
    if items.is_all() {
        return Err(Fail::user(format!(
            "none of the {} items of {} is one that the model knows ({}; it knows {} and others): were the ids written \
             another way when it was trained?",
            items.of,
            source.data.name,
            like(&items),
            model.data().items.raw(1)
        )));
    }
    if !cases.is_empty() && strangers == cases.len() {
        return Err(Fail::user(format!(
            "of none of the {} users to be tested the model knows anything: no user ({}; it knows {} and others), no item of \
             a history, no column of features",
            users.of,
            like(&users),
            model.data().users.raw(1)
        )));
    }
    for (what, unknown, then) in [
        ("users", &users, "served from their features and histories"),
        ("items", &items, "left out of histories and ranked last"),
    ] {
        if unknown.count > 0 {
            let (count, of) = (unknown.count, unknown.of);
            output::note(
                global,
                &format!("{count} of {of} {what} are unknown to the model ({}): {then}", like(unknown)),
            );
        }
    }
    Ok(())
}

/// Counts the cases that the model was trained on, and fails where they were not asked for.
fn check_seen(global: &Global, args: &Eval, model: &Model, source: &Source) -> Done<usize> {
    let Some(seen) = model.seen_cases(&source.data, &source.split.test) else {
        let what = "the model was saved by a version that did not keep what it was trained on: figures may be over cases that it has seen";
        output::note(global, what);
        return Ok(0);
    };
    let count = seen.iter().filter(|seen| **seen).count();
    if count > 0 && !args.allow_seen {
        let first = seen.iter().position(|seen| *seen).map_or(0, |i| source.split.test[i].user);
        return Err(Fail::user(format!(
            "{count} of {} test cases have a target that the model was trained on, such as that of user {}: figures would say how \
             well it remembers. Evaluate on later events, or by the split that it was trained with; --allow-seen evaluates all the \
             same",
            seen.len(),
            source.data.users.raw(first)
        )));
    }
    Ok(count)
}

/// A note if the data has users whom the model does not know and lacks user columns that the model has.
fn strangers(model: &Model, source: &Source) -> Option<String> {
    let (own, theirs) = (&model.data().user_features, &source.data.user_features);
    let missing = own.columns.iter().map(|(name, _)| name.as_str());
    let missing: Vec<&str> = missing.filter(|name| !theirs.columns.iter().any(|(n, _)| n == name)).collect();
    let raw = |user: u32| source.data.users.raw(user);
    let unknown = source.split.test.iter().filter(|case| model.data().users.get(raw(case.user)).is_none()).count();
    (unknown > 0 && !missing.is_empty()).then(|| {
        format!(
            "{unknown} cases are of users whom the model does not know: their columns ({}) count as unknown without --user-features \
             or --user-table",
            missing.join(", ")
        )
    })
}

/// Does the model have a row for a word that was searched?
fn knows_any(model: &Model, searches: &Searches) -> bool {
    // User 0 is nobody, of whom no searches are kept.
    searches.tokens.iter().any(|word| !model.searches_of(0, &[word]).is_empty())
}
