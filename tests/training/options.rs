//! Options of the loss: each changes training, gives the same bits for any number of threads, trains on a GPU as on the CPU, and
//! sees no padding.

use super::{config, data, fit};
use approx::abs_diff_eq;
use rt_kernels::Target;
use rt_models::{Config, ModelKind, StepBench, StepSizes, train};
use rt_tests::devices;
use std::ops::ControlFlow;

/// A loss, and options that go with it. Dropout is off where a test compares batches of two sizes: what follows the batch in the
/// item tower stands in other rows, and draws are numbered by rows.
const OPTIONS: &[(ModelKind, &[&str], &[&str])] = &[
    (ModelKind::Dssm, &["loss=in-batch"], &["label_smoothing=0.1"]),
    (ModelKind::YoutubeDnn, &["loss=full"], &["label_smoothing=0.2"]),
    (ModelKind::YoutubeDnn, &["loss=list", "negatives=4"], &["label_smoothing=0.1"]),
    (ModelKind::Dssm, &["loss=sampled", "negatives=50"], &["learn_temperature=true"]),
    (ModelKind::Dssm, &["loss=pointwise"], &["learn_temperature=true"]),
    (ModelKind::Dssm, &["loss=in-batch"], &["symmetric=true"]),
    (ModelKind::Dssm, &["loss=in-batch"], &["mask_own=true"]),
    (ModelKind::YoutubeDnn, &["loss=full"], &["mask_own=true"]),
    (ModelKind::YoutubeDnn, &["loss=full"], &["hard_negatives=20"]),
    (ModelKind::Dssm, &["loss=sampled", "negatives=50"], &["hard_negatives=10", "hard_from=5"]),
    (ModelKind::Dssm, &["loss=in-batch"], &["mixed=40"]),
    (ModelKind::Dssm, &["loss=in-batch", "logq=all"], &["queue=2"]),
    (ModelKind::YoutubeDnn, &["loss=in-batch"], &["queue=2", "mixed=30", "mask_own=true", "hard_negatives=60"]),
    (ModelKind::Dssm, &["loss=in-batch"], &["accumulate=2"]),
    (ModelKind::Dssm, &["loss=hinge", "negatives=40"], &["negatives_shared=true"]),
    (ModelKind::YoutubeDnn, &["loss=pointwise"], &["negatives_shared=true"]),
    (ModelKind::Dssm, &["loss=list", "negatives=3"], &["accumulate=3", "exclude_own=true"]),
    (ModelKind::YoutubeDnn, &["loss=in-batch", "mixed=20"], &["accumulate=2", "mask_own=true", "norm=layer"]),
    (ModelKind::Dssm, &["loss=in-batch"], &["symmetric=true", "learn_temperature=true", "label_smoothing=0.05"]),
];

fn with(kind: ModelKind, settings: &[&str], options: &[&str]) -> Config {
    let mut config = config(kind, &[settings, options].concat());
    config.check().unwrap();
    config.patience = 1;
    // The data is too small for defaults that read it: few steps under much noise need not lower a loss.
    config.temperature.get_or_insert(0.1);
    config.dropout.get_or_insert(0.1);
    config.history_dropout.get_or_insert(0.1);
    config
}

#[test]
fn each_changes_training_and_keeps_its_bits() {
    for (kind, settings, options) in OPTIONS {
        let (plain, config) = (with(*kind, settings, &[]), with(*kind, settings, options));
        let one = fit(&devices()[0], &config, 3).0.sha256().unwrap();
        assert_eq!(one, fit(&devices()[1], &config, 3).0.sha256().unwrap(), "{options:?}: threads change bits");
        let (_, report) = fit(&devices()[0], &config, 3);
        let (_, before) = fit(&devices()[0], &plain, 3);
        assert_ne!(report.loss, before.loss, "{kind:?} {options:?} changes nothing");
        let fell = report.loss[report.loss.len() - 1] < report.loss[0] || options.contains(&"queue=2");
        assert!(fell, "{kind:?} {options:?}: the loss rises: {:?}", report.loss);
    }
}

