//! Whole models checked against finite differences: every loss of both models, on small data.

use crate::Result;
use crate::config::{Config, LogQ, Loss, ModelKind, Switch};
use crate::losses::{self, Sizes};
use crate::schema::Schema;
use rt_data::{SplitKind, SplitOptions, Synthetic, split};
use rt_tensor::{Device, OpCheck, Step, Store, check_gradients};

/// Holds the gradients of each model's whole training step, for every loss, against central differences of the f64
/// reference.
///
/// # Errors
///
/// Whatever recording, compiling and running give.
pub fn check_models(device: &Device, seed: u64) -> Result<Vec<OpCheck>> {
    let (data, _) = Synthetic::parse("synthetic:users=12,items=20,events=8")?.generate();
    let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default())?;
    let options: [&[&str]; 2] = [
        &["symmetric=true", "learn_temperature=true", "label_smoothing=0.1"],
        &["mixed=6", "queue=2", "mask_own=true", "hard_negatives=7", "hard_from=2"],
    ];
    let losses = [Loss::InBatch, Loss::Full, Loss::Sampled, Loss::List, Loss::Pointwise];
    let mut checks = Vec::new();
    for kind in [ModelKind::Dssm, ModelKind::YoutubeDnn] {
        let corrections = [LogQ::Negatives, LogQ::Off, LogQ::All, LogQ::Negatives, LogQ::Off];
        let plain = losses.into_iter().zip(corrections).map(|(loss, logq)| (loss, logq, &[][..]));
        for (loss, logq, options) in plain.chain(options.map(|o| (Loss::InBatch, LogQ::Negatives, o))) {
            let mut config = Config::new(kind);
            config.batch = 9;
            config.dim = 6;
            config.windows = vec![1, 3, 5];
            config.history = 5;
            config.user_hidden = vec![7];
            config.item_hidden = if kind == ModelKind::Dssm { vec![5] } else { Vec::new() };
            config.activation = crate::Hidden::Tanh; // no kinks for the differences to fall on
            config.user_id = Switch::On;
            config.init_std = 0.5;
            config.temperature = 0.5;
            config.negatives = 4;
            config.loss = loss;
            config.logq = logq;
            for pair in options {
                config.set_pair(pair)?;
            }
            let config = config.resolve(&data, &split)?;
            let schema = Schema::new(&config, &data, false, 0);
            let sizes = Sizes { examples: split.examples.len(), events: data.event_item.len() };
            let (tape, value) = losses::record_gradients(&config, &schema, &sizes)?;
            let store = Store::new(device, tape.params(), seed)?;
            let trained: Vec<bool> = split.train_end.iter().zip(&data.user_start).map(|(e, s)| e > s).collect();
            schema.upload(&store, &data, &trained)?;
            losses::upload(&store, &config, &schema, &data, &split)?;
            // Two rows of padding: the last of nine examples and one more are left out.
            let parameters = check_gradients(&tape, value, &store, &Step::new(2, seed, 3, 7), 12, |_| Ok(()))?;
            checks.push(OpCheck {
                op: [&[&format!("{} ({loss:?} loss, logQ {logq:?})", kind.name()).to_lowercase()[..]], options]
                    .concat()
                    .join(" "),
                parameters,
            });
        }
    }
    Ok(checks)
}
