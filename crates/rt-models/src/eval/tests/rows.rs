//! Baselines, rows and the report on data made by hand.

use approx::abs_diff_eq;
use rt_data::{Dataset, EvalCase, Mask, Split, SplitKind, SplitOptions, split};

use super::*;

#[test]
fn item_knn_sums_cosines_over_the_last_events() {
    // Train: u1 {1, 2, 3}, u2 {1, 2}, u3 {1, 3}; the last two events of a user do not train.
    #[rustfmt::skip] // a line a user
    let events = [
        (1, 1, 1), (1, 2, 2), (1, 3, 3), (1, 4, 4), (1, 4, 5),
        (2, 1, 1), (2, 2, 2), (2, 4, 3), (2, 3, 4),
        (3, 1, 1), (3, 3, 2), (3, 2, 3), (3, 2, 4),
    ];
    let data = data(&events, 3, 4);
    let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    assert_eq!(Popularity::new(&data, &split).scored(&data, &split, 0), [0.0, 3.0, 2.0, 2.0, 0.0]);

    // Cosines: 12 = 2 / sqrt(6), 13 = 2 / sqrt(6), 23 = 1 / 2; the diagonal is zero.
    let (a, b) = (2.0 / 6f32.sqrt(), 0.5);
    let near = |last, case: usize, want: [f32; 5]| {
        let got = ItemKnn::with_last(&data, &split, last).scored(&data, &split, case);
        let close = got.iter().zip(want).all(|(got, want)| abs_diff_eq!(*got, want, epsilon = 1e-6));
        assert!(close, "{last:?}, case {case}: {got:?}, not {want:?}");
    };
    // User 3's history before the test event: 1, 3, 2.
    near(Last::Events(1), 2, [0.0, a, 0.0, b, 0.0]);
    near(Last::Events(2), 2, [0.0, 2.0 * a, b, b, 0.0]);
    near(Last::All, 2, [0.0, 2.0 * a, a + b, a + b, 0.0]);
    // User 1's: 1, 2, 3, 4; item 4 was never trained.
    near(Last::Events(1), 0, [0.0; 5]);
    near(Last::Events(2), 0, [0.0, a, b, 0.0, 0.0]);

    // An event that occurs twice counts twice.
    let twice = EvalCase { history: 11..13, ..split.test[2].clone() };
    let mut out = vec![0.0; 5];
    ItemKnn::with_last(&data, &split, Last::All).scores(&[&twice], &mut out).unwrap();
    assert!(abs_diff_eq!(out[1], 2.0 * a, epsilon = 1e-6) && abs_diff_eq!(out[3], 2.0 * b, epsilon = 1e-6), "{out:?}");
}

/// The h that one pass over the histories finds is the one that ranking every case for every h finds.
#[test]
fn choice_of_h() {
    let (data, _) = rt_data::Synthetic::parse("synthetic:users=120,items=90,events=15,seed=5").unwrap().generate();
    let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    let fitted = ItemKnn::fit(&data, &split).unwrap();
    let mut best = (Last::All, f64::NEG_INFINITY);
    for (last, &(tried, value)) in LASTS.into_iter().zip(fitted.tried()) {
        let knn = ItemKnn::with_last(&data, &split, last);
        let ranks = rank_cases(&data, &split.valid, &knn, &[Mask::History]).unwrap();
        let want = figures(&ranks[0]).0.get("NDCG@10").unwrap();
        assert_eq!(tried, last);
        assert!(abs_diff_eq!(value, want, epsilon = 1e-12), "{last}: {value}, not {want}");
        if want > best.1 {
            best = (last, want);
        }
    }
    assert_eq!(fitted.last(), best.0);
}

