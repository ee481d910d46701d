//! Going on with a trained model: what is old stays, what is new is learned.

use super::config;
use rt_data::{Dataset, Mask, ReadOptions, Split, SplitKind, SplitOptions, Synthetic};
use rt_models::eval::{Popularity, figures};
use rt_models::{Model, ModelKind, ModelScorer, evaluate, extend, refit, refit_from, train, train_from};
use rt_tests::devices;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// The first 80 % of the events by time and the rest, each read from a file of its own; ten users and ten items are kept for the
/// rest alone. Users of this data come and go; with `own` it is of every second one the first 80 % of the user's own events.
fn parts(folder: &Path, own: bool) -> [Dataset; 2] {
    let (data, _) = Synthetic::parse("synthetic:users=300,items=120,events=24,seed=5").unwrap().generate();
    let mut times: Vec<i64> = data.event_time.iter().collect();
    times.sort_unstable();
    let cut = times[times.len() * 4 / 5];
    let mut files = ["user,item,time\n".to_owned(), "user,item,time\n".to_owned()];
    for e in 0..data.event_item.len() {
        let (user, item, time) = (data.user_of(e), data.event_item[e], data.time(e));
        let events = data.events_of(user);
        let past = if own && user % 2 == 0 { e >= events.start + events.len() * 4 / 5 } else { time >= cut };
        let late = usize::from(past);
        if late == 1 || (user > 10 && item > 10) {
            writeln!(files[late], "{},{},{time}", data.users.raw(user), data.items.raw(item)).unwrap();
        }
    }
    [0, 1].map(|i| {
        let path = folder.join(format!("{i}.csv"));
        std::fs::write(&path, &files[i]).unwrap();
        rt_data::read(&path, &ReadOptions::default()).unwrap()
    })
}

fn hr(model: &Model, data: &Dataset, split: &Split) -> f64 {
    let context = model.event_context(data);
    let scorer = ModelScorer::new(model, data, &context);
    let ranks = evaluate(model.device(), data, &split.test, &scorer, &[Mask::History]).unwrap();
    figures(&ranks[0]).0.get("HR@10").unwrap()
}

fn go(_: &rt_models::Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn a_model_goes_on_with_new_users_and_items_and_keeps_what_it_knew() {
    let folder = tempfile::tempdir().unwrap();
    let [old, new] = parts(folder.path(), false);
    let device = &devices()[1];
    let options = SplitOptions::default();
    let old_split = rt_data::split(&old, SplitKind::LeaveLastOut, options).unwrap();
    let old = Arc::new(old);
    for kind in [ModelKind::Dssm, ModelKind::YoutubeDnn] {
        // Far from its best, so that the new data has something to teach.
        let first = config(kind, &["epochs=2", "lr=5e-3"]);
        let (base, _) = train(device, &first, old.clone(), &old_split, 1, &mut go).unwrap();
        let more = extend(&base, &new, SplitKind::LeaveLastOut, options).unwrap();
        assert!(more.new_users >= 10 && more.new_items >= 10, "{} users, {} items", more.new_users, more.new_items);
        let mut again = base.config().clone();
        for pair in ["epochs=6", "lr=3e-3"] {
            again.set_pair(pair).unwrap();
        }
        let (model, report) = train_from(device, &base, &again, &more, 1, &mut go).unwrap();
        let (before, after) = (hr(&base, &old, &old_split), hr(&model, &old, &old_split));
        assert!(after > 0.8 * before, "{kind:?}: HR@10 on the old data falls from {before} to {after}");
        let (stale, fresh) = (hr(&base, &more.data, &more.split), hr(&model, &more.data, &more.split));
        assert!(fresh > stale, "{kind:?}: HR@10 on the new data is {stale} before and {fresh} after");
        let popular = Popularity::new(&more.data, &more.split);
        let ranks = evaluate(device, &more.data, &more.split.test, &popular, &[Mask::History]).unwrap();
        let popular = figures(&ranks[0]).0.get("HR@10").unwrap();
        assert!(fresh > popular && !report.below_popular, "{kind:?}: {fresh} against {popular}");
        // It is a model as any other.
        let path = folder.path().join(kind.name());
        model.save(&path).unwrap();
        let loaded = Model::load(device, &path).unwrap();
        assert_eq!(loaded.sha256().unwrap(), model.sha256().unwrap());
        assert_eq!(hr(&loaded, &more.data, &more.split), fresh);
    }
}

#[test]
fn training_again_stops_after_the_epochs_that_were_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let [old, new] = parts(folder.path(), false);
    let (device, options) = (&devices()[0], SplitOptions::default());
    let all = rt_data::split(&old, SplitKind::None, options).unwrap();
    let settings = config(ModelKind::Dssm, &["epochs=3", "schedule=cosine"]);
    let (base, first) = train(device, &settings, Arc::new(old), &all, 1, &mut go).unwrap();
    let more = extend(&base, &new, SplitKind::None, options).unwrap();
    assert!(more.split.valid.is_empty() && more.split.test.is_empty());
    for epochs in [1, 2, 3] {
        let (model, report) = refit(&base, &all, epochs, 1, &mut go).unwrap();
        assert_eq!(report.epochs, epochs);
        assert_eq!(report.loss_epochs, first.loss_epochs[..epochs], "the schedule is that of the first training");
        assert_eq!(model.sha256().unwrap() == base.sha256().unwrap(), epochs == 3);
        assert_eq!(refit_from(&base, &base, &more, epochs, 1, &mut go).unwrap().1.epochs, epochs);
    }
    let none = refit(&base, &all, 0, 1, &mut go).unwrap_err().to_string();
    assert!(none.contains("at least 1"), "{none}");
}

