//! Ways to pool the history: every one learns, is saved, and sees past times alone.

use super::{config, data, fit};
use rt_models::{Model, ModelKind, ModelScorer, Query, train};
use rt_tests::devices;
use std::ops::ControlFlow;
use std::sync::Arc;

const DECAY: &[&str] = &["position_heads=2", "decay_heads=2"];

#[test]
fn every_way_makes_another_tower_and_lowers_the_loss() {
    let ways: &[&[&str]] = &[
        &[],
        &["zones=true"],
        &["pool=sum"],
        &["pool=max"],
        &["pool=max", "zones=true"],
        &["position_heads=3"],
        &["decay_heads=1"],
    ];
    let mut seen = Vec::new();
    for settings in ways {
        let settings: Vec<&str> = settings.iter().copied().chain(["epochs=3", "patience=3"]).collect();
        let (model, report) = fit(&devices()[1], &config(ModelKind::YoutubeDnn, &settings), 3);
        let epochs = &report.loss_epochs;
        assert!(epochs[2] < epochs[0], "{settings:?}: {epochs:?}");
        let sha = model.sha256().unwrap();
        assert!(!seen.contains(&sha), "{settings:?} changes nothing");
        seen.push(sha);
    }
}

#[test]
fn heads_start_from_steep_to_flat_and_learn() {
    let (model, _) = fit(&devices()[0], &config(ModelKind::Dssm, &["position_heads=3", "decay_heads=2"]), 1);
    let start = |name: &str| {
        let params = model.store().params();
        let number = params.find(name).unwrap();
        params.list()[number].initial(1, number)
    };
    let scores = start("history.position");
    assert_eq!(scores[..3], [0.0, -1.0, -2.0], "the first head falls by one a position");
    assert_eq!(scores[20..23], [0.0, -0.125, -0.25], "the second by 1 / 2^3");
    assert_eq!(scores[40..43], [0.0, -1.0 / 64.0, -1.0 / 32.0], "the last by 1 / 2^6");
    let ln_2 = std::f32::consts::LN_2;
    assert_eq!(start("history.decay"), [ln_2, -2.0 * ln_2], "exponents 2 and 1/4");
    for name in ["history.position", "history.decay"] {
        let learned = model.store().get(name).unwrap();
        // Late positions are rare in small data: the first ones are enough.
        assert!(start(name).iter().zip(&learned).take(5).all(|(a, b)| a != b), "{name}: {learned:?}");
    }
}

#[test]
fn times_count_by_their_differences_to_the_newest_alone() {
    for device in devices() {
        let (model, _) = fit(device, &config(ModelKind::Dssm, DECAY), 2);
        let vector = |times: &[i64]| {
            model.user_tower(&[Query { user: 3, history: &[5, 6, 7], times, ..Query::default() }]).unwrap()
        };
        let some = vector(&[1_000, 50_000, 90_000]);
        assert_eq!(some, vector(&[-9_000, 40_000, 80_000]), "{device:?}: the origin does not count");
        assert_ne!(some, vector(&[1_000, 89_000, 90_000]));
        assert_eq!(vector(&[]), vector(&[7, 7, 7]), "{device:?}: not known is simultaneous");
        assert_ne!(some, vector(&[]));
        let wrong = Query { user: 3, history: &[5, 6, 7], times: &[1, 2], ..Query::default() };
        let error = model.user_tower(&[wrong]).unwrap_err().to_string();
        assert!(error.contains("2 times for a history of 3 items"), "{error}");
        // More items than enter the tower: the last ones and their times do.
        let long: Vec<u32> = (1..=30).collect();
        let times: Vec<i64> = (0..30).map(|t| t * t * 1_000).collect();
        let of = |from: usize| {
            let (history, times) = (&long[from..], &times[from..]);
            model.user_tower(&[Query { user: 3, history, times, ..Query::default() }]).unwrap()
        };
        assert_eq!(of(0), of(10), "{device:?}: 20 items enter");
    }
}

#[test]
fn evaluation_and_saved_models_use_the_times_of_past_events() {
    let (data, split) = data();
    let folder = tempfile::tempdir().unwrap();
    let device = &devices()[0];
    let (model, _) = fit(device, &config(ModelKind::Dssm, DECAY), 2);
    model.save(&folder.path().join("m")).unwrap();
    let loaded = Model::load(device, &folder.path().join("m")).unwrap();
    assert_eq!(loaded.sha256().unwrap(), model.sha256().unwrap());
    assert_eq!(loaded.config(), model.config());

    let rows = data.items.rows();
    let case = &split.test[0];
    let events = case.history.start as usize..case.history.end as usize;
    let score = |model: &Model, times: &[i64]| {
        let mut out = vec![0.0; rows];
        let query = Query { user: case.user, history: &data.event_item[events.clone()], times, ..Query::default() };
        model.scores(&[query], &mut out).unwrap();
        out
    };
    let want = score(&model, &data.clock_times(events.clone()));
    assert_ne!(want, score(&model, &[]), "the times count");
    for model in [&model, &loaded] {
        let mut got = vec![0.0; rows];
        rt_models::eval::Scorer::scores(&ModelScorer::new(model, &data, &[]), &[case], &mut got).unwrap();
        assert_eq!(got, want);
        assert_eq!(model.times_of(case.user), data.clock_times(data.events_of(case.user)));
    }
}

#[test]
fn data_without_the_times_that_a_setting_needs_is_refused() {
    let (data, split) = data();
    let error = |settings: &[&str], order: bool, set: bool| {
        let (mut data, mut split) = ((*data).clone(), split.clone());
        (data.time_is_order, split.history_is_set) = (order, set);
        let mut config = config(ModelKind::Dssm, settings);
        config.windows = Vec::new();
        let refused = train(&devices()[0], &config, Arc::new(data), &split, 1, &mut |_| ControlFlow::Continue(()));
        let error = refused.unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    };
    assert!(error(&["decay_heads=1"], true, false).contains("decay_heads: the data has no clock times"));
    assert!(error(&["position_heads=1"], false, true).contains("position_heads: the data has no time"));
    assert!(error(&["zones=true"], false, true).contains("zones: the data has no time"));
    let error = config(ModelKind::Dssm, &["decay_heads=65"]).check().unwrap_err().to_string();
    assert!(error.contains("`decay_heads = 65`: has to be at most 64"), "{error}");
}
