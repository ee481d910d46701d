//! `recall train --model dssm-text`, `recall search` and `recall text-pairs`.

use crate::args::{
    Data, Eval, Evaluation, Explain, Global, MaskArg, RequestTime, Search, TargetsArg, TextPairs, Train,
};
use crate::fail::{Done, Fail};
use crate::interrupt::Interrupt;
use crate::output;
use rt_data::{Column, Dataset, ReadOptions, Synthetic};
use rt_models::eval::peak_memory_bytes;
use rt_models::tensor::Tape;
use rt_models::text::{
    NAME, Noise, Pairs, SplitBy, TextConfig, TextFigures, TextModel, TextReport, TextSplit, TfIdf, rank_pairs,
    title_pairs, train,
};
use rt_models::{Device, check_out};
use serde::Serialize;
use serde_json::json;
use std::path::Path;
use std::time::Instant;

/// One line of the table.
#[derive(Serialize)]
struct Row {
    model: &'static str,
    #[serde(flatten)]
    figures: TextFigures,
    #[serde(flatten)]
    training: Option<Training>,
}

/// What only a trained model has.
#[derive(Serialize)]
struct Training {
    seconds: f64,
    examples_per_second: f64,
    prepare_seconds: f64,
    validation_seconds: f64,
    best_epoch: usize,
    peak_memory_bytes: Option<u64>,
    loss: Vec<f32>,
    loss_epochs: Vec<f32>,
    model_sha256: String,
}

impl Training {
    fn new(report: &TextReport, model: &TextModel, prepare_seconds: f64) -> Done<Self> {
        Ok(Self {
            seconds: report.seconds,
            examples_per_second: report.examples_per_second,
            prepare_seconds,
            validation_seconds: report.valid_seconds / report.epochs.max(1) as f64,
            best_epoch: report.best_epoch,
            peak_memory_bytes: peak_memory_bytes(),
            loss: report.loss.clone(),
            loss_epochs: report.loss_epochs.clone(),
            model_sha256: model.sha256()?,
        })
    }
}

/// Trains on a file of pairs, tests, saves.
pub(crate) fn run_train(global: &Global, args: &Train) -> Done {
    for (flag, given) in [
        ("--seeds", args.seeds != 1),
        ("--tensorboard", args.tensorboard.is_some()),
        ("--preset", args.preset.is_some()),
    ] {
        if given {
            return Err(Fail::user(format!("{flag}: is for models of interactions, not for {NAME}")));
        }
    }
    check_evaluation(&args.evaluation)?;
    let config = config(args)?;
    let by = split_by(&args.data)?;
    let path = pairs_file(&args.data)?;
    check_out(&args.out)?;
    let device = super::open(global)?;
    let start = Instant::now();
    let pairs = Pairs::read(path)?;
    let split = TextSplit::new(&pairs, by, global.seed);
    let prepare_seconds = start.elapsed().as_secs_f64();
    if split.test.is_empty() {
        output::note(global, "fewer than ten pairs (or documents): nothing is held out, figures will be empty");
    }
    let interrupt = Interrupt::watch()?;
    let mut progress = interrupt.stopping(output::progress(global, NAME));
    let (model, report) = train(&device, &config, &pairs, &split, global.seed, &mut progress)?;
    model.save(&args.out)?;
    interrupt.release();
    if report.below_tfidf {
        eprintln!("warning: the model does not beat TF-IDF on validation; it is not worth its time as it is");
    }
    let interrupted = interrupt.code().is_some();
    let training = Some(Training::new(&report, &model, prepare_seconds)?);
    let mut rows = Vec::new();
    let mut figures = TextFigures::default();
    if !interrupted {
        let tfidf = rank_pairs(&pairs, &split.test, &TfIdf::new(&pairs.documents))?;
        rows.push(Row { model: "tf-idf", figures: tfidf, training: None });
        figures = model.evaluate(&pairs, &split.test)?;
    }
    rows.push(Row { model: NAME, figures, training });
    say!("{NAME} on {}, {}, seed {}", pairs.name, device.name(), global.seed);
    if !interrupted {
        print_rows(&rows);
    }
    say!(
        "split by {}: {} pairs train, {} validate, {} test; {} documents ranked, without the query's other clicked ones",
        by.name(),
        split.train.len(),
        split.valid.len(),
        split.test.len(),
        pairs.documents.len()
    );
    let mut more = serde_json::Map::new();
    if interrupted {
        more.insert("interrupted".into(), true.into());
    } else {
        say!("best epoch {} of {}; the model is in {}", report.best_epoch, report.epochs, args.out.display());
    }
    let protocol = json!({
        "split": by.name(), "mask": "clicked", "request_time": "strict", "catalogue": pairs.documents.len(),
        "queries": pairs.queries.len(), "pairs_trained": split.train.len(), "pairs_validated": split.valid.len(),
        "pairs_tested": split.test.len(),
    });
    more.insert("protocol".into(), protocol);
    more.insert("data".into(), pairs.name.clone().into());
    more.insert("config".into(), model.config().to_toml().into());
    more.insert("validation_recall_10".into(), report.valid.clone().into());
    more.insert("dispatches_per_step".into(), report.dispatches.into());
    more.insert("parameters".into(), json!({"tables": model.parameters().0, "dense": model.parameters().1}));
    output::write_json(global, "train", output::device_name(&device), None, rows, more)?;
    if interrupted { Err(interrupt.failure(report.best_epoch, &args.out)) } else { Ok(()) }
}