#[test]
fn ids_stay_events_follow_and_new_rows_start_from_the_seed() {
    let folder = tempfile::tempdir().unwrap();
    let [old, new] = parts(folder.path(), true);
    let device = &devices()[0];
    let old_split = rt_data::split(&old, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    let old = Arc::new(old);
    let (base, _) = train(device, &config(ModelKind::Dssm, &[]), old.clone(), &old_split, 1, &mut go).unwrap();
    // The same events a second earlier are all dated before the last known ones.
    let event_time = old.event_time.iter().map(|time| time - 1).collect();
    let earlier = Dataset { event_time, ..Dataset::clone(&old) };
    let twice = extend(&base, &earlier, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    assert!(twice.notes.iter().any(|n| n.contains("new events are dated before")), "{:?}", twice.notes);
    for u in 1..twice.data.users.rows() as u32 {
        let times: Vec<i64> = twice.data.events_of(u).map(|e| twice.data.time(e)).collect();
        assert!(times.is_sorted(), "oldest first: {times:?}");
    }
    for kind in [SplitKind::LeaveLastOut, SplitKind::Time { train: 0.7, valid: 0.1 }] {
        let more = extend(&base, &new, kind, SplitOptions::default()).unwrap();
        let data = &more.data;
        assert!((1..old.users.rows() as u32).all(|u| data.users.raw(u) == old.users.raw(u)));
        assert!((1..old.items.rows() as u32).all(|i| data.items.raw(i) == old.items.raw(i)));
        let mut known = 0;
        for u in 1..data.users.rows() as u32 {
            let raw = data.users.raw(u);
            let of = |d: &Dataset| {
                let events = d.users.get(raw).map_or(0..0, |u| d.events_of(u));
                events.map(|e| (d.items.raw(d.event_item[e]).to_owned(), d.time(e))).collect::<Vec<_>>()
            };
            let (before, after) = (of(&old), of(&new));
            known += usize::from(!before.is_empty() && !after.is_empty());
            assert_eq!(of(data), [before, after].concat(), "{raw}: the old events, then the new");
        }
        assert!(known > 50, "{known}");
        // Targets are new events, histories reach back to the user's first event.
        let first_new = |u: u32| {
            data.user_start[u as usize] + old.users.get(data.users.raw(u)).map_or(0, |u| old.events_of(u).len() as u32)
        };
        let split = &more.split;
        assert!(!split.examples.is_empty() && !split.valid.is_empty() && !split.test.is_empty(), "{kind}");
        assert!(split.examples.iter().all(|e| e >= first_new(data.user_of(e as usize))), "{kind}");
        let mut reach_back = 0;
        for case in split.valid.iter().chain(&split.test) {
            assert!(case.targets.iter().all(|t| *t >= first_new(case.user) && *t >= case.history.end), "{kind}");
            assert!(case.targets.iter().all(|t| data.user_of(*t as usize) == case.user), "{kind}");
            assert_eq!(case.history.start, data.user_start[case.user as usize], "{kind}");
            reach_back += usize::from(first_new(case.user) > case.history.start);
            let train_end = split.train_end[case.user as usize];
            assert!(case.train.end == train_end && case.targets[0] >= train_end, "{kind}");
        }
        assert!(reach_back > 20, "{kind}: {reach_back} of {}", split.valid.len() + split.test.len());

        // A rate that moves nothing shows what training starts from.
        let mut still = base.config().clone();
        for pair in ["epochs=1", "lr=1e-30"] {
            still.set_pair(pair).unwrap();
        }
        let (model, _) = train_from(device, &base, &still, &more, 9, &mut go).unwrap();
        let fresh = Model::new(device, &still, more.data.clone(), &more.split, 9).unwrap();
        for p in base.store().params().list() {
            let [was, now, start] = [&base, &model, &fresh].map(|m| m.store().get(&p.name).unwrap());
            assert!(now[..was.len()] == was[..], "{}: the trained rows", p.name);
            assert!(now[was.len()..] == start[was.len()..], "{}: the new rows", p.name);
        }
        assert!(model.store().get("item_id").unwrap().len() > base.store().get("item_id").unwrap().len());

        let mut other = base.config().clone();
        other.set("dim", "8").unwrap();
        let error = train_from(device, &base, &other, &more, 9, &mut go).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("dim"), "{error}");
    }
}