#[test]
fn rows_and_protocol() {
    #[rustfmt::skip] // a line a user
    let events = [
        (1, 1, 1), (1, 2, 2), (1, 3, 3), (1, 2, 3),
        (2, 1, 1), (2, 2, 2), (2, 1, 3), (2, 4, 9),
        (3, 2, 1), (3, 2, 2), (3, 2, 2), (3, 1, 5),
    ];
    // Eleven items that nobody else has stand between: user 4's, who trains on all of them but the last two.
    let others = (5..=17).map(|item| (4, item, i64::from(item)));
    let mut data = data(&events.into_iter().chain(others).collect::<Vec<_>>(), 4, 18);
    let options = SplitOptions { mask: Some(Mask::History), ..SplitOptions::default() };
    let split = split(&data, SplitKind::LeaveLastOut, options).unwrap();
    let ranks = rank_cases(&data, &split.test, &Popularity::new(&data, &split), &[Mask::History, Mask::None]).unwrap();
    let row = |data: &Dataset| Row::new("most-popular", data, &split, &split.test, &ranks[0], &ranks[1]);
    let json = serde_json::to_value(row(&data)).unwrap();
    let segment =
        |hr_at_10: f64, targets: usize| serde_json::json!({"HR@10": hr_at_10, "users": targets, "targets": targets});
    // Targets 2 (tied, and left out: user 1 had it), 4, 1 and 17. Never trained and so at the end: 3, 4, 16 and 17.
    assert_eq!(json["tied"], segment(0.0, 0));
    assert_eq!(json["untied"], segment(2.0 / 3.0, 3));
    assert_eq!(json["repeat"], segment(0.0, 0));
    assert_eq!(json["new"], segment(2.0 / 3.0, 3));
    assert_eq!(json["with_train"], segment(1.0, 1));
    // User 4's mask leaves 1, 2, 3, 4 and 17: places 3 to 5. User 2's leaves eleven with a count before.
    assert_eq!(json["without_train"], segment(0.5, 2));
    assert_eq!(json["with_history"], segment(2.0 / 3.0, 3));
    assert_eq!(json["without_history"], segment(0.0, 0));
    assert_eq!(json["metrics"]["Precision@50"], 0.02);
    assert!(json.get("h").is_none() && json.get("seconds").is_none());
    // Nothing masked: the repeat is item 2, the most popular.
    let all = Row::new("most-popular", &data, &split, &split.test, &ranks[1], &ranks[1]);
    assert_eq!((all.repeat.hr_at_10, all.repeat.targets, all.tied.unwrap().targets), (1.0, 1, 1));
    assert_eq!(all.new.targets, 3);
    data.time_is_order = true;
    assert!(row(&data).tied.is_none() && row(&data).untied.is_none());

    let protocol = Protocol::new(&data, &split, "off");
    assert_eq!((protocol.catalogue, protocol.users_tested, protocol.cases_tested), (17, 3, 3));
    assert_eq!((protocol.targets_tested, protocol.targets_left_out, protocol.cases_left_out), (3, 1, 1));
    assert_eq!((protocol.targets_in_history, protocol.targets_without_train), (0.25, 2));
    let report = Report {
        command: "eval".into(),
        version: "0".into(),
        seed: 1,
        device: DeviceName { kind: "cpu".into(), name: "some".into() },
        protocol: Some(protocol),
        rows: [Last::Events(3), Last::All].map(|h| Row { h: Some(h), ..row(&data) }).to_vec(),
        more: serde_json::Map::from_iter([("threads".into(), 2.into())]),
    };
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["rows"][0]["h"], &json["rows"][1]["h"]), (&3.into(), &"all".into()));
    assert_eq!((&json["threads"], &json["protocol"]["mask"]), (&2.into(), &"history".into()));
}

/// `/proc` counts in kB; a buffer that was written to shows.
#[test]
fn peak_memory() {
    let Some(before) = peak_memory_bytes() else {
        return;
    };
    let buffer = std::hint::black_box(vec![1u8; 64 << 20]);
    let after = peak_memory_bytes().unwrap();
    assert!(after >= buffer.len() as u64 && after >= before && after < 64 << 30, "{before}, {after}");
}

/// Scores of one test case.
trait Scored: Scorer {
    fn scored(&self, data: &Dataset, split: &Split, case: usize) -> Vec<f32> {
        let mut out = vec![f32::NAN; data.items.rows()];
        self.scores(&[&split.test[case]], &mut out).unwrap();
        out
    }
}

impl<S: Scorer> Scored for S {}
