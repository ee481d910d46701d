//! Ranks and metrics, small enough to check on paper.

use approx::{abs_diff_eq, assert_abs_diff_eq};
use rt_data::{EvalCase, Mask};

use super::*;

/// Items 1 to 8 in the catalogue, item 9 outside; user 1's events are items 1 to 8, user 2's item 3 twice.
fn eight() -> Dataset {
    let mut events: Vec<_> = (1..=8).map(|item| (1, item, i64::from(item))).collect();
    events.extend([(2, 3, 1), (2, 3, 2)]);
    data(&events, 2, 9)
}

/// Where the targets stand that the mask leaves: (items before, items tied).
fn places(scores: [f32; 10], case: &EvalCase, mask: Mask) -> Vec<(u32, u32)> {
    let found = rank_cases(&eight(), std::slice::from_ref(case), &Fixed(scores.to_vec()), &[mask]).unwrap();
    found[0].iter().flat_map(|case| case.places).map(|place| (place.before, place.tied)).collect()
}

#[test]
fn places_of_ties_masks_and_several_targets() {
    // Unknown (0) and item 9, outside the catalogue, have the best scores and do not count.
    let scores = [99.0, 5.0, 4.0, 3.0, 3.0, 3.0, 2.0, 2.0, -1.0, 99.0];
    // Events 0 to 7 are items 1 to 8.
    let case = |history, targets: &[u32]| EvalCase { user: 1, history, train: 0..1, targets: targets.to_vec() };

    // Items 1 and 2 above, two others equal.
    assert_eq!(places(scores, &case(0..0, &[2]), Mask::History), [(2, 3)]);
    // Items 1 to 3 masked: nobody above, and one other equal.
    assert_eq!(places(scores, &case(0..3, &[3]), Mask::History), [(0, 2)]);
    assert_eq!(places(scores, &case(0..3, &[3]), Mask::Train), [(1, 3)]);
    assert_eq!(places(scores, &case(0..3, &[3]), Mask::None), [(2, 3)]);
    // A target that the user had cannot be answered; the other one is ranked without it.
    assert_eq!(places(scores, &case(0..4, &[2, 5]), Mask::History), [(1, 2)]);
    assert_eq!(places(scores, &case(0..4, &[2, 5]), Mask::Train), [(1, 3), (4, 2)]);
    assert_eq!(places(scores, &case(0..4, &[2, 5]), Mask::None), [(2, 3), (5, 2)]);
    // Two events of one item are one target, and mask it once.
    let repeated = EvalCase { user: 2, history: 8..10, train: 8..9, targets: vec![9, 8] };
    assert_eq!(places(scores, &repeated, Mask::History), []);
    assert_eq!(places(scores, &repeated, Mask::None), [(2, 3)]);
    let masked_twice = EvalCase { user: 2, history: 8..10, train: 8..9, targets: vec![7] };
    assert_eq!(places(scores, &masked_twice, Mask::History), [(6, 1)]);
    // Everything equal: anywhere in the catalogue.
    assert_eq!(places([0.0; 10], &case(0..0, &[2]), Mask::History), [(0, 8)]);
    assert_eq!(places([f32::NEG_INFINITY; 10], &case(0..0, &[2]), Mask::None), [(0, 8)]);
}

/// What is masked is counted, a case without another target is left out, and the others keep their numbers.
#[test]
fn targets_that_are_masked_are_counted() {
    let case = |user, history, targets: &[u32]| EvalCase { user, history, train: 0..1, targets: targets.to_vec() };
    let cases = [case(1, 0..4, &[2]), case(1, 0..4, &[2, 5]), case(1, 0..4, &[6])];
    let found = rank_cases(&eight(), &cases, &Fixed(vec![0.0; 10]), &[Mask::History, Mask::Train, Mask::None]).unwrap();
    let counts: Vec<_> = found.iter().map(|f| (f.len(), f.cases_left_out, f.targets_left_out)).collect();
    assert_eq!(counts, [(2, 1, 2), (3, 0, 0), (3, 0, 0)]);
    assert_eq!(found[0].iter().map(|case| case.case).collect::<Vec<_>>(), [1, 2]);
    assert!(paired(&found[0], &found[1]).is_err(), "other targets, so no pairs");
    // No list of a case that is left out counts for coverage.
    let one = rank_cases(&eight(), &cases[..1], &Fixed(vec![0.0; 10]), &[Mask::History]).unwrap();
    assert_eq!(coverage(&one[0]).get("Coverage@10"), Some(0.0));
    assert!(figures(&one[0]).0.is_empty());
}

#[test]
fn scores_that_are_not_numbers() {
    let data = eight();
    let case = EvalCase { user: 2, history: 8..9, train: 8..9, targets: vec![9] };
    let mut scores = vec![0.0; 10];
    (scores[0], scores[9]) = (f32::NAN, f32::NAN);
    assert!(
        rank_cases(&data, std::slice::from_ref(&case), &Fixed(scores.clone()), &[Mask::History, Mask::None]).is_ok()
    );
    scores[7] = f32::NAN;
    let error = rank_cases(&data, &[case], &Fixed(scores), &[Mask::History, Mask::None]).unwrap_err().to_string();
    assert_eq!(error, "user u2: the score of item i7 is not a number");
}

