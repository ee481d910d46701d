#![doc = include_str!("../README.md")]

mod age;
mod blocks;
mod candidates;
#[cfg(feature = "synthetic")]
mod check;
mod config;
mod error;
pub mod eval;
mod examples;
mod extend;
mod features;
mod history;
mod keys;
mod learnable;
mod loss_options;
mod losses;
mod mine;
mod model;
mod negatives;
mod newcomers;
mod preset;
mod probability;
mod query;
mod retrieve;
mod rules;
mod sampler;
mod save;
mod schedule;
mod schema;
mod score;
mod searches;
mod select;
mod serve;
mod session;
mod step;
pub mod text;
mod towers;
mod train;
mod trained;
mod unknown;
mod vectors;
mod watch;
mod widths;

#[cfg(feature = "synthetic")]
pub use check::check_models;
pub use config::{
    Config, Frequency, Gap, Hidden, ItemTable, Label, LogQ, Loss, ModelKind, NegativesFrom, Norm, Numbers,
    OptimizerKind, Pool, Sampler, Schedule, SearchTime, Switch,
};
pub use error::{Error, Result};
pub use extend::{Extended, extend, refit_from, train_from};
pub use features::hashed_row;
pub use model::{Model, Recommendation};
pub use newcomers::{UserRow, UserRows};
pub use preset::{PRESETS, Preset};
pub use query::Query;
pub use retrieve::Index;
pub use rt_data as data;
pub use rt_kernels as kernels;
pub use rt_tensor as tensor;
pub use rt_tensor::{Device, DeviceChoice};
pub use sampler::sampler_probabilities;
pub use save::{check_out, saved_model};
pub use score::ModelScorer;
pub use select::Select;
pub use step::{StepBench, StepSizes};
pub use train::{OnProgress, Progress, TrainReport, evaluate, refit, train};
pub use unknown::{Unknown, UnknownIds};
