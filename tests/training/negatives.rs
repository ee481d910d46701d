//! Samplers, negatives of an example's own, mining, chosen examples: each setting changes training, and settings that do
//! not go together are refused by name.

use super::{LOSSES, MINED, config, data, fit};
use approx::abs_diff_eq;
use rt_models::{Config, Model, ModelKind, StepBench, StepSizes, train};
use rt_tests::devices;
use std::ops::ControlFlow;

#[test]
fn every_setting_changes_training() {
    let device = &devices()[0];
    let hash = |settings: &[&str]| fit(device, &config(ModelKind::Dssm, settings), 3).0.sha256().unwrap();
    let list = &["loss=list"][..];
    let mine = &["loss=bpr", "mine=1", "mine_every=4", "mine_ranks=5,20", "mine_share=4"][..];
    let stream = &["frequency=stream"][..];
    for (before, change) in [
        (list, "sampler=uniform"),
        (list, "sampler=log"),
        (list, "sampler=zipf"),
        (list, "loss=bpr"),
        (list, "loss=hinge"),
        (&["loss=hinge"], "margin=3"),
        (list, "exclude_own=true"),
        (&["loss=pointwise"], "exclude_own=true"),
        (&["loss=bpr"], "mask_hits=false"),
        (&["loss=bpr"], "negatives_shared=true"),
        (&["loss=bpr", "negatives_shared=true"], "negatives=60"),
        (&[], "subsample=0.005"),
        (&[], "examples_per_user=5"),
        (&[], "user_weight=true"),
        (&[], "frequency=stream"),
        (stream, "frequency_rate=0.2"),
        (stream, "frequency_slots=16"),
        (&["frequency=stream", "frequency_slots=100"], "frequency_hashes=2"),
        (&["loss=bpr"], mine[1]),
        (mine, "mine=2"),
        (mine, "mine_every=8"),
        (mine, "mine_ranks=1,5"),
        (mine, "mine_share=1"),
    ] {
        // Without the share and ranks of `mine` above, a mined negative is rare: two epochs, so that it is mined at all.
        let more: &[&str] = if change == "mine=1" { &["mine_ranks=5,20", "mine_share=1", "epochs=2"] } else { &[] };
        let plain: &[&str] = if change == "mine=1" { &["epochs=2"] } else { &[] };
        let with = [before, &[change], more].concat();
        assert_ne!(hash(&[before, plain].concat()), hash(&with), "{change} after {before:?}");
    }
}

#[test]
fn mining_is_timed() {
    let (_, report) = fit(&devices()[1], &config(ModelKind::YoutubeDnn, MINED), 3);
    assert!(report.mine_seconds > 0.0 && report.mine_seconds < report.seconds, "{report:?}");
    let (_, report) = fit(&devices()[1], &config(ModelKind::YoutubeDnn, &["loss=list"]), 3);
    assert_eq!(report.mine_seconds, 0.0);
}

#[test]
fn the_stream_finds_how_often_batches_hold_an_item() {
    let (data, split) = data();
    let batch = 64;
    let config =
        config(ModelKind::Dssm, &["frequency=stream", "frequency_rate=0.02", "batch=64", "epochs=8", "patience=8"]);
    let (model, _) = fit(&devices()[0], &config, 5);
    let gaps = model.store().read("frequency.gap").unwrap();
    let counts = split.target_counts(&data);
    let mut items: Vec<usize> = (1..counts.len()).collect();
    items.sort_by_key(|i| std::cmp::Reverse(counts[*i]));
    for item in &items[..10] {
        // A batch of B draws without replacement misses an item with c of N examples with (1 - c / N)^B, nearly.
        let expected = 1.0 - (1.0 - f64::from(counts[*item]) / split.examples.len() as f64).powi(batch);
        let got = 1.0 / f64::from(f32::from_bits(gaps[*item]));
        // A mean over some 1 / rate = 50 gaps, each with a deviation of about itself: 1 / sqrt(2 * 50) = 0.1; four of them.
        assert!(abs_diff_eq!(got / expected, 1.0, epsilon = 0.4), "item {item}: {got}, expected {expected}");
    }
}