#[test]
fn losses_of_the_gpu_are_those_of_the_cpu() {
    for (kind, settings, options) in OPTIONS {
        let mut config = with(*kind, settings, options);
        config.batch = 64;
        let (_, cpu) = fit(&devices()[0], &config, 11);
        for device in devices().iter().filter(|d| d.target() == Target::Gpu) {
            let (_, gpu) = fit(device, &config, 11);
            for (step, (a, b)) in cpu.loss.iter().zip(&gpu.loss).take(20).enumerate() {
                assert!(
                    abs_diff_eq!(a, b, epsilon = 1e-3 * a.abs()),
                    "{device:?} {options:?}, step {}: {a} and {b}",
                    step + 1
                );
            }
        }
    }
}

#[test]
fn padding_changes_nothing() {
    let (data, mut split) = data();
    split.examples.truncate(40);
    split.valid.clear();
    for (kind, settings, options) in OPTIONS {
        let run = |batch: &str| {
            let mut config = with(*kind, settings, options);
            for pair in ["dropout=0", "history_dropout=0"] {
                config.set_pair(pair).unwrap();
            }
            config.set("batch", batch).unwrap();
            let device = &devices()[0];
            let (_, report) =
                train(device, &config, data.clone(), &split, 9, &mut |_| ControlFlow::Continue(())).unwrap();
            report.loss[0]
        };
        let (a, b) = (run("40"), run("64"));
        assert!(abs_diff_eq!(a, b, epsilon = 1e-5 * a.abs()), "{kind:?} {options:?}: {a} and {b}");
    }
}

/// A queue wider than all steps of the run holds what it got and no more: as many batches as a queue that is never full.
#[test]
fn an_empty_queue_is_left_out_exactly() {
    let first = |options: &[&str]| fit(&devices()[0], &with(ModelKind::Dssm, &["loss=in-batch"], options), 3).1.loss;
    let (none, short, long) = (first(&[]), first(&["queue=2"]), first(&["queue=50"]));
    assert!(
        abs_diff_eq!(none[0], short[0], epsilon = 1e-5) && abs_diff_eq!(none[0], long[0], epsilon = 1e-5),
        "the first step has no queue"
    );
    assert!(abs_diff_eq!(short[2], long[2], epsilon = 1e-4 * short[2].abs()), "two batches are there in both");
    assert!((short[3] - long[3]).abs() > 1e-3, "a third batch is there in one alone");
}

#[test]
fn a_learned_temperature_moves_is_told_and_saved() {
    let settings = ["learn_temperature=true", "temperature=1", "epochs=3"];
    let (model, report) = fit(&devices()[0], &with(ModelKind::Dssm, &["loss=in-batch"], &settings), 3);
    let learned = report.temperature.unwrap();
    assert!((0.01..0.99).contains(&learned), "cosines need a larger scale than 1: {learned}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    model.save(&path).unwrap();
    let loaded = rt_models::Model::load(&devices()[0], &path).unwrap();
    assert_eq!(model.store().get("log_scale").unwrap(), loaded.store().get("log_scale").unwrap());
    assert_eq!(model.config(), loaded.config());
}

#[test]
fn what_does_not_go_together_is_refused_by_name() {
    for (kind, settings, names) in [
        (ModelKind::Dssm, &["label_smoothing=1.5"][..], &["label_smoothing", "0 to 1"][..]),
        (
            ModelKind::Dssm,
            &["loss=pointwise", "label_smoothing=0.1"],
            &["label_smoothing", "loss = pointwise", "in-batch"],
        ),
        (ModelKind::YoutubeDnn, &["symmetric=true"], &["symmetric", "loss = full", "loss = in-batch"]),
        (ModelKind::Dssm, &["symmetric=true", "mixed=5"], &["symmetric", "mixed = 5"]),
        (ModelKind::Dssm, &["symmetric=true", "mask_own=true"], &["symmetric", "mask_own"]),
        (ModelKind::Dssm, &["loss=list", "mask_own=true"], &["mask_own", "loss = list"]),
        (ModelKind::Dssm, &["loss=list", "hard_negatives=3"], &["hard_negatives", "loss = list"]),
        (ModelKind::Dssm, &["hard_from=3"], &["hard_from", "hard_negatives"]),
        (ModelKind::Dssm, &["hard_from=0"], &["hard_from", "at least 1"]),
        (ModelKind::Dssm, &["loss=sampled", "mixed=3"], &["mixed", "loss = sampled"]),
        (ModelKind::Dssm, &["loss=full", "queue=3"], &["queue", "loss = full"]),
        (ModelKind::Dssm, &["queue=99999999"], &["queue", "candidates"]),
        (ModelKind::Dssm, &["learn_temperature=true", "temperature=0.001"], &["temperature", "learn_temperature"]),
    ] {
        let error = config(kind, settings).check().unwrap_err().to_string();
        for name in names {
            assert!(error.contains(name), "{settings:?}: `{name}` is not in: {error}");
        }
    }
}

#[test]
fn settings_that_would_leak_or_train_nothing_are_refused() {
    let (data, split) = super::data();
    for (settings, what) in [
        (&["label=heldout", "decay_heads=1"][..], "the target's own time"),
        (&["label=heldout", "session=60"], "no running session"),
        (&["hard_negatives=400", "hard_from=128"], "a row has at most 127 negatives"),
        (&["loss=sampled", "negatives=20", "hard_negatives=5", "hard_from=21"], "at most 20 negatives"),
        (&["norm=batch"], "set ema = 0"),
    ] {
        let config = config(ModelKind::Dssm, settings);
        let error = rt_models::Model::new(&devices()[0], &config, data.clone(), &split, 1).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains(what), "{settings:?}: {error}");
    }
    // With a held-out label the session's default is none.
    let (model, _) = fit(&devices()[0], &config(ModelKind::Dssm, &["label=heldout"]), 1);
    assert_eq!(model.config().session_seconds(), 0);
}

