//! Training learns: models beat the baselines on built-in data, and stop where validation says.

use super::{config, data};
use rt_data::Mask;
use rt_models::eval::{Popularity, figures};
use rt_models::{Error, ModelKind, ModelScorer, evaluate, train};
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

#[test]
fn a_callback_can_stop_and_a_diverging_loss_is_an_error() {
    let (data, split) = data();
    let device = &devices()[0];
    let small = config(ModelKind::Dssm, &[]);
    let stopped = train(device, &small, data.clone(), &split, 1, &mut |_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(Error::Stopped)));
    let wild = config(ModelKind::YoutubeDnn, &["lr=1e30", "optimizer=sgd", "normalize=false", "epochs=3"]);
    let error = train(device, &wild, data, &split, 1, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("smaller lr"), "{error}");
    assert_eq!(error.exit_code(), 1);
}
