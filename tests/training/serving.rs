//! Serving: towers alone, users without a history, users whom training never saw.

use super::{config, data, fit};
use approx::{abs_diff_eq, assert_abs_diff_eq};
use rt_models::{ModelKind, Query};
use rt_tests::devices;

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn towers_give_unit_vectors_of_equal_width_and_scores_are_their_products() {
    let (data, _) = data();
    let (model, _) = fit(&devices()[1], &config(ModelKind::Dssm, &[]), 1);
    let history = &data.event_item[data.events_of(1)];
    let users = model.user_tower(&[Query { user: 1, history, ..Query::default() }]).unwrap();
    let items = model.item_tower(&[1, 2, 3]).unwrap();
    assert_eq!((users.len(), items.len()), (model.dim(), 3 * model.dim()));
    for row in items.chunks(model.dim()).chain([users.as_slice()]) {
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!(abs_diff_eq!(length, 1.0, epsilon = 1e-5), "length {length}");
    }
    let mut scores = vec![0.0; data.items.rows()];
    model.scores(&[Query { user: 1, history, ..Query::default() }], &mut scores).unwrap();
    for (item, v) in [1, 2, 3].into_iter().zip(items.chunks(model.dim())) {
        assert_abs_diff_eq!(scores[item], cosine(&users, v), epsilon = 1e-5);
    }
}

#[test]
fn unknown_users_and_empty_histories_are_answered() {
    let (data, _) = data();
    for device in devices() {
        let (model, _) = fit(device, &config(ModelKind::YoutubeDnn, &[]), 1);
        let nobody = Query { user: 0, history: &[], ..Query::default() };
        let best = model.recommend(&nobody, &[], 5).unwrap();
        assert_eq!(best.len(), 5);
        assert!(best.iter().all(|r| r.score.is_finite() && r.item != 0));
        // A history alone changes the answer, and so does its end: the last items count by windows.
        let history = &data.event_item[data.events_of(3)];
        let known = Query { user: 0, history, ..Query::default() };
        assert_ne!(model.user_tower(&[nobody]).unwrap(), model.user_tower(&[known]).unwrap());
        let error = model.user("nobody-at-all").unwrap_err();
        assert!(error.to_string().contains("`nobody-at-all`"), "{error}");
        assert_eq!(error.exit_code(), 2);
        assert!(model.user_tower(&[Query { user: 1_000_000, history: &[], ..Query::default() }]).is_err());
        assert!(model.recommend(&nobody, &[], 0).is_err());
        assert!(model.recommend(&nobody, &[], 1_000_000).unwrap().len() == data.catalogue.len());
    }
}

#[test]
fn a_user_whom_training_never_saw_has_no_id_vector_but_features() {
    // All events of the last user are taken out of training by hand.
    let (data, mut split) = data();
    let user = data.users.rows() as u32 - 1;
    let own = data.events_of(user);
    split.examples.retain(|e| !own.contains(&(*e as usize)));
    split.train_end[user as usize] = data.user_start[user as usize];
    split.valid.retain(|c| c.user != user);
    let (model, _) = rt_models::train(
        &devices()[0],
        &config(ModelKind::Dssm, &["user_features=false"]),
        data.clone(),
        &split,
        1,
        &mut |_| std::ops::ControlFlow::Continue(()),
    )
    .unwrap();
    assert!(!model.was_trained(user) && model.was_trained(1));
    let vector = |user| model.user_tower(&[Query { user, history: &[5, 6], ..Query::default() }]).unwrap();
    assert_eq!(vector(user), vector(0), "an untrained id is the unknown id");
    assert_ne!(vector(1), vector(0));
}

#[test]
fn a_session_changes_vectors_through_the_times_of_the_history_alone() {
    let (data, split) = data();
    let folder = tempfile::tempdir().unwrap();
    let (model, _) = fit(&devices()[1], &config(ModelKind::Dssm, &["session=3600"]), 1);
    let (user, items) = (3, &[5, 6, 7, 8][..]);
    let vector =
        |times: &[i64]| model.user_tower(&[Query { user, history: items, times, ..Query::default() }]).unwrap();
    // Where sessions end counts, from when times count does not.
    assert_eq!(vector(&[0, 9, 9_999, 10_000]), vector(&[7_000_000, 7_000_009, 7_009_999, 7_010_000]));
    assert_ne!(vector(&[0, 9, 9_999, 10_000]), vector(&[0, 1, 2, 10_000]));
    assert_ne!(vector(&[0, 1, 2, 3]), vector(&[0, 1, 5_000, 5_001]));
    // Times that are not known: one session, as if all had come at once.
    assert_eq!(vector(&[]), vector(&[4, 4, 4, 4]));
    let query = Query { user, history: items, times: &[1, 2], ..Query::default() };
    assert!(model.user_tower(&[query]).unwrap_err().to_string().contains("2 times for a history of 4 items"));
    // A model without sessions does not look at times.
    let (plain, _) = fit(&devices()[1], &config(ModelKind::Dssm, &["session=0"]), 1);
    let at = |times| plain.user_tower(&[Query { user, history: items, times, ..Query::default() }]).unwrap();
    assert_eq!(at(&[0, 9, 9_999, 10_000]), at(&[]));
    // The saved model has the times of its users' events.
    model.save(&folder.path().join("m")).unwrap();
    let loaded = rt_models::Model::load(&devices()[0], &folder.path().join("m")).unwrap();
    assert_eq!(loaded.times_of(user), data.clock_times(data.events_of(user)));
    // Evaluation reads the times before the target, never the target's own.
    let mut late = (*data).clone();
    let targets: Vec<usize> = split.test.iter().map(|case| case.targets[0] as usize).collect();
    let put_off = |(event, time): (usize, i64)| time + if targets.contains(&event) { 1_000_000 } else { 0 };
    late.event_time = data.event_time.iter().enumerate().map(put_off).collect();
    let scores = |data: &rt_data::Dataset| {
        let context = model.event_context(data);
        let mut out = vec![0.0; data.items.rows()];
        let scorer = rt_models::ModelScorer::new(&model, data, &context);
        rt_models::eval::Scorer::scores(&scorer, &[&split.test[2]], &mut out).unwrap();
        out
    };
    assert_eq!(scores(&data), scores(&late));
}

