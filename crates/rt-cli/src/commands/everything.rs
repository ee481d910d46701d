//! `--split none`: everything trains, for as many epochs as were best on a share that is held back first.

use crate::args::Train;
use crate::fail::Done;
use crate::output::plural;
use rt_data::{Dataset, Split};
use rt_models::{Config, TrainReport};
use serde_json::{Value, json};
use std::path::Path;

/// How a model is trained on everything.
pub(crate) struct Everything {
    /// The split that finds the number of epochs; none if that is given.
    pub held: Option<Split>,
    examples: usize,
}

impl Everything {
    /// `config` has no number of epochs unless it was given, or is that of a saved model, which says nothing of this data.
    pub(crate) fn new(args: &Train, config: &Config, data: &Dataset, split: &Split) -> Done<Self> {
        let set = args.set.iter().any(|pair| pair.split('=').next().is_some_and(|key| key.trim() == "epochs"));
        let given = config.epochs > 0 && (set || args.from.is_none());
        let mut held = if given { None } else { Some(split.hold_back(data)?) };
        if let Some(held) = &mut held {
            super::source::thin(held, args.evaluation.eval_users);
        }
        Ok(Self { held, examples: split.examples.len() })
    }

    fn held_back(&self) -> usize {
        self.held.as_ref().map_or(0, |split| split.valid.len())
    }

    /// How many epochs everything trained for.
    fn epochs(&self, report: &TrainReport) -> usize {
        if self.held.is_some() { report.best_epoch } else { report.epochs }
    }

    pub(crate) fn say(&self, report: &TrainReport, select: &str, out: &Path) {
        let epochs = self.epochs(report);
        let why = match self.held_back() {
            0 => "as given".to_owned(),
            held => format!("the best by {select} while {held} case{} were held back", plural(held)),
        };
        say!(
            "all {} examples trained for {epochs} epoch{}, {why}; nothing was tested; the model is in {}",
            self.examples,
            plural(epochs),
            out.display()
        );
    }

    pub(crate) fn to_json(&self, report: &TrainReport) -> Value {
        json!({ "examples": self.examples, "held_back": self.held_back(), "epochs": self.epochs(report) })
    }
}

/// Adds the cost of training on everything to the report of the training that found the number of epochs.
pub(crate) fn add(first: &mut TrainReport, second: &TrainReport) {
    let examples = first.examples_per_second * first.seconds + second.examples_per_second * second.seconds;
    first.seconds += second.seconds;
    first.examples_per_second = examples / first.seconds.max(f64::MIN_POSITIVE);
    first.mine_seconds += second.mine_seconds;
    first.without_negatives = second.without_negatives;
    first.temperature = second.temperature;
}
