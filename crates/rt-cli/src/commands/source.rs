//! From `--data` and its flags to a data set and its split.

use crate::args::{Data, EvalHistoryArg, MaskArg, Order, RequestTime, TargetsArg};
use crate::fail::{Done, Fail};
use rt_data::{
    Dataset, EvalHistory, FeatureSpec, Latent, Mask, ReadOptions, Split, SplitKind, SplitOptions, Synthetic, Targets,
};
use std::path::Path;

/// What was read.
pub(crate) struct Source {
    pub data: Dataset,
    pub split: Split,
    pub mask: Mask,
    /// The true model of synthetic data.
    pub latent: Option<Latent>,
}

impl Data {
    pub(crate) fn read(&self) -> Done<Source> {
        let (data, kind, latent) = self.read_undivided()?;
        let split = rt_data::split(&data, kind, self.split_options())?;
        Ok(Source { data, split, mask: self.mask(), latent })
    }

    /// The data and how it is to be divided.
    pub(crate) fn read_undivided(&self) -> Done<(Dataset, SplitKind, Option<Latent>)> {
        let specs = |list: &[String]| list.iter().map(|s| FeatureSpec::parse(s)).collect::<Result<Vec<_>, _>>();
        let options = ReadOptions {
            user_col: self.user_col.clone(),
            item_col: self.item_col.clone(),
            time_col: self.time_col.clone(),
            title_col: self.title_col.clone(),
            user_features: specs(&self.user_features)?,
            item_features: specs(&self.item_features)?,
            context: specs(&self.context)?,
            order_input: self.order == Some(Order::Input),
            ..ReadOptions::default()
        };
        let (data, latent, files) = match (&self.data, &self.train, &self.valid, &self.test) {
            (Some(text), ..) if Synthetic::is_named_by(text) => {
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
        let kind = match (&self.split, files) {
            (None, true) => SplitKind::Files,
            (Some(text), true) => {
                return Err(Fail::user(format!("--split {text}: three files are a split already; leave it out")));
            }
            (None, false) => SplitKind::LeaveLastOut,
            (Some(text), false) => SplitKind::parse(text)?,
        };
        Ok((data, kind, latent))
    }

    pub(crate) fn split_options(&self) -> SplitOptions {
        SplitOptions {
            targets: match self.targets {
                TargetsArg::First => Targets::First,
                TargetsArg::All => Targets::All,
            },
            eval_history: match self.eval_history {
                EvalHistoryArg::Train => EvalHistory::Train,
                EvalHistoryArg::TrainValid => EvalHistory::TrainValid,
            },
        }
    }

    pub(crate) fn mask(&self) -> Mask {
        match self.mask {
            MaskArg::History => Mask::History,
            MaskArg::Train => Mask::Train,
            MaskArg::None => Mask::None,
        }
    }

    pub(crate) fn request_time(&self) -> &'static str {
        match self.request_time {
            RequestTime::Strict => "strict",
            RequestTime::Exact => "exact",
        }
    }
}
