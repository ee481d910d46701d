//! Probabilities of recommended items.

use super::{config, data, fit};
use approx::abs_diff_eq;
use rt_data::Dataset;
use rt_models::{Model, ModelKind, Query};
use rt_tests::devices;

#[test]
fn probabilities_are_a_softmax_over_what_may_be_recommended() {
    let (data, _) = data();
    for (learned, settings) in
        [(false, &["temperature=0.2"][..]), (true, &["temperature=0.2", "learn_temperature=true"])]
    {
        let (model, report) = fit(&devices()[0], &config(ModelKind::Dssm, settings), 2);
        assert_eq!(report.temperature.is_some(), learned);
        let temperature = report.temperature.unwrap_or(0.2);
        assert_eq!(temperature != 0.2, learned, "training moves a learned temperature");
        softmax(&model, &data, temperature.into());
    }
}

fn softmax(model: &Model, data: &Dataset, temperature: f64) {
    let user = 7;
    let history = data.event_item[data.events_of(user)].to_vec();
    let query = Query {
        user,
        history: &history,
        context: &model.default_context(),
        times: &model.times_of(user),
        ..Query::default()
    };
    for exclude in [&history[..], &[]] {
        let all = model.recommend(&query, exclude, usize::MAX).unwrap();
        let items: Vec<u32> = all.iter().map(|r| r.item).collect();
        let p = model.probabilities(&query, exclude, &items).unwrap();
        assert!(abs_diff_eq!(p.iter().sum::<f64>(), 1.0, epsilon = 1e-9), "they sum to one");
        // Best first, and their quotients are those of the scores over the temperature.
        for (a, b) in [(0, 1), (0, all.len() - 1), (3, 20)] {
            let want = (f64::from(all[a].score - all[b].score) / temperature).exp();
            assert!(
                abs_diff_eq!(p[a] / p[b], want, epsilon = 1e-4 * want),
                "{a} and {b}: {} is not {want}",
                p[a] / p[b]
            );
        }
        let left_out = model.probabilities(&query, exclude, &[0, 1_000_000]).unwrap();
        assert_eq!(left_out, [0.0, 0.0], "padding and what is no item");
    }
    assert_eq!(model.probabilities(&query, &history, &history[..1]).unwrap(), [0.0], "an excluded item");
}
