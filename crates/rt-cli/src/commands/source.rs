//! From `--data` and its flags to a data set and its split.

use crate::args::{Catalogue, Data, EvalHistoryArg, MaskArg, MissingArg, Order, RequestTime, TargetsArg};
use crate::fail::{Done, Fail};
use crate::schema_file::SchemaFile;
use rt_data::{
    Dataset, EvalHistory, FeatureSpec, Latent, Mask, MissingIds, Split, SplitKind, SplitOptions, Synthetic, Targets,
    TimeUnit,
};
use std::path::Path;

/// What was read.
pub(crate) struct Source {
    pub data: Dataset,
    pub split: Split,
    /// The true model of synthetic data.
    pub latent: Option<Latent>,
}

/// What was read, and how it is to be divided.
pub(crate) struct Undivided {
    pub data: Dataset,
    pub kind: SplitKind,
    pub options: SplitOptions,
    /// The true model of synthetic data.
    pub latent: Option<Latent>,
}

/// Keeps at most `count` validation and test cases, evenly taken; 0 keeps all.
pub(crate) fn thin(split: &mut Split, count: usize) {
    for cases in [&mut split.valid, &mut split.test] {
        let all = cases.len();
        if count > 0 && count < all {
            let mut place = 0;
            cases.retain(|_| {
                // Of every all / count cases the first.
                let kept = place * count % all < count;
                place += 1;
                kept
            });
        }
    }
}

/// Dense id of a source.
fn source(data: &Dataset, name: &str) -> Done<u32> {
    if data.event_source.is_empty() {
        return Err(Fail::user(format!(
            "--eval-source {name}: the data has no source column; name it with --source-col"
        )));
    }
    data.sources.get(name).ok_or_else(|| {
        let known: Vec<&str> = data.sources.iter().take(20).collect();
        Fail::user(format!("--eval-source {name}: the data has no such source; it has {}", known.join(", ")))
    })
}

impl Data {
    /// What the columns mean: flags over the schema file.
    fn options(&self) -> Done<SchemaFile> {
        let mut schema = match &self.schema {
            Some(path) => SchemaFile::open(path)?,
            None => SchemaFile::default(),
        };
        let o = &mut schema.options;
        for (flag, option) in [
            (&self.user_col, &mut o.user_col),
            (&self.item_col, &mut o.item_col),
            (&self.time_col, &mut o.time_col),
            (&self.title_col, &mut o.title_col),
            (&self.label_col, &mut o.label_col),
            (&self.weight_col, &mut o.weight_col),
            (&self.rating_col, &mut o.rating_col),
            (&self.dwell_col, &mut o.dwell_col),
            (&self.source_col, &mut o.source_col),
            (&self.impression_col, &mut o.impression_col),
            (&self.eval_source, &mut schema.eval_source),
            (&self.search_user_col, &mut schema.searches.user_col),
            (&self.search_time_col, &mut schema.searches.time_col),
            (&self.search_query_col, &mut schema.searches.query_col),
        ] {
            if flag.is_some() {
                option.clone_from(flag);
            }
        }
        for (flags, option) in [
            (&self.user_features, &mut o.user_features),
            (&self.item_features, &mut o.item_features),
            (&self.context, &mut o.context),
        ] {
            if !flags.is_empty() {
                *option = flags.iter().map(|flag| FeatureSpec::parse(flag)).collect::<Result<_, _>>()?;
            }
        }
        // A schema file may name columns of searches that are not read now; a flag for them is a mistake.
        let of_searches = [
            ("--search-user-col", &self.search_user_col),
            ("--search-time-col", &self.search_time_col),
            ("--search-query-col", &self.search_query_col),
        ];
        if let (None, Some((flag, Some(column)))) = (&self.searches, of_searches.iter().find(|(_, c)| c.is_some())) {
            return Err(Fail::user(format!("{flag} {column}: is of no use without --searches")));
        }
        o.min_rating = self.min_rating.or(o.min_rating);
        o.min_dwell = self.min_dwell.or(o.min_dwell);
        o.order_input |= self.order == Some(Order::Input);
        self.set_forms(&mut schema)?;
        let o = &mut schema.options;
        for (column, flag, needs, other) in [
            (&o.rating_col, "--rating-col", o.min_rating.is_some(), "--min-rating"),
            (&o.dwell_col, "--dwell-col", o.min_dwell.is_some(), "--min-dwell"),
            (&o.impression_col, "--impression-col", o.label_col.is_some(), "--label-col"),
        ] {
            if let (Some(column), false) = (column, needs) {
                return Err(Fail::user(format!("{flag} {column}: is of no use without {other}")));
            }
        }
        for (flag, least) in [("--min-rating", o.min_rating), ("--min-dwell", o.min_dwell)] {
            if let Some(least) = least.filter(|least| !least.is_finite()) {
                return Err(Fail::user(format!("{flag} {least}: has to be a finite number")));
            }
        }
        Ok(schema)
    }