/// More cases than one chunk holds come out in order, and coverage counts items over all lists.
#[test]
fn many_cases_and_coverage() {
    let (users, items) = (700, 150);
    let events: Vec<_> = (1..=users).flat_map(|user| [(user, 1, 1), (user, 1 + user % items, 2)]).collect();
    let data = data(&events, users, items);
    let cases: Vec<EvalCase> = (0..users)
        .map(|user| EvalCase {
            user: user + 1,
            history: 2 * user..2 * user + 1,
            train: 2 * user..2 * user + 1,
            targets: vec![2 * user + 1],
        })
        .collect();
    // Item 1 is best, 150 worst.
    let scores = (0..=items).map(|item| -(item as f32)).collect();
    let found = rank_cases(&data, &cases, &Fixed(scores), &[Mask::History, Mask::None]).unwrap();
    let mut masked = found[0].iter();
    for (case, unmasked) in cases.iter().zip(found[1].iter()) {
        let item = 1 + case.user % items;
        assert_eq!(unmasked.user, case.user);
        assert_eq!(unmasked.places, [Place::at(item)]);
        if item > 1 {
            let masked = masked.next().unwrap();
            assert_eq!((masked.user, masked.places), (case.user, &[Place::at(item - 1)][..]));
        }
    }
    assert!(masked.next().is_none());
    // Masked lists start at item 2.
    let distinct = |found: &CaseRanks| KS.map(|k| found.listed(k).filter(|(_, count)| *count > 0).count());
    assert_eq!(distinct(&found[1]), [10, 20, 50, 100]);
    assert_eq!(distinct(&found[0]), [10, 20, 50, 100]);
    assert_eq!(coverage(&found[0]).get("Coverage@20"), Some(20.0 / 150.0));
}

#[test]
fn metrics_of_several_targets() {
    let near = |a: f64, b: f64| assert!(abs_diff_eq!(a, b, epsilon = 1e-12), "{a} is not {b}");
    let places = [1, 3, 11, 60].map(Place::at);
    near(hit_rate(&places, 10), 1.0);
    near(recall(&places, 10), 0.5);
    near(recall(&places, 20), 0.75);
    near(precision(&places, 10), 0.2);
    near(precision(&places, 100), 0.04);
    near(mrr(&places[1..]), 1.0 / 3.0);
    // Precisions 1/1 and 2/3 at the two hits, of four.
    near(average_precision(&places, 10), (1.0 + 2.0 / 3.0) / 4.0);
    // 1 + 1/2 of the best 1 + 1/log2(3) + 1/2 + 1/log2(5).
    near(ndcg(&places, 10), 1.5 / (1.5 + 1.0 / 3f64.log2() + 1.0 / 5f64.log2()));
    // The ideal ends at k.
    near(ndcg(&[2, 1, 3].map(Place::at), 2), 1.0);
    near(ndcg(&[Place::at(2)], 10), 1.0 / 3f64.log2());
    // Nineteen items of one score: one is the target, and it is among the first ten in ten of nineteen orders.
    let tie = [Place { before: 0, tied: 19 }];
    near(hit_rate(&tie, 10), 10.0 / 19.0);
    near(mrr(&tie), (1..=19).map(|rank| 1.0 / f64::from(rank)).sum::<f64>() / 19.0);
    // Nothing is ever the negative zero that an empty sum of floats is.
    for zero in [hit_rate(&[Place::at(11)], 10), ndcg(&[Place::at(11)], 10), average_precision(&[Place::at(11)], 10)] {
        assert!(zero == 0.0 && zero.is_sign_positive(), "{zero}");
    }
}

/// Each metric is its mean over all orders of the items that are tied: every order of a small ranking is listed.
#[test]
fn ties_by_expectation_equal_all_orders() {
    // Scores of seven items by block, and which are targets.
    let rankings: [(&[u32], &[usize]); 6] = [
        (&[4, 3], &[0, 1, 5]),
        (&[1, 5, 1], &[1, 2, 3]),
        (&[7], &[0]),
        (&[7], &[0, 1, 2, 3, 4, 5, 6]),
        (&[2, 2, 3], &[0, 1, 4, 6]),
        (&[1, 1, 1, 1, 1, 1, 1], &[2, 5]),
    ];
    type Metric = fn(&[Place]) -> f64;
    let metrics: [(&str, Metric); 7] = [
        ("HR@3", |p| hit_rate(p, 3)),
        ("Recall@3", |p| recall(p, 3)),
        ("Precision@3", |p| precision(p, 3)),
        ("NDCG@3", |p| ndcg(p, 3)),
        ("MAP@3", |p| average_precision(p, 3)),
        ("MAP@6", |p| average_precision(p, 6)),
        ("MRR", mrr),
    ];
    for (sizes, targets) in rankings {
        let mut place_of = Vec::new();
        let mut before = 0;
        for &tied in sizes {
            place_of.extend((0..tied).map(|_| Place { before, tied }));
            before += tied;
        }
        let places: Vec<Place> = targets.iter().map(|&item| place_of[item]).collect();
        let orders: Vec<Vec<usize>> =
            permutations(7).into_iter().filter(|o| o.windows(2).all(|w| place_of[w[0]] <= place_of[w[1]])).collect();
        for (name, metric) in metrics {
            let of_order = |order: &Vec<usize>| {
                let ranks = targets.iter().map(|item| 1 + order.iter().position(|other| other == item).unwrap());
                metric(&ranks.map(|rank| Place::at(rank as u32)).collect::<Vec<_>>())
            };
            let want = orders.iter().map(of_order).sum::<f64>() / orders.len() as f64;
            let got = metric(&places);
            assert!(abs_diff_eq!(got, want, epsilon = 1e-12), "{name} of {sizes:?}, {targets:?}: {got}, not {want}");
        }
    }
}

