//! What Example Age and the dropout of item ids do for new items: recall@20 on built-in data, mean of two seeds. The tables
//! are printed, for `docs/features.md`: `cargo test -p rt-tests --test training fresh -- --nocapture`.

use rt_data::{Dataset, EvalCase, Split, SplitKind, SplitOptions, Synthetic, Targets, split};
use rt_models::eval::Scorer;
use rt_models::{Config, ModelKind, ModelScorer, train};
use rt_tests::devices;
use std::ops::ControlFlow;
use std::sync::Arc;

/// A split by time, on data whose items are released over time and are favoured while they are new.
#[test]
fn example_age_helps_items_first_seen_late() {
    let text = "synthetic:users=1300,items=500,events=25,freshness=8,popularity=0.5,seed=11";
    let data = Synthetic::parse(text).unwrap().generate().0;
    let options = SplitOptions { targets: Targets::All, ..SplitOptions::default() };
    let split = split(&data, SplitKind::Time { train: 0.88, valid: 0.02 }, options).unwrap();
    let fresh = first_seen_late(&data, &split);
    let [without, with] = table(data, &split, "first seen in the last tenth of training", &fresh, "example_age=true");
    assert!(with > without, "{without} and {with}");
}

/// All events of every sixth item are out of the training part, and stand as last events.
#[test]
fn dropping_ids_helps_items_without_training() {
    let text = "synthetic:users=1200,items=200,events=20,freshness=0,popularity=0.3,taste=10,sequence=0.5,seed=12";
    let (data, cold) = hold_out(&Synthetic::parse(text).unwrap().generate().0);
    let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    let [without, with] = table(data, &split, "without an event in training", &cold, "item_id_dropout=0.5");
    assert!(with > without, "{without} and {with}");
}

/// Prints recall@20 of the targets that are in a group of items, and of all, without a setting and with it. Gives the
/// group's two figures.
fn table(data: Dataset, split: &Split, group: &str, items: &[bool], setting: &str) -> [f64; 2] {
    let (data, device) = (Arc::new(data), &devices()[0]);
    let mut group_recall = [0.0; 2];
    println!("| settings | items {group} | all items |\n|---|---|---|");
    for (number, (name, settings)) in [("as default", &[][..]), (setting, &[setting])].into_iter().enumerate() {
        let mut sums = [[0.0; 2]; 2];
        for seed in 1..=2 {
            let mut config = Config::new(ModelKind::Dssm);
            for pair in ["epochs=5", "dim=32", "user_hidden=64", "item_hidden=64", "user_id=off"].iter().chain(settings)
            {
                config.set_pair(pair).unwrap();
            }
            let (model, _) =
                train(device, &config, data.clone(), split, seed, &mut |_| ControlFlow::Continue(())).unwrap();
            let scorer = ModelScorer::new(&model, &data, &[]);
            for case in &split.test {
                for (item, hit) in hits(&scorer, &data, case) {
                    for [sum, n] in sums.iter_mut().skip(usize::from(!items[item])) {
                        (*sum, *n) = (*sum + f64::from(u8::from(hit)), *n + 1.0);
                    }
                }
            }
        }
        let cells = sums.map(|[sum, n]| format!("{:.3} (n = {})", sum / n, n / 2.0));
        println!("| {name} | {} |", cells.join(" | "));
        assert!(sums[0][1] >= 100.0, "{} targets are of the group", sums[0][1]);
        group_recall[number] = sums[0][0] / sums[0][1];
    }
    group_recall
}

/// The items of a case's targets, and whether each is among the first 20.
fn hits(scorer: &ModelScorer<'_>, data: &Dataset, case: &EvalCase) -> Vec<(usize, bool)> {
    let mut scores = vec![0.0; data.items.rows()];
    scorer.scores(&[case], &mut scores).unwrap();
    let targets: Vec<usize> = case.targets.iter().map(|event| data.event_item[*event as usize] as usize).collect();
    for event in case.history.clone() {
        let item = data.event_item[event as usize] as usize;
        if !targets.contains(&item) {
            scores[item] = f32::MIN;
        }
    }
    let hit = |item: &usize| {
        let above = data.catalogue.iter().filter(|i| scores[**i as usize] > scores[*item]).count();
        (*item, above < 20)
    };
    targets.iter().map(hit).collect()
}

/// Items whose first event of the training part stands in the last tenth of its time.
fn first_seen_late(data: &Dataset, split: &Split) -> Vec<bool> {
    let mut first = vec![i64::MAX; data.items.rows()];
    let (mut start, mut end) = (i64::MAX, i64::MIN);
    for user in 0..data.users.rows() as u32 {
        for event in split.train_events(data, user) {
            let (item, time) = (data.event_item[event] as usize, data.time(event));
            first[item] = first[item].min(time);
            (start, end) = (start.min(time), end.max(time));
        }
    }
    let late = end - (end - start) / 10;
    first.iter().map(|t| (late..=end).contains(t)).collect()
}

/// The data without the events of every sixth item, but for a user's last.
fn hold_out(data: &Dataset) -> (Dataset, Vec<bool>) {
    let held: Vec<bool> = (0..data.items.rows()).map(|item| item > 0 && item % 6 == 0).collect();
    let mut kept = Dataset { event_item: vec![], user_start: vec![0], ..data.clone() };
    let mut times = Vec::new();
    for user in 0..data.users.rows() as u32 {
        let events = data.events_of(user);
        let last = events.end;
        for event in events.filter(|e| e + 1 == last || !held[data.event_item[*e] as usize]) {
            kept.event_item.push(data.event_item[event]);
            times.push(data.time(event));
        }
        kept.user_start.push(kept.event_item.len() as u32);
    }
    kept.event_time = times.into_iter().collect();
    (kept, held)
}
