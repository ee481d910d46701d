//! Losses that are looked at while an epoch runs: no step waits for them, and one that is no number ends training soon.

use super::{config, data};
use rt_models::{Config, ModelKind, train};
use rt_tests::devices;
use std::ops::ControlFlow;

/// The steps between two looks.
const EVERY: usize = 64;

fn small(batch: &str, settings: &[&str]) -> Config {
    config(ModelKind::Dssm, &[&["dropout=0", "ema=0", "session=0", batch], settings].concat())
}

#[cfg(feature = "gpu")]
#[test]
fn waits_do_not_grow_with_the_steps() {
    for device in &devices()[2..] {
        let rt_models::Device::Gpu(gpu) = device else { panic!("{device:?}: devices after the first two are GPUs") };
        let waits = |batch: &str| -> (u64, rt_models::TrainReport) {
            let before = gpu.counters().waits;
            let (_, report) = super::fit(device, &small(batch, &[]), 3);
            (gpu.counters().waits - before, report)
        };
        let ((few, short), (many, long)) = (waits("batch=512"), waits("batch=8"));
        assert!(
            short.loss.len() < EVERY && long.loss.len() == 100,
            "{} and {} losses",
            short.loss.len(),
            long.loss.len()
        );
        assert_eq!(few, many, "{device:?}: an epoch of few steps and one of many wait as often");
    }
}

#[test]
fn a_loss_that_is_no_number_ends_training_within_the_epoch() {
    let (data, split) = data();
    let settings = small("batch=4", &["lr=1e30", "epochs=1"]);
    let steps = split.examples.len() / 4;
    assert!(steps > 6 * EVERY, "{steps} steps");
    let mut said = Vec::new();
    for device in devices() {
        let mut seen = 0;
        let progress = &mut |at: &rt_models::Progress<'_>| {
            seen = at.step;
            ControlFlow::Continue(())
        };
        let Err(error) = train(device, &settings, data.clone(), &split, 1, progress) else {
            panic!("{device:?}: no training goes so fast")
        };
        let error = error.to_string();
        assert!(error.contains("in epoch 1, step"), "{device:?}: {error}");
        // The step that fails, the look after it, and what a device that runs behind is given meanwhile.
        assert!(seen <= 3 * EVERY, "{device:?}: {seen} steps were run: {error}");
        said.push(error);
    }
    assert_eq!(said[0], said[1], "the same loss and step on any number of threads");
}
