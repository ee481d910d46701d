//! What an example is: its weight, its negatives, its target, and how many steps see it.

use super::{config, data};
use approx::abs_diff_eq;
use rt_data::{Dataset, Exposed, Split, SplitKind, SplitOptions, split};
use rt_models::{Config, Model, ModelKind, TrainReport, train};
use rt_tests::devices;
use std::ops::ControlFlow;
use std::sync::Arc;

fn fit_on(data: &Arc<Dataset>, split: &Split, config: &Config) -> (Model, TrainReport) {
    train(&devices()[0], config, data.clone(), split, 3, &mut |_| ControlFlow::Continue(())).unwrap()
}

fn refuse(data: &Arc<Dataset>, split: &Split, config: &Config) -> String {
    match train(&devices()[0], config, data.clone(), split, 3, &mut |_| ControlFlow::Continue(())) {
        Ok(_) => panic!("it trained"),
        Err(e) => e.to_string(),
    }
}

/// Settings without draws that depend on the place in the batch.
const STILL: &[&str] = &["dropout=0", "history_dropout=0", "batch=4096", "optimizer=sgd", "lr=1"];

#[test]
fn weights_count_and_their_unit_does_not() {
    let (plain, mut split) = data();
    split.valid.clear();
    let kept: Vec<u32> = split.examples.iter().filter(|event| event % 3 == 0).collect();
    let weighted = |weight: &dyn Fn(usize) -> f32| {
        let mut data = (*plain).clone();
        data.event_weight = (0..data.event_item.len()).map(weight).collect();
        Arc::new(data)
    };
    for (kind, loss) in [
        (ModelKind::YoutubeDnn, "loss=full"),
        (ModelKind::Dssm, "loss=in-batch"),
        (ModelKind::YoutubeDnn, "loss=sampled"),
        (ModelKind::Dssm, "loss=list"),
        (ModelKind::Dssm, "loss=pointwise"),
    ] {
        let config = config(kind, &[STILL, &[loss, "max_steps=1"]].concat());
        let bits = |data: &Arc<Dataset>| fit_on(data, &split, &config).0.sha256().unwrap();
        let of = |data: &Arc<Dataset>| fit_on(data, &split, &config).1.loss[0];
        assert_eq!(bits(&plain), bits(&weighted(&|_| 1.0)), "{loss}: a weight of 1 is no weight");
        assert_eq!(bits(&plain), bits(&weighted(&|_| 64.0)), "{loss}: weights have a mean of 1");
        let uneven = weighted(&|event| 0.5 + (event % 3) as f32);
        assert_ne!(bits(&plain), bits(&uneven), "{loss}");
        let (a, b) = (of(&uneven), of(&weighted(&|event| 20.0 + 40.0 * (event % 3) as f32)));
        assert!(abs_diff_eq!(a, b, epsilon = 1e-6 * a.abs()), "{loss}: {a} and {b}");
    }

    // Weights of 0 and 1 train as those examples alone do. (The full softmax: its candidates are no examples.)
    let config = config(ModelKind::YoutubeDnn, &[STILL, &["loss=full", "max_steps=1"]].concat());
    let zeros = weighted(&|event| if event % 3 == 0 { 1.0 } else { 0.0 });
    let mut fewer = split.clone();
    fewer.examples = kept.iter().copied().collect();
    let ((a, loss_a), (b, loss_b)) = (fit_on(&zeros, &split, &config), fit_on(&plain, &fewer, &config));
    assert!(
        abs_diff_eq!(loss_a.loss[0], loss_b.loss[0], epsilon = 1e-5 * loss_b.loss[0]),
        "{:?} {:?}",
        loss_a.loss,
        loss_b.loss
    );
    for p in a.store().params().list() {
        let (x, y) = (a.store().get(&p.name).unwrap(), b.store().get(&p.name).unwrap());
        for (x, y) in x.iter().zip(&y) {
            assert!(abs_diff_eq!(x, y, epsilon = 2e-5 + 1e-3 * x.abs()), "{}: {x} and {y}", p.name);
        }
    }
    let error = refuse(&weighted(&|_| 0.0), &split, &config);
    assert!(error.contains("weights of all training examples are 0"), "{error}");
}