#[test]
fn settings_that_do_not_go_together_are_refused_by_name() {
    let (data, split) = data();
    let refuse = |kind: ModelKind, settings: &[&str]| {
        let mut config = Config::new(kind);
        let set = settings.iter().try_for_each(|pair| config.set_pair(pair));
        let run = set.and_then(|()| {
            train(&devices()[0], &config, data.clone(), &split, 1, &mut |_| ControlFlow::Continue(())).map(drop)
        });
        let error = run.unwrap_err();
        assert_eq!(error.exit_code(), 2, "{settings:?}: {error}");
        error.to_string()
    };
    for (settings, want) in [
        (&["exclude_own=true"][..], &["exclude_own", "loss = list"][..]),
        (&["loss=sampled", "exclude_own=true"], &["exclude_own"]),
        (&["loss=list", "negatives_shared=true"], &["negatives_shared", "loss = sampled"]),
        (&["negatives_shared=true"], &["negatives_shared", "hinge"]),
        (&["loss=bpr", "negatives_shared=true", "mine=1"], &["mine", "negatives_shared"]),
        (&["loss=hinge", "negatives_shared=true", "exclude_own=true"], &["exclude_own", "negatives_shared"]),
        (&["mine=1"], &["mine", "loss = list"]),
        (&["loss=bpr", "mine=3"], &["mine = 3", "at most 2"]),
        (&["loss=bpr", "mine=1", "mine_ranks=9,5"], &["mine_ranks = [9, 5]", "first and the last"]),
        (&["loss=bpr", "mine=2", "mine_ranks=9,9"], &["mine_ranks"]),
        (&["loss=bpr", "mine=1", "mine_ranks=0,9"], &["mine_ranks"]),
        (&["loss=bpr", "mine=1", "mine_ranks=9,all"], &["mine_ranks = [9, all]"]),
        (&["loss=bpr", "mine=1", "mine_share=0"], &["mine_share", "above 0"]),
        (&["loss=bpr", "mine_every=5"], &["mine_every", "mine = 1"]),
        (&["loss=bpr", "margin=2"], &["margin", "hinge"]),
        (&["loss=hinge", "margin=-1"], &["margin", "above 0"]),
        (&["subsample=-1"], &["subsample", "at least 0"]),
        (&["loss=in-batch", "logq=off", "frequency=stream"], &["frequency", "in-batch", "logq"]),
        (&["loss=full", "frequency=stream"], &["frequency", "in-batch"]),
        (&["loss=in-batch", "frequency_rate=0.1"], &["frequency_rate", "frequency = stream"]),
        (&["loss=in-batch", "frequency=stream", "frequency_rate=0"], &["frequency_rate", "above 0"]),
        (&["loss=in-batch", "frequency=stream", "frequency_hashes=2"], &["frequency_hashes", "frequency_slots"]),
        (&["loss=in-batch", "frequency=stream", "frequency_hashes=0"], &["frequency_hashes", "1 to 16"]),
        (&["sampler=random"], &["sampler", "zipf"]),
    ] {
        let got = refuse(ModelKind::Dssm, settings);
        assert!(want.iter().all(|part| got.contains(part)), "{settings:?}: {got}");
    }
    // A step over made-up data has no users' items.
    let sizes = StepSizes { users: 20, items: 20, active_items: 0, user_columns: false };
    let own = config(ModelKind::Dssm, &["loss=bpr", "exclude_own=true"]);
    let error = StepBench::new(&devices()[0], &own, sizes, 1).err().unwrap().to_string();
    assert!(error.contains("exclude_own"), "{error}");
    let error = {
        let config = config(ModelKind::Dssm, &["subsample=1e-30"]);
        let run = train(&devices()[0], &config, data.clone(), &split, 1, &mut |_| ControlFlow::Continue(()));
        run.unwrap_err().to_string()
    };
    assert!(error.contains("subsample") && error.contains("larger"), "{error}");
}

#[test]
fn what_was_set_is_saved_and_loaded() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, settings) in LOSSES {
        let (model, _) = fit(&devices()[0], &config(*kind, settings), 2);
        let path = folder.path().join("m");
        model.save(&path).unwrap();
        let loaded = rt_models::Model::load(&devices()[0], &path).unwrap();
        assert_eq!(loaded.config(), model.config(), "{settings:?}");
        assert_eq!(loaded.sha256().unwrap(), model.sha256().unwrap(), "{settings:?}");
    }
}

/// Nobody could have chosen an item that only comes after the cut: no loss takes it for a negative, so that its vector stays.
#[test]
fn items_of_the_future_are_no_negatives() {
    let mut rows = String::from("user,item,time\n");
    for user in 0..80 {
        for event in 0..8 {
            // The first user ends with an item that nobody else has, before all others in the file: row 1 of the table.
            let item = (user * 5 + event * 7) % 30;
            let line = format!("u{user},i{item},{}\n", 100 + event);
            if (user, event) == (0, 0) {
                rows += "u0,future,900\n";
            }
            rows += &line;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("d.csv"), rows).unwrap();
    let data = rt_data::read(&folder.path().join("d.csv"), &rt_data::ReadOptions::default()).unwrap();
    let split = rt_data::split(&data, rt_data::SplitKind::LeaveLastOut, rt_data::SplitOptions::default()).unwrap();
    let (data, item) = (std::sync::Arc::new(data.clone()), data.items.get("future").unwrap() as usize);
    let rows = |model: &Model| {
        let table = model.store().get("item_id").unwrap();
        let dim = table.len() / data.items.rows();
        [item, 2].map(|item| table[item * dim..][..dim].to_vec())
    };
    for settings in [
        &["loss=full"][..],
        &["loss=sampled", "negatives=40", "sampler=uniform"],
        &["loss=sampled", "negatives=40", "sampler=zipf"],
        &["loss=list", "negatives=20", "sampler=uniform", "exclude_own=true"],
        &["loss=list", "negatives=20", "sampler=uniform"],
        &["loss=in-batch", "mixed=30"],
        &["loss=bpr", "mine=1", "mine_every=2", "mine_ranks=1,29"],
    ] {
        let (config, device) = (config(ModelKind::Dssm, &[settings, &["batch=64"]].concat()), &devices()[0]);
        let start = rows(&Model::new(device, &config, data.clone(), &split, 3).unwrap());
        let (model, _) = train(device, &config, data.clone(), &split, 3, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(rows(&model)[0], start[0], "{settings:?}: the future item moved");
        assert_ne!(rows(&model)[1], start[1], "{settings:?}: nothing moved");
    }
}
