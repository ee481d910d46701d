//! Training as a whole: same bits, CPU against GPU, padding, replay, saved models, bad input.

mod adam;
mod columns;
mod determinism;
#[cfg(feature = "gpu")]
mod dispatches;
mod examples;
mod extend;
mod features;
mod finite;
mod fresh;
mod half;
mod history;
mod negatives;
mod optimizer;
mod options;
mod padding;
mod probability;
mod quality;
#[cfg(feature = "gpu")]
mod replay;
mod retrieval;
mod saved;
mod searches;
mod serving;
#[cfg(feature = "gpu")]
mod slabs;
mod text;
mod watch;

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
    let (model, report) = train(device, config, data, &split, seed, &mut |_| ControlFlow::Continue(())).unwrap();
    // Every id of a model is proven where the host writes: a step checks none.
    assert!(!report.launches.iter().any(|name| name.starts_with("check_ids")), "{config:?}: {:?}", report.launches);
    (model, report)
}

/// Mined negatives, every fourth step, often enough to be seen.
const MINED: &[&str] =
    &["loss=list", "negatives=4", "exclude_own=on", "mine=2", "mine_every=4", "mine_ranks=5,20", "mine_share=4"];

/// A name, a model, and settings for each loss.
const LOSSES: &[(ModelKind, &[&str])] = &[
    (ModelKind::Dssm, &["loss=in-batch"]),
    (ModelKind::Dssm, &["loss=in-batch", "logq=all", "mask_hits=false", "optimizer=adagrad"]),
    (ModelKind::Dssm, &["loss=pointwise", "activation=prelu"]),
    (ModelKind::Dssm, &["loss=sampled", "negatives=50", "sampler=uniform", "skip=false"]),
    (ModelKind::YoutubeDnn, &["loss=full"]),
    (ModelKind::YoutubeDnn, &["loss=sampled", "negatives=50", "logq=all", "item_table=separate"]),
    (ModelKind::YoutubeDnn, &["loss=list", "negatives=4", "normalize=false", "temperature=1", "optimizer=sgd"]),
    // DSSM as published: softmax over the clicked document and 4 random ones that the user did not click.
    (ModelKind::Dssm, &["loss=list", "sampler=uniform", "negatives=4", "logq=off", "exclude_own=true"]),
    (ModelKind::Dssm, &["loss=bpr", "sampler=zipf", "exclude_own=true"]),
    (ModelKind::YoutubeDnn, &["loss=hinge", "margin=2", "sampler=log", "mask_hits=false"]),
    (ModelKind::YoutubeDnn, MINED),
    (
        ModelKind::Dssm,
        &["loss=pointwise", "exclude_own=true", "subsample=0.01", "examples_per_user=14", "user_weight=1"],
    ),
    (ModelKind::Dssm, &["frequency=stream", "frequency_rate=0.1", "frequency_hashes=2", "frequency_slots=64"]),
    (
        ModelKind::Dssm,
        &[
            "loss=list",
            "negatives=4",
            "norm=batch",
            "ema=0",
            "activation=gelu",
            "user_hidden=24,24",
            "residual=true",
            "senet=true",
            "user_id_dropout=0.2",
            "item_id_dropout=0.2",
            "hash_items=60",
        ],
    ),
    (
        ModelKind::YoutubeDnn,
        &[
            "norm=layer",
            "example_age=true",
            "hash_rows=40",
            "hash_functions=2",
            "numbers=quantile",
            "cross=country*age",
            "hash_crosses=20",
            "weight_decay=0.01",
        ],
    ),
    (ModelKind::Dssm, &["loss=in-batch", "pool=max", "position_heads=2"]),
    // Every layer as torch-rechub's: linear, batch norm, activation; all embeddings narrower than the vectors.
    (
        ModelKind::Dssm,
        &[
            "loss=pointwise",
            "norm=batch",
            "ema=0",
            "activation=prelu",
            "last_activation=prelu",
            "column_dims=item_id=6,user_id=5,*=3",
        ],
    ),
    (
        ModelKind::YoutubeDnn,
        &["loss=sampled", "negatives=50", "item_table=separate", "last_activation=relu", "column_dims=item_id=12"],
    ),
    (
        ModelKind::YoutubeDnn,
        &["loss=full", "zones=true", "pool=sum", "decay_heads=2", "hash_items=50", "hash_functions=2"],
    ),
];