/// The built-in data, where every event was shown beside the item that follows its own in the numbering.
fn with_exposed() -> (Arc<Dataset>, Split) {
    let (plain, split) = data();
    let mut data = (*plain).clone();
    let items = data.items.rows() as u32;
    let beside = |item: u32| item % (items - 1) + 1;
    data.exposed = Some(Exposed {
        items: data.event_item.iter().map(|&item| beside(item)).collect(),
        spans: (0..data.event_item.len() as u32).map(|event| [event, 1]).collect(),
    });
    (Arc::new(data), split)
}

#[test]
fn explicit_negatives_are_pushed_away() {
    let (data, split) = with_exposed();
    let items = data.items.rows();
    // Mean score of the shown item less that of the target, over the training examples.
    let gap = |model: &Model| -> f32 {
        let vectors = model.item_vectors().unwrap();
        let dim = model.dim();
        let score = |user: &[f32], item: u32| -> f32 {
            user.iter().zip(&vectors[item as usize * dim..]).map(|(a, b)| a * b).sum()
        };
        let mut sum = 0.0;
        for event in split.examples.iter().step_by(7) {
            let user = data.user_of(event as usize);
            let first = data.user_start[user as usize] as usize;
            let history = &data.event_item[first..event as usize];
            let vector =
                model.user_tower(&[rt_models::Query { user, history, ..rt_models::Query::default() }]).unwrap();
            let target = data.event_item[event as usize];
            sum += score(&vector, target % (items as u32 - 1) + 1) - score(&vector, target);
        }
        sum
    };
    for (kind, loss) in [(ModelKind::Dssm, "loss=list"), (ModelKind::YoutubeDnn, "loss=pointwise")] {
        let of = |from: &str| {
            let noise = ["dropout=0.2", "history_dropout=0.2", "temperature=0.1"];
            let settings = [&[loss, "negatives=2", "epochs=3", "lr=0.01", from][..], &noise].concat();
            fit_on(&data, &split, &config(kind, &settings)).0
        };
        let (sampler, own, both) = (of("negatives_from=sampler"), of("negatives_from=data"), of("negatives_from=both"));
        assert!(gap(&own) < gap(&sampler) && gap(&both) < gap(&sampler), "{loss}: {} {}", gap(&own), gap(&sampler));
        // With one shown item an example, two columns of data and one of two are the same draws: the second fills up.
        assert_eq!(own.sha256().unwrap(), both.sha256().unwrap(), "{loss}");
    }
    let list = |from: &str, more: &str| config(ModelKind::Dssm, &["loss=list", from, more]);
    let (plain, split) = super::data();
    let sampler = list("negatives_from=sampler", "negatives=2");
    let a = fit_on(&plain, &split, &sampler).0.sha256().unwrap();
    assert_eq!(a, fit_on(&data, &split, &sampler).0.sha256().unwrap(), "the sampler does not look at what was shown");
    let error = refuse(&plain, &split, &list("negatives_from=data", "negatives=2"));
    assert!(error.contains("negatives_from = data") && error.contains("--label-col"), "{error}");
    let error = refuse(&data, &split, &list("negatives_from=both", "loss=full"));
    assert!(error.contains("loss has to be list, pointwise, bpr or hinge"), "{error}");
}