/// All orders of `0..n`.
fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let shorter = permutations(n - 1);
    shorter.iter().flat_map(|order| (0..n).map(|at| [&order[..at], &[n - 1], &order[at..]].concat())).collect()
}

#[test]
fn novelty_and_diversity_by_hand() {
    // Train: u1 {1, 2}, u2 {1, 2}, u3 {1, 3}, u4 {4}; each user's last two events do not train.
    #[rustfmt::skip] // a line a user
    let events = [
        (1, 1, 1), (1, 2, 2), (1, 5, 3), (1, 6, 4),
        (2, 1, 1), (2, 2, 2), (2, 5, 3), (2, 6, 4),
        (3, 1, 1), (3, 3, 2), (3, 5, 3), (3, 6, 4),
        (4, 4, 1), (4, 5, 2), (4, 6, 3),
    ];
    let data = data(&events, 4, 6);
    let split = rt_data::split(&data, rt_data::SplitKind::LeaveLastOut, rt_data::SplitOptions::default()).unwrap();
    // A score of minus infinity is listed nowhere: the list is items 1, 2, 3 for everybody.
    let none = f32::NEG_INFINITY;
    let scores = Fixed(vec![0.0, 3.0, 2.0, 1.0, none, none, none]);
    let ranks = rank_cases(&data, &split.test, &scores, &[Mask::None]).unwrap();
    // Of four users three had item 1, two item 2, one item 3.
    let want = ((4f64 / 3.0).log2() + 1.0 + 2.0) / 3.0;
    assert_abs_diff_eq!(novelty(&ranks[0], &data, &split).get("Novelty@10").unwrap(), want, epsilon = 1e-12);
    // Cosines: 12 = 2 / sqrt(6), 13 = 1 / sqrt(3), 23 = 0.
    let want = (3.0 - 2.0 / 6f64.sqrt() - 1.0 / 3f64.sqrt()) / 3.0;
    assert_abs_diff_eq!(diversity(&ranks[0], &data, &split).get("Diversity@10").unwrap(), want, epsilon = 1e-12);
}

#[test]
fn standard_errors_and_pairs() {
    let data = eight();
    let case = |user, event: u32| EvalCase { user, history: 0..0, train: 0..0, targets: vec![event] };
    let mut scores: Vec<f32> = vec![0.0; 10];
    scores[1] = 1.0;
    scores[3] = 0.5;
    scores[2] = 0.7;
    // Ranks 1 (item 1) and 3 (item 3): reciprocals 1 and 1/3.
    let a = rank_cases(&data, &[case(1, 0), case(2, 8)], &Fixed(scores.clone()), &[Mask::None]).unwrap();
    let (means, errors) = figures(&a[0]);
    assert_abs_diff_eq!(means.get("MRR").unwrap(), 2.0 / 3.0, epsilon = 1e-12);
    // Deviation sqrt(2 * (1/3)^2 / 1), over sqrt(2).
    assert_abs_diff_eq!(errors.get("MRR").unwrap(), 1.0 / 3.0, epsilon = 1e-12);
    assert_eq!(errors.get("HR@10"), Some(0.0));
    let names = |figures: &Figures| figures.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&means), names(&errors));

    // Two cases of one user are one cluster. Reciprocals 1, 1/3, 1/3, mean 5/9 ...
    let b = rank_cases(&data, &[case(1, 0), case(2, 8), case(2, 9)], &Fixed(scores), &[Mask::None]).unwrap();
    let (_, errors) = figures(&b[0]);
    // ... so the users' sums of deviations are 4/9 and -4/9: sqrt(2 * (4/9)^2 * 2 / 1) / 3.
    assert_abs_diff_eq!(errors.get("MRR").unwrap(), 8.0 / 27.0, epsilon = 1e-12);

    let pair = paired(&a[0], &a[0]).unwrap();
    assert_eq!((pair.difference, pair.stderr, pair.users), (0.0, 0.0, 2));
    assert!(paired(&a[0], &b[0]).is_err());
}