fn check_evaluation(evaluation: &Evaluation) -> Done {
    let given = [
        ("--eval-users", evaluation.eval_users != 0),
        ("--baselines", evaluation.baselines != crate::args::Baselines::All),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Fail::user(format!("{flag}: is for models of interactions, not for {NAME}"))),
        None => Ok(()),
    }
}

fn pairs_file(data: &Data) -> Done<&Path> {
    match &data.data {
        Some(path) if !Synthetic::is_named_by(path) => Ok(Path::new(path)),
        Some(_) => {
            let what = "--data: dssm-text reads a TSV file of pairs; `recall text-pairs` makes one of titles, of \
                        built-in data too";
            Err(Fail::user(what))
        }
        None => Err(Fail::user("which data? give --data FILE.tsv: query, document and perhaps a label")),
    }
}

/// Figures of a saved model: over the pairs that it was not trained on, where the file is that of its training; else over all.
pub(crate) fn run_eval(global: &Global, args: &Eval) -> Done {
    check_evaluation(&args.evaluation)?;
    split_by(&args.data)?;
    if args.data.split.is_some() {
        let what = format!("--split: the pairs that test a {NAME} model are those that its training left out");
        return Err(Fail::user(what));
    }
    let path = pairs_file(&args.data)?;
    let device = super::open(global)?;
    let model = TextModel::load(&device, &args.model)?;
    let pairs = Pairs::read(path)?;
    let split = model.split_of(&pairs);
    let chosen = split.as_ref().map_or_else(|| (0..pairs.clicked.len() as u32).collect(), |split| split.test.clone());
    let pairs = pairs.among(model.documents())?;
    let figures = rank_pairs(&pairs, &chosen, &TfIdf::new(&pairs.documents))?;
    let tfidf = Row { model: "tf-idf", figures, training: None };
    let own = Row { model: NAME, figures: model.evaluate(&pairs, &chosen)?, training: None };
    say!("{NAME} from {} on {}, {}", args.model.display(), pairs.name, device.name());
    let rows = vec![tfidf, own];
    print_rows(&rows);
    let which = match &split {
        Some(split) => format!("held out by training (split by {})", split.by.name()),
        None => "of a file that the model was not trained on: all of it".to_owned(),
    };
    say!(
        "{} pairs {which}; {} documents ranked, without the query's other clicked ones",
        chosen.len(),
        pairs.documents.len()
    );
    let mut more = serde_json::Map::new();
    let protocol = json!({
        "split": split.as_ref().map_or("none", |split| split.by.name()), "mask": "clicked", "request_time": "strict",
        "catalogue": pairs.documents.len(), "queries": pairs.queries.len(), "pairs_tested": chosen.len(),
    });
    more.insert("protocol".into(), protocol);
    more.insert("data".into(), pairs.name.clone().into());
    more.insert("model_sha256".into(), model.sha256()?.into());
    output::write_json(global, "eval", output::device_name(&device), None, rows, more)
}

