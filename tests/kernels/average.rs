//! Moving averages of weights against the step-by-step definition in f64.

use crate::group::grouped;
use approx::abs_diff_eq;
use rt_kernels::Step;
use rt_kernels::kernels::{DenseRule, EmaDecay, EmaPart, EmaRows, UpdateDense};
use rt_tests::{EPS, LAYS, Want, f, hold, ids, uniform};

/// d_s as the documentation has it.
fn stays(decay: f64, s: u32) -> f64 {
    decay.min((f64::from(s) - 1.0) / (f64::from(s) + 9.0))
}

#[test]
fn products_of_decays_are_those_of_their_steps() {
    for decay in [0.5f32, 0.9, 0.999] {
        let d = EmaDecay::new(decay);
        let mut ends: Vec<u32> = (1..60).chain([90, 91, 92, 500, 9_989, 9_990, 9_991, 12_000]).collect();
        ends.dedup();
        for s in &ends {
            assert!(abs_diff_eq!(f64::from(d.at(*s)), stays(decay.into(), *s), epsilon = 1e-6), "{decay}, step {s}");
        }
        for from in [0, 1, 2, 10, 11, 12, 91, 92, 9_990, 9_995] {
            for to in &ends {
                let want: f64 = (from.max(1)..=*to).map(|s| stays(decay.into(), s)).product();
                let got = f64::from(d.over(from as f32, *to as f32));
                assert!(
                    abs_diff_eq!(got, want, epsilon = 2e-5 * want + 1e-30),
                    "{decay}, {from} to {to}: {got} is not {want}"
                );
            }
        }
        assert_eq!(d.over(7.0, 6.0), 1.0, "no step");
    }
}

#[test]
fn dense_averages_follow_the_update() {
    for (what, n, step) in [("the first step", 5, 1), ("warm", 70, 9), ("cold", 40_001, 100_000)] {
        let (g, w, average) = (uniform(n, 3), uniform(n, 1), uniform(n, 2));
        let d = stays(0.99f32.into(), step);
        let step = Step::new(step, 0, 0, 1).with_rates(0.125, 0.0, 0.9, 0.999);
        let after: Vec<f64> = w.iter().zip(&g).map(|(w, g)| f64::from(*w) - 0.125 * f64::from(*g)).collect();
        let want = after.iter().zip(&average).map(|(w, a)| {
            let a = f64::from(*a);
            (w + d * (a - w), 8.0 * EPS * (w.abs() + a.abs() + 1.0))
        });
        let average_of = Some(EmaDecay::new(0.99));
        let kernel = UpdateDense { rule: DenseRule::Sgd, n, weight_decay: 0.0, average: average_of };
        let writes = [f(&w, n, 1), None, None, f(&average, n, 1)];
        let want = [Want::within(after.clone(), 4.0 * EPS), Want::Nothing, Want::Nothing, Want::Close(want.collect())];
        hold(what, &kernel, &step, LAYS, &[f(&g, n, 1)], &writes, &want);
    }
}

#[test]
fn rows_catch_up_with_the_steps_that_they_stood_still() {
    #[rustfmt::skip] // a table
    let cases = [
        // entries, dim, ids, decay, step
        (0,      3,     5, 0.9, 7),
        (1,      1,     2, 0.9, 1),
        (30,     5,    20, 0.9, 12),
        (200,   33,    60, 0.9, 95),      // across the end of the warm-up
        (3_000, 64, 4_000, 0.999, 300),   // several tasks
        (130,   16,    90, 0.9, 400),     // cold
    ];
    for (n, dim, vocab, decay, now) in cases {
        let base = 40;
        let mut entries: Vec<(u32, u32)> = vec![(1, 0), (base + vocab + 1, 0)];
        entries.extend(ids(n, vocab, 3).iter().filter(|id| **id != 0).map(|id| (base + id, 0)));
        let groups = grouped(entries, &[0, base, base + vocab]);
        let v = vocab as usize;
        let (w, average) = (uniform(v * dim, 1), uniform(v * dim, 2));
        // Never seen, seen just now, and anything between.
        let seen: Vec<f32> = ids(v, now + 1, 5).iter().map(|s| *s as f32).collect();
        let exact = |x: &[f32]| x.iter().map(|x| (f64::from(*x), 0.0)).collect::<Vec<_>>();
        let (mut want, mut marks) = (exact(&average), exact(&seen));
        for (key, _) in groups.runs(1) {
            let id = (key - base) as usize;
            let d: f64 = ((seen[id] as u32).max(1)..now).map(|s| stays(decay, s)).product();
            for c in id * dim..(id + 1) * dim {
                let (w, a) = (f64::from(w[c]), f64::from(average[c]));
                want[c] = (w + d * (a - w), 1e-5 * (w.abs() + a.abs()));
            }
            marks[id] = (f64::from(now), 0.0);
        }
        let [keys, _, _, first] = groups.operands();
        let table = f(&w, v, dim);
        let kernel = |part| EmaRows {
            decay: EmaDecay::new(decay as f32),
            part,
            table: 1,
            base,
            capacity: n.max(1),
            dim,
            tables: 3,
        };
        let what = format!("{n} entries, {dim} columns, step {now}");
        let step = Step::new(now, 0, 0, 1);
        let reads = [keys, first, table];
        let writes = [f(&average, v, dim), f(&seen, v, 1)];
        let close = Want::Close;
        let whole = [close(want.clone()), close(marks.clone())];
        hold(&what, &kernel(EmaPart::Whole), &step, LAYS, &reads, &writes, &whole);
        let rows = [close(want), close(exact(&seen))];
        hold(&format!("{what}, rows"), &kernel(EmaPart::Rows), &step, LAYS, &reads, &writes, &rows);
        let [keys, first, _] = reads;
        let writes = [None, f(&seen, v, 1)];
        let seen = [Want::Nothing, close(marks)];
        hold(&format!("{what}, marks"), &kernel(EmaPart::Seen), &step, LAYS, &[keys, first, None], &writes, &seen);
    }
}