    /// How the files are written, and what stands beside them.
    fn set_forms(&self, schema: &mut SchemaFile) -> Done {
        let o = &mut schema.options;
        o.no_header |= self.no_header;
        if let Some(unit) = &self.time_unit {
            o.time_unit = Some(TimeUnit::parse(unit)?);
        }
        schema.searches.time_unit = o.time_unit;
        for (flag, option) in [(&self.item_table, &mut o.item_table), (&self.user_table, &mut o.user_table)] {
            if flag.is_some() {
                option.clone_from(flag);
            }
        }
        if let Some(missing) = self.missing_ids {
            o.missing_ids = match missing {
                MissingArg::Drop => MissingIds::Drop,
                MissingArg::Keep => MissingIds::Keep,
            };
        }
        Ok(())
    }

    pub(crate) fn read(&self) -> Done<Source> {
        let Undivided { data, kind, options, latent } = self.read_undivided()?;
        let split = rt_data::split(&data, kind, options)?;
        Ok(Source { data, split, latent })
    }

    /// The data and how it is to be divided.
    pub(crate) fn read_undivided(&self) -> Done<Undivided> {
        let SchemaFile { options, searches, eval_source } = self.options()?;
        let (mut data, latent, files) = match (&self.data, &self.train, &self.valid, &self.test) {
            (Some(text), ..) if Synthetic::is_named_by(text) => {
                let named = [&options.label_col, &options.weight_col, &options.source_col];
                if named.iter().any(|column| column.is_some()) || options.min_rating.or(options.min_dwell).is_some() {
                    let what = "built-in data has no columns of labels, weights, ratings, dwell times or sources";
                    return Err(Fail::user(format!("--data {text}: {what}")));
                }
                let flags = [
                    ("--user-features", !self.user_features.is_empty()),
                    ("--item-features", !self.item_features.is_empty()),
                    ("--context", !self.context.is_empty()),
                    ("--order", options.order_input),
                    ("--no-header", options.no_header),
                    ("--time-unit", options.time_unit.is_some()),
                    ("--item-table", options.item_table.is_some()),
                    ("--user-table", options.user_table.is_some()),
                ];
                if let Some((flag, _)) = flags.iter().find(|(_, given)| *given) {
                    return Err(Fail::user(format!(
                        "{flag} with --data {text}: built-in data comes with its columns and times"
                    )));
                }
                if let Some(path) = &self.searches {
                    let what = "built-in data makes its own searches: --data synthetic:searches=20";
                    return Err(Fail::user(format!("--searches {}: {what}", path.display())));
                }
                let (data, latent) = Synthetic::parse(text)?.generate();
                (data, Some(latent), false)
            }
            (Some(path), ..) => (rt_data::read(Path::new(path), &options)?, None, false),
            (None, Some(train), Some(valid), Some(test)) => {
                (rt_data::read_files(train, valid, test, &options)?, None, true)
            }
            _ => {
                return Err(Fail::user("which data? give --data PATH, or --train, --valid and --test"));
            }
        };
        if self.catalogue == Catalogue::All {
            data.rank_all_items();
        }
        if let Some(path) = &self.searches {
            data.searches = Some(rt_data::read_searches(path, &searches, &data)?);
        }
        let kind = match (&self.split, files) {
            (None, true) => SplitKind::Files,
            (Some(text), true) if text == "none" => SplitKind::None,
            (Some(text), true) => {
                return Err(Fail::user(format!(
                    "--split {text}: three files are a split already; leave it out, or none to train on all of them"
                )));
            }
            (None, false) => SplitKind::LeaveLastOut,
            (Some(text), false) => SplitKind::parse(text)?,
        };
        let mut options = self.split_options();
        options.eval_source = eval_source.as_deref().map(|name| source(&data, name)).transpose()?;
        Ok(Undivided { data, kind, options, latent })
    }

    fn split_options(&self) -> SplitOptions {
        SplitOptions {
            targets: match self.targets {
                TargetsArg::First => Targets::First,
                TargetsArg::All => Targets::All,
            },
            eval_history: match self.eval_history {
                EvalHistoryArg::Train => EvalHistory::Train,
                EvalHistoryArg::TrainValid => EvalHistory::TrainValid,
            },
            eval_source: None,
            mask: match self.mask {
                MaskArg::Auto => None,
                MaskArg::History => Some(Mask::History),
                MaskArg::Train => Some(Mask::Train),
                MaskArg::None => Some(Mask::None),
            },
        }
    }

    pub(crate) fn request_time(&self) -> &'static str {
        match self.request_time {
            RequestTime::Strict => "strict",
            RequestTime::Exact => "exact",
        }
    }
}