/// The training step of settings on a file of pairs, or on pairs made of the titles of other data.
pub(crate) fn tape(global: &Global, args: &Explain) -> Done<Tape> {
    let mut config = TextConfig::new();
    for pair in &args.set {
        config.set_pair(pair)?;
    }
    let path = Path::new(&args.data);
    let pairs = if path.extension().is_some_and(|extension| extension == "tsv") {
        Pairs::read(path)?
    } else {
        let lines: Vec<String> = title_pairs(&read_titles(&args.data, None)?, 8, &Noise::default(), global.seed)?
            .iter()
            .map(|(query, document)| format!("{query}\t{document}\n"))
            .collect();
        Pairs::parse(&args.data, lines.concat().as_bytes(), path)?
    };
    let split = TextSplit::new(&pairs, SplitBy::Pairs, global.seed);
    Ok(TextModel::training_tape(&config, &pairs, &split)?)
}

fn print_rows(rows: &[Row]) {
    let names = ["recall@1", "recall@10", "recall@100", "MRR"];
    let mut t = output::table(&[
        "model",
        names[0],
        "±",
        names[1],
        "±",
        names[2],
        names[3],
        "1 word",
        "2 words",
        "3 or more",
        "seconds",
        "pairs/s",
    ]);
    for row in rows {
        let f = &row.figures;
        let metric = |name: &str| f.metrics.get(name).map_or_else(String::new, |v| format!("{v:.4}"));
        let error = |name: &str| f.stderr.get(name).map_or_else(String::new, |v| format!("{v:.4}"));
        let words = |name: &str| f.by_words.get(name).map_or_else(String::new, |p| format!("{:.4}", p.recall_at_10));
        let training = row.training.as_ref();
        t.add_row(vec![
            row.model.to_owned(),
            metric(names[0]),
            error(names[0]),
            metric(names[1]),
            error(names[1]),
            metric(names[2]),
            metric(names[3]),
            words("1"),
            words("2"),
            words("3 or more"),
            training.map_or_else(String::new, |t| format!("{:.1}", t.seconds)),
            training.map_or_else(String::new, |t| format!("{:.0}", t.examples_per_second)),
        ]);
    }
    say!("{t}");
    say!("by words of the query: recall@10");
}

/// `--set` over file over default.
fn config(args: &Train) -> Done<TextConfig> {
    let mut config = TextConfig::new();
    if let Some(path) = &args.config {
        let text = std::fs::read_to_string(path).map_err(|e| Fail::user(format!("{}: {e}", path.display())))?;
        config.read_toml(&text).map_err(|e| Fail::user(format!("{}: {e}", path.display())))?;
    }
    for pair in &args.set {
        config.set_pair(pair)?;
    }
    config.check()?;
    Ok(config)
}

/// `--split`; flags that are for interactions are refused.
fn split_by(data: &Data) -> Done<SplitBy> {
    let given = [
        ("--train, --valid and --test", data.train.is_some()),
        ("--mask", data.mask != MaskArg::Auto),
        ("--targets", data.targets != TargetsArg::First),
        ("--request-time", data.request_time != RequestTime::Strict),
        ("--eval-history", data.eval_history != crate::args::EvalHistoryArg::Train),
        ("--order", data.order.is_some()),
        ("--user-col", data.user_col.is_some()),
        ("--item-col", data.item_col.is_some()),
        ("--time-col", data.time_col.is_some()),
        ("--title-col", data.title_col.is_some()),
        ("--user-features", !data.user_features.is_empty()),
        ("--item-features", !data.item_features.is_empty()),
        ("--context", !data.context.is_empty()),
        ("--label-col", data.label_col.is_some()),
        ("--weight-col", data.weight_col.is_some()),
        ("--rating-col", data.rating_col.is_some()),
        ("--min-rating", data.min_rating.is_some()),
        ("--dwell-col", data.dwell_col.is_some()),
        ("--min-dwell", data.min_dwell.is_some()),
        ("--source-col", data.source_col.is_some()),
        ("--eval-source", data.eval_source.is_some()),
        ("--impression-col", data.impression_col.is_some()),
        ("--schema", data.schema.is_some()),
        ("--searches", data.searches.is_some()),
        ("--search-user-col", data.search_user_col.is_some()),
        ("--search-time-col", data.search_time_col.is_some()),
        ("--search-query-col", data.search_query_col.is_some()),
    ];
    if let Some((flag, _)) = given.iter().find(|(_, given)| *given) {
        return Err(Fail::user(format!(
            "{flag}: for interactions; {NAME} reads --data FILE.tsv of pairs: leave it out"
        )));
    }
    match data.split.as_deref() {
        None | Some("pairs") => Ok(SplitBy::Pairs),
        Some("documents") => Ok(SplitBy::Documents),
        Some(other) => Err(Fail::user(format!("--split {other}: for {NAME} it is pairs or documents"))),
    }
}

