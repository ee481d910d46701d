//! Whole models checked against finite differences: every loss of both models, on small data.

use crate::Result;
use crate::config::{Config, LogQ, Loss, ModelKind, Norm, Switch};
use crate::losses::{self, Sizes};
use crate::schema::Schema;
use rt_data::{Dataset, Split, SplitKind, SplitOptions, Synthetic, split};
use rt_tensor::{Device, OpCheck, Step, Store, check_gradients};
use std::sync::Arc;

/// Holds the gradients of each model's whole training step, for every loss, against central differences of the f64
/// reference.
///
/// # Errors
///
/// Whatever recording, compiling and running give.
pub fn check_models(device: &Device, seed: u64) -> Result<Vec<OpCheck>> {
    let (data, _) = Synthetic::parse("synthetic:users=12,items=20,events=8")?.generate();
    let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default())?;
    let losses = [Loss::InBatch, Loss::Full, Loss::Sampled, Loss::List, Loss::Pointwise, Loss::Bpr, Loss::Hinge];
    let options: [&[&str]; 5] = [
        &["last_activation=tanh", "column_dims=user_id=3,country=2"],
        &["loss=bpr", "negatives_shared=true"],
        &["batch=4", "accumulate=2", "mixed=5"],
        &["symmetric=true", "learn_temperature=true", "label_smoothing=0.1"],
        &["mixed=6", "queue=2", "mask_own=true", "hard_negatives=7", "hard_from=2"],
    ];
    let mut checks = Vec::new();
    let logq = [LogQ::Negatives, LogQ::Off, LogQ::All, LogQ::Negatives, LogQ::Off, LogQ::Off, LogQ::Off];
    for kind in [ModelKind::Dssm, ModelKind::YoutubeDnn] {
        for (loss, logq) in losses.into_iter().zip(logq) {
            let mut config = small(kind, loss);
            config.logq = logq;
            checks.push(check(device, config, &data, &split, seed)?);
        }
        for settings in options {
            let mut config = small(kind, Loss::InBatch);
            for pair in settings {
                config.set_pair(pair)?;
            }
            let made = check(device, config, &data, &split, seed)?;
            checks.push(OpCheck { op: format!("{} {}", made.op, settings.join(" ")), ..made });
        }
    }
    // Parts of towers that are off by default, with every kind of rows that batch normalisation meets.
    for (kind, loss, norm) in [
        (ModelKind::Dssm, Loss::InBatch, Norm::Batch),
        (ModelKind::Dssm, Loss::List, Norm::Batch),
        (ModelKind::YoutubeDnn, Loss::Full, Norm::Layer),
    ] {
        let mut config = small(kind, loss);
        config.norm = norm;
        config.ema = if norm == Norm::Batch { 0.0 } else { config.ema };
        config.activation = crate::Hidden::Gelu;
        if loss != Loss::InBatch {
            config.last_activation = Some(crate::Hidden::Gelu);
        }
        if kind == ModelKind::Dssm {
            config.column_dims = vec![("item_id".into(), 5)];
        }
        config.user_hidden = Some(vec![7, 7]);
        (config.residual, config.senet, config.example_age) = (true, true, true);
        config.user_id_dropout = 0.3;
        config.item_id_dropout = if kind == ModelKind::Dssm { 0.3 } else { 0.0 };
        (config.hash_rows, config.hash_items, config.hash_functions) = (5, 9, 2);
        config.cross = "country*country".into();
        config.hash_crosses = 4;
        checks.push(check(device, config, &data, &split, seed)?);
    }
    let (data, _) = Synthetic::parse("synthetic:users=12,items=20,events=8,searches=6")?.generate();
    let mut config = small(ModelKind::YoutubeDnn, Loss::Sampled);
    (config.searches, config.search_dim) = (Some(3), 4);
    let made = check(device, config, &data, &split, seed)?;
    checks.push(OpCheck { op: format!("{} searches=3", made.op), ..made });
    Ok(checks)
}

fn small(kind: ModelKind, loss: Loss) -> Config {
    let mut config = Config::new(kind);
    config.batch = 9;
    config.dim = 6;
    config.windows = vec![1, 3, 5];
    config.history = 5;
    config.user_hidden = Some(vec![7]);
    config.item_hidden = if kind == ModelKind::Dssm { vec![5] } else { Vec::new() };
    config.activation = crate::Hidden::Tanh; // no kinks for the differences to fall on
    config.user_id = Switch::On;
    config.init_std = 0.5;
    config.temperature = Some(0.5);
    config.negatives = 4;
    config.loss = loss;
    config.exclude_own = matches!(loss, Loss::Pointwise | Loss::Bpr);
    config.user_weight = loss == Loss::Hinge;
    config
}

/// One training step of a model, on the CPU or a GPU.
fn check(device: &Device, config: Config, data: &Dataset, split: &Split, seed: u64) -> Result<OpCheck> {
    let config = config.resolve(data, split)?;
    let mut schema = Schema::new(&config, data, false, 0).of_training(data, split);
    schema.extra.item_ids = crate::features::item_ids(&config, data, split);
    let searches = crate::searches::of_training(&config, data, split, None)?;
    schema.searches = searches.as_ref().map(|s| crate::searches::SearchShape::new(&config, s, data));
    let sizes = Sizes { examples: split.examples.len(), events: data.event_item.len() };
    let tape = losses::record_gradients(&config, &schema, &sizes)?;
    let store = Store::new(device, tape.params(), seed)?;
    let trained: Vec<bool> = split.train_end.iter().zip(&data.user_start).map(|(e, s)| e > s).collect();
    schema.upload(&store, data, &trained)?;
    losses::upload(&store, &config, &schema, &Arc::new(data.clone()), split)?;
    crate::searches::upload(&store, &config, searches.as_ref(), data)?;
    // Two rows of padding: the last of nine examples and one more are left out.
    let checked = check_gradients(&tape, &store, &Step::new(2, seed, 3, 7), 12, |_| Ok(()))?;
    let norm = if config.norm == Norm::None { String::new() } else { format!(", {:?} norm", config.norm) };
    let op = format!("{} ({:?} loss, logQ {:?}{norm})", config.model.name(), config.loss, config.logq).to_lowercase();
    Ok(OpCheck { op, check: checked })
}
