//! Draws of negatives: equal on every device, and distributed as asked.

use approx::abs_diff_eq;
use rt_kernels::kernels::{DrawAlias, DrawUniform, DrawUnseen, alias_table};
use rt_kernels::{Kernel, Step, philox};
use rt_models::{Sampler, sampler_probabilities};
use rt_tests::{LAYS, Lay, Want, devices, hold, ints, out_u, run, u};

fn high(a: u32, b: u32) -> u32 {
    ((u64::from(a) * u64::from(b)) >> 32) as u32
}

#[test]
fn draws_are_the_same_everywhere() {
    let weights: Vec<f64> = (0..101).map(|i| if i % 10 == 0 { 0.0 } else { f64::from(i).powf(0.75) }).collect();
    let (threshold, alias) = alias_table(&weights).unwrap();
    for (what, n) in [("one", 1), ("one over a workgroup", 65), ("nothing divides", 20_011)] {
        let step = Step::new(4, 99, 0, 1);
        let draw = |i: usize| philox::draw([99, 0], 4, 3, i as u32);
        let uniform = (0..n).map(|i| 7 + high(draw(i), 1000)).collect();
        let kernel = DrawUniform { n, low: 7, count: 1000, stream: 3 };
        hold(what, &kernel, &step, LAYS, &[], &[out_u(n, 1)], &[Want::Exact(uniform)]);
        let pick = |i: usize| {
            let bucket = high(draw(2 * i), 101);
            if draw(2 * i + 1) < threshold[bucket as usize] { bucket } else { alias[bucket as usize] }
        };
        let by_alias = Want::Exact((0..n).map(pick).collect());
        let reads = [u(&threshold, 101, 1), u(&alias, 101, 1)];
        hold(what, &DrawAlias { n, stream: 3 }, &step, LAYS, &reads, &[out_u(n, 1)], &[by_alias]);
    }
}

#[test]
fn alias_draws_follow_the_weights() {
    let weights: Vec<f64> = (0..40).map(|i| if i % 7 == 0 { 0.0 } else { f64::from(i * i) }).collect();
    let total: f64 = weights.iter().sum();
    let (threshold, alias) = alias_table(&weights).unwrap();
    let n = 400_000;
    let reads = [u(&threshold, 40, 1), u(&alias, 40, 1)];
    let got =
        run(&devices()[1], DrawAlias { n, stream: 1 }, &Step::new(1, 5, 0, 1), Lay::Dense, &reads, &[out_u(n, 1)]);
    let mut counts = [0u32; 40];
    for id in ints(&got[0]) {
        counts[id as usize] += 1;
    }
    let mut chi2 = 0.0;
    for (id, (count, weight)) in counts.iter().zip(&weights).enumerate() {
        if *weight == 0.0 {
            assert_eq!(*count, 0, "id {id} has weight 0 and was drawn");
            continue;
        }
        let expected = n as f64 * weight / total;
        chi2 += (f64::from(*count) - expected).powi(2) / expected;
    }
    // 34 ids are drawn: 33 degrees of freedom, whose 99.99 % point is 74.
    assert!(chi2 < 74.0, "chi^2 = {chi2}");
}