/// The best documents for a query.
pub(crate) fn run_search(global: &Global, args: &Search) -> Done {
    if args.k == 0 {
        return Err(Fail::user("-k 0: ask for at least one document"));
    }
    let device = super::open(global)?;
    let model = TextModel::load(&device, &args.model)?;
    let best = model.search(&args.query, args.k)?;
    if best.len() < args.k {
        output::note(global, &format!("{} documents are all there are", best.len()));
    }
    let mut t = output::table(&["rank", "score", "document"]);
    if let Some(column) = t.column_mut(2) {
        column.set_cell_alignment(comfy_table::CellAlignment::Left);
    }
    for f in &best {
        t.add_row(vec![f.rank.to_string(), format!("{:.4}", f.score), f.text.clone()]);
    }
    say!("{t}");
    let rows = best.iter().map(|f| json!({"rank": f.rank, "score": f.score, "document": f.text})).collect();
    let mut more = serde_json::Map::new();
    more.insert("model".into(), NAME.into());
    more.insert("query".into(), args.query.clone().into());
    more.insert("model_sha256".into(), model.sha256()?.into());
    output::write_json(global, "search", output::device_name(&device), None, rows, more)
}

/// Noisy queries for titles.
pub(crate) fn run_pairs(global: &Global, args: &TextPairs) -> Done {
    output::check_json(global)?;
    if args.per_title == 0 {
        return Err(Fail::user("--per-title 0: ask for at least one query a title"));
    }
    let titles = read_titles(&args.data, args.title_col.as_deref())?;
    let device = Device::cpu(global.threads)?;
    let noise = Noise { drop: args.drop, swap: args.swap, replace: args.replace };
    let pairs = title_pairs(&titles, args.per_title, &noise, global.seed)?;
    let mut text = String::from("query\tdocument\n");
    for (query, document) in &pairs {
        text += &format!("{query}\t{document}\n");
    }
    output::write_file(&args.out, &text)?;
    say!("{} pairs of {} titles are in {}", pairs.len(), titles.len(), args.out.display());
    let rows = vec![json!({"pairs": pairs.len(), "titles": titles.len()})];
    output::write_json(global, "text-pairs", output::device_name(&device), None, rows, serde_json::Map::new())
}

/// Titles of data that has some.
fn read_titles(data: &str, title_col: Option<&str>) -> Done<Vec<(String, String)>> {
    let data = if Synthetic::is_named_by(data) {
        Synthetic::parse(data)?.generate().0
    } else {
        rt_data::read(
            Path::new(data),
            &ReadOptions { title_col: title_col.map(str::to_owned), ..ReadOptions::default() },
        )?
    };
    let titles = titles(&data);
    if titles.is_empty() {
        return Err(Fail::user(format!("{}: has no titles to make queries of", data.name)));
    }
    Ok(titles)
}

/// Titles with their genres, in the order of the items.
pub(crate) fn titles(data: &Dataset) -> Vec<(String, String)> {
    let genres = data.item_features.columns.iter().find_map(|(name, column)| match column {
        Column::Bag { vocab, offsets, values } if name == "genres" => Some((vocab, offsets, values)),
        _ => None,
    });
    let rest = |item: usize| {
        genres.map_or_else(String::new, |(vocab, offsets, values)| {
            let own = &values[offsets[item] as usize..offsets[item + 1] as usize];
            own.iter().map(|g| vocab.raw(*g)).collect::<Vec<_>>().join(" ")
        })
    };
    let named = data.titles.iter().enumerate().skip(1).filter(|(_, title)| !title.is_empty());
    named.map(|(item, title)| (title.clone(), rest(item))).collect()
}
