//! Ranks and metrics, small enough to check on paper.

use rt_data::{EvalCase, Mask};

use super::*;

/// Items 1 to 8 in the catalogue, item 9 outside; user 1's events are items 1 to 8, user 2's item 3 twice.
fn eight() -> Dataset {
    let mut events: Vec<_> = (1..=8).map(|item| (1, item, i64::from(item))).collect();
    events.extend([(2, 3, 1), (2, 3, 2)]);
    data(&events, 2, 9)
}

fn ranks(scores: [f32; 10], case: &EvalCase, mask: Mask) -> Vec<f64> {
    let found = rank_cases(&eight(), std::slice::from_ref(case), &Fixed(scores.to_vec()), &[mask]).unwrap();
    found[0].iter().next().unwrap().ranks.to_vec()
}

#[test]
fn ranks_of_ties_masks_and_several_targets() {
    // Unknown (0) and item 9, outside the catalogue, have the best scores and do not count.
    let scores = [99.0, 5.0, 4.0, 3.0, 3.0, 3.0, 2.0, 2.0, -1.0, 99.0];
    // Events 0 to 7 are items 1 to 8.
    let case = |history, targets: &[u32]| EvalCase { user: 1, history, train: 0..1, targets: targets.to_vec() };

    // Items 1 and 2 above, two others equal: 1 + 2 + 2 / 2.
    assert_eq!(ranks(scores, &case(0..0, &[2]), Mask::History), [4.0]);
    // Items 1 to 3 masked: nobody above, and one other equal.
    assert_eq!(ranks(scores, &case(0..3, &[3]), Mask::History), [1.5]);
    assert_eq!(ranks(scores, &case(0..3, &[3]), Mask::Train), [3.0]);
    assert_eq!(ranks(scores, &case(0..3, &[3]), Mask::None), [4.0]);
    // A target that stands in the history is not masked, and the other target counts against each.
    assert_eq!(ranks(scores, &case(0..4, &[2, 5]), Mask::History), [1.5, 3.5]);
    // Two events of one item are one target, and mask it once.
    let repeated = EvalCase { user: 2, history: 8..10, train: 8..9, targets: vec![9, 8] };
    assert_eq!(ranks(scores, &repeated, Mask::History), [4.0]);
    let masked_twice = EvalCase { user: 2, history: 8..10, train: 8..9, targets: vec![7] };
    assert_eq!(ranks(scores, &masked_twice, Mask::History), [7.0]);
    // Everything equal: the middle of the catalogue.
    assert_eq!(ranks([0.0; 10], &case(0..0, &[2]), Mask::History), [4.5]);
    assert_eq!(ranks([f32::NEG_INFINITY; 10], &case(0..0, &[2]), Mask::None), [4.5]);
}

#[test]
fn scores_that_are_not_numbers() {
    let data = eight();
    let case = EvalCase { user: 2, history: 8..9, train: 8..9, targets: vec![9] };
    let mut scores = vec![0.0; 10];
    (scores[0], scores[9]) = (f32::NAN, f32::NAN);
    assert!(rank_cases(&data, std::slice::from_ref(&case), &Fixed(scores.clone()), &MASKS).is_ok());
    scores[7] = f32::NAN;
    let error = rank_cases(&data, &[case], &Fixed(scores), &MASKS).unwrap_err().to_string();
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
    let found = rank_cases(&data, &cases, &Fixed(scores), &MASKS).unwrap();
    for (case, [masked, unmasked]) in cases.iter().zip(found[0].iter().zip(found[1].iter()).map(|(a, b)| [a, b])) {
        let item = 1 + case.user % items;
        assert_eq!((masked.user, unmasked.user), (case.user, case.user));
        assert_eq!(unmasked.ranks, [f64::from(item)]);
        assert_eq!(masked.ranks, [f64::from(item) - f64::from(u32::from(item > 1))]);
    }
    // Masked lists start at item 2, but for the users whose target is item 1.
    assert_eq!(found[1].distinct(), [10, 20, 50, 100]);
    assert_eq!(found[0].distinct(), [11, 21, 51, 101]);
    assert_eq!(coverage(&found[0]).get("Coverage@20"), Some(21.0 / 150.0));
}

#[test]
fn metrics_of_several_targets() {
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    let ranks = [1.0, 3.0, 10.5, 60.0];
    near(hit_rate(&ranks, 10), 1.0);
    near(recall(&ranks, 10), 0.5);
    near(recall(&ranks, 20), 0.75);
    near(precision(&ranks, 10), 0.2);
    near(precision(&ranks, 100), 0.04);
    near(mrr(&ranks[1..]), 1.0 / 3.0);
    // 1 + 1/2 of the best 1 + 1/log2(3) + 1/2 + 1/log2(5).
    near(ndcg(&ranks, 10), 1.5 / (1.5 + 1.0 / 3f64.log2() + 1.0 / 5f64.log2()));
    // The ideal ends at k.
    near(ndcg(&[2.0, 1.0, 3.0], 2), 1.0);
    near(ndcg(&[2.0], 10), 1.0 / 3f64.log2());
    // A tie over places 10 and 11 is outside 10.
    near(hit_rate(&[10.5], 10), 0.0);
    near(ndcg(&[10.5], 10), 0.0);
}

#[test]
fn standard_errors_and_pairs() {
    let data = eight();
    let case = |user, event: u32| EvalCase { user, history: 0..0, train: 0..0, targets: vec![event] };
    let mut scores: Vec<f32> = vec![0.0; 10];
    scores[1] = 1.0;
    // Ranks 1 (item 1) and 5 (item 3, among seven equals): reciprocals 1 and 1/5.
    let a = rank_cases(&data, &[case(1, 0), case(2, 8)], &Fixed(scores.clone()), &[Mask::None]).unwrap();
    let (means, errors) = figures(&a[0]);
    assert!((means.get("MRR").unwrap() - 0.6).abs() < 1e-12);
    // Deviation sqrt(2 * 0.4^2 / 1), over sqrt(2).
    assert!((errors.get("MRR").unwrap() - 0.4).abs() < 1e-12);
    assert_eq!(errors.get("HR@10"), Some(0.0));
    let names = |figures: &Figures| figures.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&means), names(&errors));

    // Two cases of one user are one cluster. Reciprocals 1, 1/5, 1/5, mean 7/15 ...
    let b = rank_cases(&data, &[case(1, 0), case(2, 8), case(2, 9)], &Fixed(scores), &[Mask::None]).unwrap();
    let (_, errors) = figures(&b[0]);
    // ... so the users' sums of deviations are 8/15 and -8/15: sqrt(2 * (8/15)^2 * 2 / 1) / 3.
    assert!((errors.get("MRR").unwrap() - 16.0 / 45.0).abs() < 1e-12);

    let pair = paired(&a[0], &a[0]).unwrap();
    assert_eq!((pair.difference, pair.stderr, pair.users), (0.0, 0.0, 2));
    assert!(paired(&a[0], &b[0]).is_err());
}
