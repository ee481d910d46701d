//! What the corrections for sampling do to the gradient, as the number of samples grows.
//!
//! With (negatives corrected, hits masked) and with (all corrected, hits not masked) the gradient of the sampled loss comes to that
//! of the softmax over the whole catalogue. With (all corrected, hits masked) it does not: the positive is left with a share that
//! goes to nothing. Without logQ it does not either: frequent items are pushed down too far.

use rt_kernels::kernels::{Positive, SoftmaxLoss};
use rt_kernels::{Step, philox};
use rt_tests::{Lay, devices, f, floats, out_f, run, u, uniform};

const ITEMS: usize = 40;
const DIM: usize = 6;
const TARGET: usize = 2;
const SCALE: f32 = 2.0;

fn kernel(candidates: usize, positive: Positive, correct_positive: bool, mask_hits: bool) -> SoftmaxLoss {
    SoftmaxLoss { rows: 1, candidates, dim: DIM, scale: SCALE, positive, correct_positive, mask_hits, smoothing: 0.0 }
}

/// d loss / d item vectors of the softmax over all items.
fn full(user: &[f32], items: &[f32]) -> Vec<f64> {
    let reads = [
        f(user, 1, DIM),
        f(items, ITEMS, DIM),
        f(&[1.0], 1, 1),
        None,
        None,
        None,
        u(&[TARGET as u32], 1, 1),
        None,
        None,
        None,
    ];
    let writes = [out_f(1, 1), out_f(1, DIM), out_f(ITEMS, DIM), None];
    let kernel = kernel(ITEMS, Positive::Label, false, false);
    let out = run(&devices()[0], kernel, &Step::default(), Lay::Dense, &reads, &writes);
    floats(&out[2]).into_iter().map(f64::from).collect()
}

/// The same of the loss over `n` items drawn with probabilities q.
fn sampled(user: &[f32], items: &[f32], q: &[f64], n: usize, seed: u64, logq: (bool, bool), mask: bool) -> Vec<f64> {
    let mut cumulated = 0.0;
    let ends: Vec<f64> = q
        .iter()
        .map(|q| {
            cumulated += q;
            cumulated
        })
        .collect();
    let draw = |i: u32| f64::from(philox::draw(philox::key(seed), 1, 0, i)) / 4_294_967_296.0;
    let ids: Vec<u32> = (0..n as u32).map(|i| ends.partition_point(|e| *e <= draw(i)).min(ITEMS - 1) as u32).collect();
    let vectors: Vec<f32> = ids.iter().flat_map(|id| items[*id as usize * DIM..][..DIM].to_vec()).collect();
    let correction = |id: u32| (q[id as usize] * n as f64).ln() as f32;
    let corrections: Vec<f32> = ids.iter().map(|id| correction(*id)).collect();
    let target = TARGET as u32;
    let own = &items[TARGET * DIM..][..DIM];
    let given = |there: bool, t| if there { t } else { None };
    let reads = [
        f(user, 1, DIM),
        f(&vectors, n, DIM),
        f(&[1.0], 1, 1),
        given(logq.0, f(&corrections, n, 1)),
        given(mask, u(&ids, n, 1)),
        given(mask, u(&[target], 1, 1)),
        None,
        f(own, 1, DIM),
        given(logq.1, f(&[correction(target)], 1, 1)),
        None,
    ];
    let writes = [out_f(1, 1), out_f(1, DIM), out_f(n, DIM), out_f(1, DIM)];
    let kernel = kernel(n, Positive::Own, logq.1, mask);
    let out = run(&devices()[0], kernel, &Step::default(), Lay::Dense, &reads, &writes);
    let mut gradient = vec![0.0; ITEMS * DIM];
    let mut add = |id: usize, row: &[f32]| {
        for (to, from) in gradient[id * DIM..][..DIM].iter_mut().zip(row) {
            *to += f64::from(*from);
        }
    };
    add(TARGET, &floats(&out[3]));
    for (id, row) in ids.iter().zip(floats(&out[2]).chunks(DIM)) {
        add(*id as usize, row);
    }
    gradient
}

#[test]
fn two_corrections_come_to_the_full_softmax_and_two_do_not() {
    let (user, items) = (uniform(DIM, 1), uniform(ITEMS * DIM, 2));
    // Some items are drawn twenty times as often as others; the target is a frequent one.
    let weight = |j: usize| if j % 4 == TARGET { 2.0 } else { 0.1 + (j % 7) as f64 / 10.0 };
    let total: f64 = (0..ITEMS).map(weight).sum();
    let q: Vec<f64> = (0..ITEMS).map(|j| weight(j) / total).collect();
    let want = full(&user, &items);
    let size = want.iter().map(|g| g * g).sum::<f64>().sqrt();
    // Distance from the full gradient, over its length: the mean of five draws.
    let distance = |n: usize, logq, mask| {
        let of = |seed| {
            let got = sampled(&user, &items, &q, n, seed, logq, mask);
            want.iter().zip(&got).map(|(w, g)| (w - g) * (w - g)).sum::<f64>().sqrt() / size
        };
        (1..=5).map(of).sum::<f64>() / 5.0
    };
    for (what, logq, mask, comes) in [
        ("negatives corrected, hits masked", (true, false), true, true),
        ("all corrected, hits not masked", (true, true), false, true),
        ("all corrected, hits masked", (true, true), true, false),
        ("no logQ, hits masked", (false, false), true, false),
        ("no logQ, hits not masked", (false, false), false, false),
    ] {
        let distances = [10, 100, 1_000, 20_000].map(|n| distance(n, logq, mask));
        let [few, _, many, most] = distances;
        if comes {
            assert!(distances.windows(2).all(|w| w[1] < w[0]), "{what}: {distances:?} does not fall");
            assert!(most < 0.02 && most < 0.1 * few, "{what}: {distances:?}");
        } else {
            assert!(most > 0.1 && most > 0.8 * many, "{what}: {distances:?} comes to the full gradient");
        }
    }
}
