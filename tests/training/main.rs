//! Training as a whole: same bits, CPU against GPU, padding, replay, saved models, bad input.

mod determinism;
mod extend;
mod optimizer;
mod padding;
mod probability;
mod quality;
#[cfg(feature = "gpu")]
mod replay;
mod saved;
mod serving;
#[cfg(feature = "gpu")]
mod slabs;

use rt_data::{Dataset, Split, SplitKind, SplitOptions, Synthetic, split};
use rt_models::{Config, Device, Model, ModelKind, TrainReport, train};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Small built-in data.
fn data() -> (Arc<Dataset>, Split) {
    let (data, _) = Synthetic::parse("synthetic:users=150,items=120,events=20,seed=5").unwrap().generate();
    let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    (Arc::new(data), split)
}

/// A small configuration: every part of the step is there, little of each.
fn config(kind: ModelKind, settings: &[&str]) -> Config {
    let mut config = Config::new(kind);
    for pair in ["epochs=1", "batch=128", "dim=16", "user_hidden=24", "history=20", "windows=1,3,20", "user_id=on"] {
        config.set_pair(pair).unwrap();
    }
    for pair in settings {
        config.set_pair(pair).unwrap();
    }
    config
}

fn fit(device: &Device, config: &Config, seed: u64) -> (Model, TrainReport) {
    let (data, split) = data();
    train(device, config, data, &split, seed, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// A name, a model, and settings for each loss.
const LOSSES: &[(ModelKind, &[&str])] = &[
    (ModelKind::Dssm, &["loss=in-batch"]),
    (ModelKind::Dssm, &["loss=in-batch", "logq=all", "mask_hits=false", "optimizer=adagrad"]),
    (ModelKind::Dssm, &["loss=pointwise", "activation=prelu"]),
    (ModelKind::Dssm, &["loss=sampled", "negatives=50", "sampler=uniform", "skip=false"]),
    (ModelKind::YoutubeDnn, &["loss=full"]),
    (ModelKind::YoutubeDnn, &["loss=sampled", "negatives=50", "logq=all", "item_table=separate"]),
    (ModelKind::YoutubeDnn, &["loss=list", "negatives=4", "normalize=false", "temperature=1", "optimizer=sgd"]),
];
