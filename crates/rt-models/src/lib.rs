#![doc = include_str!("../README.md")]

mod check;
mod config;
mod error;
pub mod eval;
mod losses;
mod model;
mod retrieve;
mod save;
mod schema;
mod score;
mod step;
mod towers;
mod train;

pub use check::check_models;
pub use config::{
    Config, Gap, Hidden, ItemTable, Label, LogQ, Loss, ModelKind, NegativesFrom, OptimizerKind, Sampler, Switch,
};
pub use error::{Error, Result};
pub use model::{Model, Query, Recommendation};
pub use retrieve::Index;
pub use rt_data as data;
pub use rt_kernels as kernels;
pub use rt_tensor as tensor;
pub use rt_tensor::{Device, DeviceChoice};
pub use save::check_out;
pub use score::ModelScorer;
pub use step::{StepBench, StepSizes};
pub use train::{OnProgress, Progress, TrainReport, evaluate, train};