#[test]
fn held_out_targets_see_later_items() {
    // Of four kinds of users the first item is the same, the second one of four, and the third says which it was: nobody
    // can guess the second from what came before, anybody from what came after.
    let mut rows = Vec::new();
    for user in 0..80 {
        let kind = user % 4;
        let items = ["s".into(), format!("t{kind}"), format!("z{kind}"), "v".into(), "w".into()];
        rows.extend(
            items.into_iter().enumerate().map(|(t, item)| (format!("u{user}"), item, 100 * user + 7 * t as i64)),
        );
    }
    let data = Arc::new(Dataset::from_events(rows));
    let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    assert_eq!(split.examples.len(), 160);
    let last = |label: &'static str| {
        let still = ["dropout=0", "history_dropout=0", "user_id=off", "patience=100"];
        let more = ["epochs=60", "lr=0.02", "batch=32", "windows=20", label];
        let (model, report) = fit_on(&data, &split, &config(ModelKind::YoutubeDnn, &[&still[..], &more].concat()));
        (*report.loss_epochs.last().unwrap(), model.sha256().unwrap())
    };
    // Half of the examples are those second items: ln 4 / 2 = 0.69 is the least that is left of the loss.
    let (next, held) = (last("label=next"), last("label=heldout"));
    assert!(next.0 > 0.68 && held.0 < 0.2, "{next:?} {held:?}");
    assert_eq!(held, last("label=heldout"));
}

#[test]
fn windows_reach_past_a_held_out_target() {
    // The item before the newest says which the newest is; of the two before it nobody can tell who came last but by a window of one.
    let mut rows = Vec::new();
    for user in 0..96 {
        let (i, j) = (user % 4, (user % 4 + 1 + user / 4 % 3) % 4);
        let items = [format!("p{i}"), format!("p{j}"), format!("t{j}"), "v".into(), "w".into()];
        rows.extend(
            items.into_iter().enumerate().map(|(t, item)| (format!("u{user}"), item, 100 * user + 7 * t as i64)),
        );
    }
    let data = Arc::new(Dataset::from_events(rows));
    let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    assert_eq!(split.examples.len(), 192, "the second and the third item");
    for pool in ["pool=mean", "pool=max"] {
        let still = ["dropout=0", "history_dropout=0", "user_id=off", "patience=100", "label=heldout"];
        let more = ["epochs=60", "lr=0.02", "batch=32", "windows=1,5", pool];
        let (_, report) = fit_on(&data, &split, &config(ModelKind::YoutubeDnn, &[&still[..], &more].concat()));
        // With an empty window of one before the newest, ln 2 / 2 = 0.35 is the least that is left of the loss.
        let loss = *report.loss_epochs.last().unwrap();
        assert!(loss < 0.2, "{pool}: {loss}");
    }
}

#[test]
fn training_stops_after_max_steps() {
    let (data, mut split) = data();
    split.valid.clear();
    let of = |more: &[&str]| fit_on(&data, &split, &config(ModelKind::Dssm, &[&["batch=64"], more].concat()));
    let steps = split.examples.len().div_ceil(64);
    assert!(steps > 12);
    let (whole, report) = of(&["epochs=2"]);
    assert_eq!((report.epochs, report.loss.len()), (2, (2 * steps).min(100)));
    for (settings, epochs, ran) in [
        (format!("max_steps={}", 2 * steps), 2, 2 * steps),
        ("max_steps=5".into(), 1, 5),
        (format!("max_steps={}", steps + 3), 2, steps + 3),
    ] {
        let (model, short) = of(&["epochs=2", &settings]);
        assert_eq!((short.epochs, short.loss.len()), (epochs, ran.min(100)), "{settings}");
        assert_eq!(short.loss, report.loss[..ran.min(100)], "{settings}: the same steps");
        assert_eq!(model.sha256().unwrap() == whole.sha256().unwrap(), ran == 2 * steps, "{settings}");
    }
    let (_, five) = of(&["epochs=2", "max_steps=5"]);
    let mean = five.loss.iter().sum::<f32>() / 5.0;
    assert!(abs_diff_eq!(five.loss_epochs[0], mean, epsilon = 1e-5), "{} of {:?}", five.loss_epochs[0], five.loss);
}
