#![doc = include_str!("../README.md")]

mod check;
mod config;
mod error;
pub mod eval;
mod extend;
mod losses;
mod model;
mod probability;
mod retrieve;
mod save;
mod schedule;
mod schema;
mod score;
mod select;
mod session;
mod step;
mod towers;
mod train;

pub use check::check_models;
pub use config::{Config, Gap, Hidden, ItemTable, LogQ, Loss, ModelKind, OptimizerKind, Sampler, Schedule, Switch};
pub use error::{Error, Result};
pub use extend::{Extended, extend, train_from};
pub use model::{Model, Query, Recommendation};
pub use retrieve::Index;
pub use rt_data as data;
pub use rt_kernels as kernels;
pub use rt_tensor as tensor;
pub use rt_tensor::{Device, DeviceChoice};
pub use save::check_out;
pub use score::ModelScorer;
pub use select::Select;
pub use step::{StepBench, StepSizes};
pub use train::{OnProgress, Progress, TrainReport, evaluate, train};
