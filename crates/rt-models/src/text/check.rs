//! The text model's step checked against finite differences.

use super::config::{TextConfig, TextLoss};
use super::pairs::{Pairs, SplitBy, TextSplit};
use super::tower::record_gradients;
use super::train::Prepared;
use crate::Result;
use rt_tensor::{Device, OpCheck, Step, Store, check_gradients};
use std::path::Path;

/// Pairs of the check.
const PAIRS: &str = "red shoe\tShoes, red\nshoes\tShoes, red\ngreen shoe\tShoes, green\ngreen\tHats, green\n\
                     green hat\tHats, green\nblue hat\tHats, blue\nhats\tHats, blue\nbleu\tHats, blue\nsock\tSocks\n\
                     socks\tSocks\nhats\tSocks\t0\n";

/// Holds the gradients of the whole training step of `dssm-text`, for both losses, with one tower and with two, against
/// central differences of the f64 reference.
///
/// # Errors
///
/// Whatever recording, compiling and running give.
pub fn check_text(device: &Device, seed: u64) -> Result<Vec<OpCheck>> {
    let pairs = Pairs::parse("check", PAIRS.as_bytes(), Path::new("check.tsv"))?;
    let mut split = TextSplit::new(&pairs, SplitBy::Pairs, seed);
    split.train = (0..pairs.clicked.len() as u32).collect();
    let mut checks = Vec::new();
    for (loss, shared_towers) in [(TextLoss::InBatch, true), (TextLoss::InBatch, false), (TextLoss::List, false)] {
        let config = TextConfig {
            batch: 7,
            hidden: vec![6, 5],
            dim: 4,
            skip: true,
            shared_towers,
            dropout: 0.2,
            init_std: 0.5,
            temperature: 0.5,
            loss,
            negatives: 3,
            ..TextConfig::new()
        };
        let data = Prepared::new(&config, &pairs, &split);
        let tape = record_gradients(&config, &data.sizes())?;
        let store = Store::new(device, tape.params(), seed)?;
        data.upload(&store, &config)?;
        if loss == TextLoss::List {
            store.put_u32("negatives", &data.negatives(&config, &pairs, seed, 1))?;
        }
        // Two rows of padding.
        let check = check_gradients(&tape, &store, &Step::new(2, seed, 3, 5), 12, |_| Ok(()))?;
        let towers = if shared_towers { "one tower" } else { "two towers" };
        checks.push(OpCheck { op: format!("{} ({loss:?} loss, {towers})", super::NAME).to_lowercase(), check });
    }
    Ok(checks)
}