#[test]
fn a_cosine_ends_at_its_floor_whatever_an_epoch_leaves_out() {
    for more in [&["epochs=3"][..], &["epochs=40", "max_steps=32"], &["epochs=3", "examples_per_user=3"]] {
        let settings = ["loss=in-batch", "batch=16", "schedule=cosine", "lr=0.01", "lr_floor=0.1", "patience=50"];
        let config = config(ModelKind::Dssm, &[&settings, more].concat());
        let (data, split) = data();
        let mut last = [0.0; 2];
        let mut look = |p: &rt_models::Progress<'_>| {
            last = p.rates;
            ControlFlow::Continue(())
        };
        train(&devices()[0], &config, data, &split, 3, &mut look).unwrap();
        assert!(abs_diff_eq!(last[0], 0.001, epsilon = 2e-5), "{more:?}: {last:?}");
    }
}

#[test]
fn accumulated_batches_are_one_large_batch_in_the_memory_of_a_small_one() {
    // Every example's loss is its own, and nothing is drawn: only the order of sums differs. 150 users do not fill the last step.
    for (kind, settings) in [(ModelKind::YoutubeDnn, "loss=full"), (ModelKind::Dssm, "loss=full")] {
        let plain = [settings, "dropout=0", "history_dropout=0", "ema=0", "optimizer=sgd", "lr=0.5"];
        let whole = config(kind, &[&plain[..], &["batch=192"]].concat());
        let parts = config(kind, &[&plain[..], &["batch=48", "accumulate=4"]].concat());
        let [(_, one), (_, many)] = [&whole, &parts].map(|config| fit(&devices()[1], config, 3));
        assert_eq!(one.loss.len(), many.loss.len());
        for (step, (a, b)) in one.loss.iter().zip(&many.loss).enumerate() {
            assert!(abs_diff_eq!(a, b, epsilon = 2e-5 * a.abs()), "{kind:?}, step {}: {a} and {b}", step + 1);
        }
        assert!(one.loss[one.loss.len() - 1] < one.loss[0]);
    }
    let bytes = |settings: &[&str]| {
        let config = config(
            ModelKind::Dssm,
            &[&["loss=in-batch", "user_hidden=512,256", "item_hidden=256", "optimizer=sgd"], settings].concat(),
        );
        let sizes = StepSizes { users: 1000, items: 5000, active_items: 0, user_columns: false };
        StepBench::new(&devices()[0], &config, sizes, 1).unwrap().program().temporary_bytes()[0]
    };
    let (large, parts) = (bytes(&["batch=2048"]), bytes(&["batch=256", "accumulate=8"]));
    // What stays of every part: the rows of the gradient, and the ids.
    assert!(parts * 2 < large, "{parts} bytes for eight parts, {large} for a batch of all");
}
