//! Training learns: models beat the baselines on built-in data, and stop where validation says.

use super::{config, data};
use rt_data::{Mask, Split};
use rt_models::eval::{Popularity, figures};
use rt_models::{ModelKind, ModelScorer, Progress, evaluate, train};
use rt_tests::devices;
use std::ops::ControlFlow;

#[test]
fn both_models_beat_most_popular_after_a_few_epochs() {
    let (data, split) = data();
    let device = &devices()[1];
    let hr = |scorer: &dyn rt_models::eval::Scorer| {
        let ranks = evaluate(device, &data, &split.test, scorer, &[Mask::History]).unwrap();
        figures(&ranks[0]).0.get("HR@10").unwrap()
    };
    let popular = hr(&Popularity::new(&data, &split));
    for kind in [ModelKind::Dssm, ModelKind::YoutubeDnn] {
        let config = config(kind, &["epochs=8", "lr=5e-3"]);
        let mut seen = Vec::new();
        let mut watch = |p: &rt_models::Progress| {
            if p.loss.is_some() {
                seen.push((p.epoch, p.valid));
            }
            ControlFlow::Continue(())
        };
        let (model, report) = train(device, &config, data.clone(), &split, 1, &mut watch).unwrap();
        assert_eq!(seen.len(), report.epochs);
        assert!(report.loss_epochs.last() < report.loss_epochs.first(), "the loss falls: {:?}", report.loss_epochs);
        let best = report.valid.iter().copied().fold(f64::MIN, f64::max);
        assert_eq!(report.valid[report.best_epoch - 1], best, "the best epoch is the best");
        let context = model.event_context(&data);
        let own = hr(&ModelScorer::new(&model, &data, &context));
        assert!(own > 1.3 * popular, "{kind:?}: {own} against {popular}");
    }
}

/// The best weights so far are the model; before the first validation they are those of the last step, or its averages.
#[test]
fn a_callback_can_stop_and_keeps_the_best_so_far() {
    let (data, split) = data();
    let device = &devices()[0];
    let mut without = split.clone();
    without.valid.clear();
    let weights = |model: &rt_models::Model| model.sha256().unwrap();
    for settings in [&["ema=0", "batch=128"][..], &["ema=0.9", "batch=128"]] {
        let run = |epochs: &str, split: &Split, stop: &dyn Fn(&Progress<'_>) -> bool| {
            let settings: Vec<&str> = settings.iter().copied().chain([epochs, "patience=99"]).collect();
            let flow = |p: &Progress<'_>| if stop(p) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            train(device, &config(ModelKind::Dssm, &settings), data.clone(), split, 1, &mut { flow }).unwrap()
        };
        // After an epoch, and in the middle of the one after it.
        let (whole, report) = run("epochs=2", &split, &|_| false);
        assert!(!report.interrupted);
        for stop in
            [&(|p: &Progress<'_>| p.epoch == 2 && p.loss.is_some()) as &dyn Fn(&Progress<'_>) -> bool, &|p| p.epoch > 2]
        {
            let (model, stopped) = run("epochs=9", &split, stop);
            assert!(stopped.interrupted && stopped.epochs == 2, "{stopped:?}");
            assert_eq!(stopped.best_epoch, report.best_epoch);
            assert_eq!(weights(&model), weights(&whole), "{settings:?}");
        }
        // Nothing was judged: the callback is asked after 16 steps at the latest.
        let (model, stopped) = run("epochs=9", &split, &|_| true);
        let steps = stopped.loss.len();
        assert!(stopped.interrupted && stopped.best_epoch == 0 && stopped.epochs == 0, "{stopped:?}");
        assert!((1..=16).contains(&steps), "{stopped:?}");
        let (same, _) = run(&format!("max_steps={steps}"), &without, &|_| false);
        assert_eq!(weights(&model), weights(&same), "{settings:?}");
    }
}

#[test]
fn a_diverging_loss_is_an_error() {
    let (data, split) = data();
    let device = &devices()[0];
    let wild = config(ModelKind::YoutubeDnn, &["lr=1e30", "optimizer=sgd", "normalize=false", "epochs=3"]);
    let error = train(device, &wild, data, &split, 1, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("smaller lr"), "{error}");
    assert_eq!(error.exit_code(), 1);
}