/// The columns of the users with a bag and a number that some have, row by row in the order of `rows`, with vocabularies in the order
/// of first appearance there.
fn columns_in(rows: &[u32], own: &rt_data::Features) -> rt_data::Features {
    let mut features = own.clone();
    let mut tier = rt_data::Vocab::new();
    let tiers =
        (0..own.columns[0].1.rows()).map(|user| if user == 0 { 0 } else { tier.insert(&format!("t{}", user % 5)) });
    let values = tiers.collect();
    features.columns.push(("tier".into(), rt_data::Column::Category { vocab: tier, values }));
    let number = |user: u32| if user.is_multiple_of(3) { f32::NAN } else { user as f32 * 0.5 };
    let raws = ["a", "b", "c", "d"];
    let (mut vocab, mut offsets, mut values) = (rt_data::Vocab::new(), vec![0], Vec::new());
    for user in rows {
        let list = raws.iter().skip(*user as usize % 4).take(*user as usize % 3);
        values.extend(list.map(|raw| vocab.insert(raw)));
        offsets.push(values.len() as u32);
    }
    for (_, column) in &mut features.columns {
        if let rt_data::Column::Number { values } = column {
            *values = rows.iter().map(|user| values[*user as usize]).collect();
        }
        if let rt_data::Column::Category { vocab, values } = column {
            let mut other = rt_data::Vocab::new();
            let raw = |user: &u32| vocab.raw(values[*user as usize]).to_owned();
            *values = rows.iter().map(raw).map(|raw| if raw.is_empty() { 0 } else { other.insert(&raw) }).collect();
            *vocab = other;
        }
    }
    let numbers = rows.iter().map(|user| number(*user)).collect();
    features.columns.push(("tags".into(), rt_data::Column::Bag { vocab, offsets, values }));
    features.columns.push(("minutes".into(), rt_data::Column::Number { values: numbers }));
    features
}

#[test]
fn features_that_come_with_a_request_are_those_of_the_tables() {
    let (data, split) = data();
    let all: Vec<u32> = (0..data.users.rows() as u32).collect();
    let mut with = rt_data::Dataset::clone(&data);
    with.user_features = columns_in(&all, &data.user_features);
    let categories = with.user_features.columns.iter().filter(|(_, c)| matches!(c, rt_data::Column::Category { .. }));
    let names: Vec<&str> = categories.map(|(name, _)| name.as_str()).collect();
    let cross = format!("cross={}*{}", names[0], names[1]);
    let turned: Vec<u32> = all.iter().rev().copied().filter(|user| *user != 0).collect();
    let other = columns_in(&turned, &data.user_features);
    let with = std::sync::Arc::new(with);
    let go = &mut |_: &rt_models::Progress<'_>| std::ops::ControlFlow::Continue(());
    for device in devices() {
        for settings in [&["numbers=standard"][..], &["numbers=quantile", &cross], &[&cross, "hash_crosses=7"]] {
            let config = config(ModelKind::Dssm, &[&["user_id=off"], settings].concat());
            let (model, _) = rt_models::train(device, &config, with.clone(), &split, 1, go).unwrap();
            let rows = model.user_rows(&other, &vec![0; turned.len()]);
            let history = &data.event_item[data.events_of(2)];
            // Both kinds side by side in one call.
            let queries: Vec<Query<'_>> = turned
                .iter()
                .enumerate()
                .flat_map(|(row, user)| {
                    let given = Query { history, features: Some(rows.row(row)), ..Query::default() };
                    [given, Query { user: *user, history, ..Query::default() }]
                })
                .collect();
            let vectors = model.user_tower(&queries).unwrap();
            for (pair, user) in vectors.chunks(2 * model.dim()).zip(&turned) {
                assert_eq!(pair[..model.dim()], pair[model.dim()..], "{settings:?}, user {user}");
            }
            // By name and text, over what a user has.
            let minutes = [("minutes".to_owned(), String::new())];
            let (row, unknown) = model.user_row(3, &minutes).unwrap();
            let named = Query { history, features: Some(row.row(0)), ..Query::default() };
            let own = Query { user: 3, history, ..Query::default() };
            assert_eq!(model.user_tower(&[named]).unwrap(), model.user_tower(&[own]).unwrap(), "it is missing already");
            assert!(unknown.is_empty());
            let (_, unknown) = model.user_row(0, &[("tags".to_owned(), "a|zebra".to_owned())]).unwrap();
            assert!(unknown[0].contains("zebra") && unknown.len() == 1, "{unknown:?}");
            for (name, value, what) in [("size", "5", "no user column `size`"), ("minutes", "few", "`few`")] {
                let error = model.user_row(0, &[(name.to_owned(), value.to_owned())]).unwrap_err();
                assert!(error.to_string().contains(what), "{error}");
            }
        }
    }
}
