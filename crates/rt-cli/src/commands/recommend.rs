//! `recall recommend`: the best items for a user or a history.

use crate::args::{Global, Recommend};
use crate::fail::{Done, Fail};
use crate::output;
use rt_models::{Model, Query, Recommendation};
use serde::Serialize;

#[derive(Serialize)]
struct Row<'a> {
    item: &'a str,
    title: &'a str,
    score: f32,
    rank: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
}

pub(crate) fn run(global: &Global, args: &Recommend) -> Done {
    if args.k == 0 {
        return Err(Fail::user("-k 0: ask for at least one item"));
    }
    let device = super::open(global)?;
    let model = Model::load(&device, &args.model)?;
    let (user, history, times) = whose(global, args, &model)?;
    let features = args.user_features.as_deref().map(|text| pairs("--user-features", text)).transpose()?;
    let features = features.map(|values| model.user_row(user, &values)).transpose()?;
    if let Some((_, unknown)) = &features {
        unknown.iter().for_each(|text| output::note(global, text));
    }
    let context = context(global, args, &model)?;
    if !args.query.is_empty() && model.config().searches_read() == 0 {
        return Err(Fail::user(format!("--query {}: the model was trained without searches", args.query[0])));
    }
    if !args.query.is_empty() && model.searches_of(0, &args.query).is_empty() {
        output::note(global, "no word of --query is one that the model knows");
    }
    let searches = model.searches_of(user, &args.query);
    let query = Query {
        user,
        history: &history,
        context: &context,
        times: &times,
        searches: &searches,
        features: features.as_ref().map(|(rows, _)| rows.row(0)),
    };
    let exclude: &[u32] = match (args.seen, args.unseen) {
        (true, _) => &[],
        (_, true) => &history,
        (false, false) => model.left_out(&history),
    };
    let best = model.recommend(&query, exclude, args.k)?;
    if best.len() < args.k {
        output::note(global, &format!("{} items are all that is left", best.len()));
    }
    let items: Vec<u32> = best.iter().map(|r| r.item).collect();
    let probabilities = args.prob.then(|| model.probabilities(&query, exclude, &items)).transpose()?;
    print(&best, probabilities.as_deref());
    let row = |(i, r): (usize, &Recommendation)| {
        let probability = probabilities.as_ref().map(|p| p[i]);
        serde_json::to_value(Row { item: &r.raw, title: &r.title, score: r.score, rank: r.rank, probability })
    };
    let rows =
        best.iter().enumerate().map(row).collect::<Result<Vec<_>, _>>().map_err(|e| Fail::machine(e.to_string()))?;
    let mut more = serde_json::Map::new();
    more.insert("model".into(), model.config().model.name().into());
    more.insert("model_sha256".into(), model.sha256()?.into());
    output::write_json(global, "recommend", output::device_name(&device), None, rows, more)
}

/// The user, dense, 0 for one whom the model does not know; their history and its times.
fn whose(global: &Global, args: &Recommend, model: &Model) -> Done<(u32, Vec<u32>, Vec<i64>)> {
    if let Some(raw) = &args.user {
        let user = match (model.user(raw), &args.user_features) {
            (Err(_), Some(_)) => {
                output::note(
                    global,
                    &format!("the model does not know the user {raw}: served from the features given"),
                );
                0
            }
            (user, _) => user?,
        };
        let history = model.history_of(user).to_vec();
        if history.is_empty() && user != 0 {
            output::note(global, &format!("user {raw} has no history: served from what else is known of them"));
        }
        return Ok((user, history, model.times_of(user)));
    }
    let Some(text) = &args.history else { return Ok((0, Vec::new(), Vec::new())) };
    let raws = rt_data::csv_fields(text).map_err(|e| Fail::user(format!("--history {e}")))?;
    let (history, unknown) = known_items(model, raws.iter().filter(|raw| !raw.is_empty()));
    if !unknown.is_empty() {
        output::note(global, &left_out(model, &unknown));
    }
    if history.is_empty() && args.user_features.is_none() {
        output::note(global, "the history is empty: what suits a user of whom nothing is known");
    }
    Ok((0, history, Vec::new()))
}

/// `name=value,name=value` of a flag.
fn pairs(flag: &str, text: &str) -> Done<Vec<(String, String)>> {
    let fields = rt_data::csv_fields(text).map_err(|e| Fail::user(format!("{flag} {e}")))?;
    let pair = |field: &String| match field.split_once('=') {
        Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
        None => Err(Fail::user(format!("{flag} `{field}`: name=value is wanted"))),
    };
    fields.iter().map(pair).collect()
}

/// The context of the request: what `--context` says, and what holds of every request.
fn context(global: &Global, args: &Recommend, model: &Model) -> Done<Vec<u32>> {
    let mut context = model.default_context();
    let names = model.context_columns();
    for (name, value) in args.context.as_deref().map_or_else(|| Ok(Vec::new()), |text| pairs("--context", text))? {
        let Some(place) = names.iter().position(|column| *column == name) else {
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(Fail::user(format!("--context {name}: the model has no such column; it has: {known}")));
        };
        context[place] = model.context_category(&name, &value);
        if context[place] == 0 && !value.is_empty() {
            output::note(global, &format!("{name} `{value}` is none that the model knows: it counts as unknown"));
        }
    }
    Ok(context)
}

/// Dense ids of the items that the model knows, and the raw ones of the others.
fn known_items<'a>(model: &Model, raws: impl Iterator<Item = &'a String>) -> (Vec<u32>, Vec<&'a str>) {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for raw in raws {
        match model.data().items.get(raw) {
            Some(item) => known.push(item),
            None => unknown.push(raw.as_str()),
        }
    }
    (known, unknown)
}

fn left_out(model: &Model, unknown: &[&str]) -> String {
    let mut list = unknown[..unknown.len().min(10)].join(", ");
    if unknown.len() > 10 {
        list += &format!(" and {} more", unknown.len() - 10);
    }
    let items = &model.data().items;
    format!(
        "items of the history that the model does not know are left out: {list}; it knows {} items, such as `{}`",
        items.rows() - 1,
        items.raw(1)
    )
}

/// Prints recommendations with titles, scores and, where they are given, probabilities.
pub(crate) fn print(best: &[Recommendation], probabilities: Option<&[f64]>) {
    let mut header = vec!["rank", "score", "item", "title"];
    if probabilities.is_some() {
        header.insert(2, "probability");
    }
    let mut t = output::table(&header);
    if let Some(column) = t.column_mut(header.len() - 1) {
        column.set_cell_alignment(comfy_table::CellAlignment::Left);
    }
    for (i, r) in best.iter().enumerate() {
        let mut row = vec![r.rank.to_string(), format!("{:.4}", r.score), r.raw.clone(), r.title.clone()];
        if let Some(p) = probabilities {
            row.insert(2, format!("{:.6}", p[i]));
        }
        t.add_row(row);
    }
    say!("{t}");
}
