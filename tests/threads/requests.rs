//! Requests to one model from many threads: the same answers as one after the other, and an end.

use super::{ends, inside};
use rayon::prelude::*;
use rt_data::{Dataset, Split, SplitKind, SplitOptions, Synthetic, split};
use rt_models::text::{Found, Pairs, SplitBy, TextConfig, TextModel, TextSplit, train};
use rt_models::{Config, Device, Model, ModelKind, Query, Recommendation};
use rt_tests::devices;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Barrier};

const USERS: u32 = 60;

fn data() -> (Arc<Dataset>, Split) {
    let (data, _) = Synthetic::parse("synthetic:users=150,items=400,events=20,seed=5").unwrap().generate();
    let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    (Arc::new(data), split)
}

fn model(device: &Device, kind: ModelKind) -> Model {
    let (data, split) = data();
    let mut config = Config::new(kind);
    for pair in ["dim=16", "user_hidden=24", "history=20", "windows=1,3,20", "user_id=on"] {
        config.set_pair(pair).unwrap();
    }
    Model::new(device, &config, data, &split, 3).unwrap()
}

fn ask(model: &Model, user: u32) -> Vec<Recommendation> {
    let history = model.history_of(user).to_vec();
    let best = model.recommend(&Query { user, history: &history, ..Query::default() }, &[], 10);
    best.unwrap_or_else(|e| panic!("user {user}: {e}"))
}

/// All users, by threads of their own that begin together.
fn threads<R: Send>(users: u32, ask: impl Fn(u32) -> R + Sync) -> Vec<R> {
    let n = 6;
    let (barrier, ask) = (Barrier::new(n as usize), &ask);
    let mut all: Vec<(u32, R)> = std::thread::scope(|scope| {
        let of = |thread: u32| {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                (1..=users).filter(|u| u % n == thread).map(|u| (u, ask(u))).collect::<Vec<_>>()
            })
        };
        let handles: Vec<_> = (0..n).map(of).collect();
        handles.into_iter().flat_map(|h| h.join().unwrap()).collect()
    });
    all.sort_by_key(|(user, _)| *user);
    all.into_iter().map(|(_, answer)| answer).collect()
}

#[test]
fn requests_of_many_threads_give_what_one_thread_gets() {
    for device in devices() {
        for kind in [ModelKind::Dssm, ModelKind::YoutubeDnn] {
            let serial: Vec<_> = {
                let model = model(device, kind);
                (1..=USERS).map(|user| ask(&model, user)).collect()
            };
            // Each on a model that nobody asked before: the first use is at once too.
            let fresh = || model(device, kind);
            let parallel = |model: &Model| (1..=USERS).into_par_iter().map(|user| ask(model, user)).collect::<Vec<_>>();
            ends("requests of the global pool", || assert_eq!(parallel(&fresh()), serial, "{device:?}, {kind:?}"));
            ends("requests of the device's pool", || {
                let model = fresh();
                assert_eq!(inside(device, || parallel(&model)), serial, "{device:?}, {kind:?}");
            });
            ends("requests of threads", || {
                let model = fresh();
                assert_eq!(threads(USERS, |user| ask(&model, user)), serial, "{device:?}, {kind:?}");
            });
            ends("requests of all of them", || {
                let model = fresh();
                std::thread::scope(|scope| {
                    let global = scope.spawn(|| parallel(&model));
                    let own = scope.spawn(|| inside(device, || parallel(&model)));
                    let threads = scope.spawn(|| threads(USERS, |user| ask(&model, user)));
                    for handle in [global, own, threads] {
                        assert_eq!(handle.join().unwrap(), serial, "{device:?}, {kind:?}");
                    }
                });
            });
        }
    }
}

/// Of many that ask for the index first all get the same one, and those who ask later too.
#[test]
fn all_who_ask_for_the_index_first_get_one() {
    for device in devices() {
        let first = |ask: &(dyn Fn(&Model) -> Vec<Arc<rt_models::Index>> + Sync)| {
            ends("the first use of the index", || {
                let model = model(device, ModelKind::Dssm);
                let all = ask(&model);
                assert!(all.len() > 3);
                let kept = model.index().unwrap();
                assert!(all.iter().all(|index| Arc::ptr_eq(index, &kept)), "{device:?}");
                assert!(Arc::ptr_eq(&model.item_vectors().unwrap(), &model.item_vectors().unwrap()));
            });
        };
        let index = |model: &Model| {
            // Users and items beside it, through the same lists of programs.
            model.item_tower(&[1, 2, 3]).unwrap();
            model.index().unwrap()
        };
        first(&|model| (0..32).into_par_iter().map(|_| index(model)).collect());
        first(&|model| inside(device, || (0..32).into_par_iter().map(|_| index(model)).collect()));
        first(&|model| threads(12, |_| index(model)));
    }
}

fn text(device: &Device) -> TextModel {
    let (data, _) = data();
    let lines: String = data.titles.iter().skip(1).map(|t| format!("{}\t{t}\t1\n", t.to_lowercase())).collect();
    let pairs = Pairs::parse("titles", lines.as_bytes(), Path::new("titles.tsv")).unwrap();
    let mut config = TextConfig::new();
    for pair in ["epochs=1", "batch=128", "hidden=24", "dim=16"] {
        config.set_pair(pair).unwrap();
    }
    let split = TextSplit::new(&pairs, SplitBy::Pairs, 1);
    train(device, &config, &pairs, &split, 1, &mut |_| ControlFlow::Continue(())).unwrap().0
}

#[test]
fn searches_of_many_threads_give_what_one_thread_gets() {
    for device in devices() {
        let model = text(device);
        let find = |model: &TextModel, i: u32| -> Vec<Found> {
            let text = model.documents()[i as usize].to_uppercase();
            let found = model.search(&text, 5).unwrap();
            assert_eq!(model.document_tower(&[&text]).unwrap().len(), model.dim());
            found
        };
        let fresh = || text(device);
        let serial: Vec<_> = (1..=40).map(|i| find(&model, i)).collect();
        let parallel = |model: &TextModel| (1..=40u32).into_par_iter().map(|i| find(model, i)).collect::<Vec<_>>();
        ends("searches of the global pool", || assert_eq!(parallel(&fresh()), serial, "{device:?}"));
        ends("searches of the device's pool", || {
            let model = fresh();
            assert_eq!(inside(device, || parallel(&model)), serial, "{device:?}");
        });
        ends("searches of threads", || {
            let model = fresh();
            assert_eq!(threads(40, |i| find(&model, i)), serial, "{device:?}");
        });
    }
}