#[test]
fn samplers_draw_with_the_probabilities_that_they_state() {
    // 60 items, 50 of them in the catalogue; counts with ties and zeros.
    let counts: Vec<u32> = (0..60u32).map(|i| if i % 9 == 0 { 0 } else { i * i % 37 }).collect();
    let catalogue: Vec<u32> = (1..60).filter(|i| i % 6 != 5).collect();
    let n = 400_000;
    for sampler in [Sampler::Uniform, Sampler::Popularity, Sampler::Log, Sampler::Zipf] {
        let p = sampler_probabilities(sampler, 0.75, &counts, &catalogue);
        assert!(abs_diff_eq!(p.iter().sum::<f64>(), 1.0, epsilon = 1e-12), "{sampler:?}");
        let (threshold, alias) = alias_table(&p).unwrap();
        let reads = [u(&threshold, 60, 1), u(&alias, 60, 1)];
        let draw = |device| {
            let kernel = DrawAlias { n, stream: 2 };
            ints(&run(device, kernel, &Step::new(7, 11, 0, 1), Lay::Dense, &reads, &[out_u(n, 1)])[0])
        };
        let drawn = draw(&devices()[0]);
        for device in &devices()[1..] {
            assert!(drawn == draw(device), "{sampler:?}, {device:?}: other draws");
        }
        let mut got = [0u32; 60];
        drawn.iter().for_each(|id| got[*id as usize] += 1);
        let (mut chi2, mut cells) = (0.0, 0);
        for (id, (got, p)) in got.iter().zip(&p).enumerate() {
            if *p == 0.0 {
                assert_eq!(*got, 0, "{sampler:?}: id {id} has probability 0 and was drawn");
                continue;
            }
            let expected = n as f64 * p;
            chi2 += (f64::from(*got) - expected).powi(2) / expected;
            cells += 1;
        }
        // Mean and variance of chi^2 are d and 2 d; with Wilson and Hilferty's cube the 99.99 % point (3.72 deviations) is:
        let d = f64::from(cells - 1);
        let bound = d * (1.0 - 2.0 / (9.0 * d) + 3.72 * (2.0 / (9.0 * d)).sqrt()).powi(3);
        assert!(chi2 < bound, "{sampler:?}: chi^2 = {chi2}, at most {bound}");
    }
}

#[test]
fn tables_give_back_their_weights_and_refuse_nonsense() {
    for weights in [
        vec![1.0],
        vec![0.0, 3.0],
        vec![1e-9, 1.0, 1e9],
        vec![2.0; 7],
        (0..1000).map(f64::from).collect(),
        vec![1e308, 0.0, 5e307, 1e308],
    ] {
        let (threshold, alias) = alias_table(&weights).unwrap();
        let n = weights.len() as f64;
        let mut share = vec![0.0; weights.len()];
        for (i, (t, a)) in threshold.iter().zip(&alias).enumerate() {
            let own = f64::from(*t) / 4_294_967_296.0;
            share[i] += own / n;
            share[*a as usize] += (1.0 - own) / n;
        }
        let total: f64 = weights.iter().map(|w| w / 1024.0).sum(); // no f64 holds the sum of the last ones
        for (share, weight) in share.iter().zip(&weights) {
            let weight = weight / 1024.0;
            assert!(abs_diff_eq!(*share, weight / total, epsilon = 1e-9), "{share} for {}", weight / total);
        }
    }
    for bad in [vec![], vec![0.0, 0.0], vec![1.0, -1.0], vec![f64::NAN, 1.0], vec![f64::INFINITY]] {
        assert!(alias_table(&bad).is_err(), "{bad:?}");
    }
}

/// A draw of no id writes the least one: what is said of the words holds for it too.
#[test]
fn draws_of_nothing_write_what_they_say() {
    let (n, low) = (3, 40);
    let kernel = DrawUniform { n, low, count: 0, stream: 1 };
    hold("none", &kernel, &Step::default(), LAYS, &[], &[out_u(n, 1)], &[Want::Exact(vec![low; n])]);
    assert_eq!(kernel.made(0, &[]).map(|made| made.below(0)), Some(low + 1));
    let unseen = DrawUnseen { rows: 1, k: 1, count: 0, tries: 1, stream: 1 };
    let reads = [u(&[0], 1, 1), u(&[9], 1, 1), u(&[7], 1, 1), u(&[0, 0], 1, 2), None, None];
    hold("none unseen", &unseen, &Step::default(), LAYS, &reads, &[out_u(1, 1)], &[Want::Exact(vec![1])]);
    assert_eq!(unseen.made(0, &[None; 6]).map(|made| made.below(0)), Some(2));
}
