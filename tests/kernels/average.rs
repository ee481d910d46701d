//! Averages of parameters: what is kept lazily is what would be kept every step.

use crate::group::grouped;
use rt_kernels::Step;
use rt_kernels::kernels::{AverageDense, AverageRows, StampRows};
use rt_tests::{LAYS, Lay, Want, f, hold, ids, uniform};

#[test]
fn touched_rows_are_brought_up_to_the_step_before() {
    for (what, n, dim, vocab, step) in [
        ("one cell, first step", 1, 1, 2, 1u32),
        ("no entry", 0, 3, 5, 4),
        ("nothing divides", 900, 33, 300, 70),
        ("two tasks of rows", 500, 8, 20_000, 9),
    ] {
        let base = 40;
        let mut entries: Vec<(u32, u32)> = vec![(1, 0), (base + vocab + 1, 0)];
        let key = |id: &u32| (if *id == 0 { 0 } else { base + id }, 0);
        entries.extend(ids(n, vocab, 3).iter().map(key));
        let groups = grouped(entries, &[0, base, base + vocab]);
        let v = vocab as usize;
        let (table, average) = (uniform(v * dim, 1), uniform(v * dim, 2));
        let last: Vec<f32> = ids(v, step, 5).iter().map(|s| *s as f32).collect();
        let [keys, _, _, first] = groups.operands();
        let decay = 0.97f32;
        let (mut want, mut stamps) = (average.iter().map(|x| (f64::from(*x), 0.0)).collect::<Vec<_>>(), last.clone());
        for (key, _) in groups.runs(1) {
            let r = (key - base) as usize;
            let factor = f64::from(decay).powf(f64::from(step) - 1.0 - f64::from(last[r]));
            for c in r * dim..(r + 1) * dim {
                let (w, e) = (f64::from(table[c]), f64::from(average[c]));
                // exp of up to 70 * .03 = 2.2, good to 3 + 2 * 2.2 units, and the rounding of its argument.
                want[c] = (w + factor * (e - w), 1e-6 * (1.0 + (e - w).abs()));
            }
            stamps[r] = step as f32 - 1.0;
        }
        let at = Step::new(step, 1, 0, 1);
        let kernel = AverageRows { table: 1, base, capacity: n + 2, dim, tables: 3, decay };
        let reads = [keys.clone(), first.clone(), f(&table, v, dim), f(&last, v, 1)];
        hold(what, &kernel, &at, LAYS, &reads, &[f(&average, v, dim)], &[Want::Close(want)]);
        let kernel = StampRows { table: 1, base, capacity: n + 2, tables: 3 };
        hold(what, &kernel, &at, LAYS, &[keys, first], &[f(&last, v, 1)], &[Want::floats(stamps)]);
    }
}

#[test]
fn dense_averages_start_with_the_second_step() {
    for n in [1, 65, 40_001] {
        let (w, e) = (uniform(n, 1), uniform(n, 2));
        for (step, factor) in [(1, 1.0), (2, 0.9), (50, 0.9)] {
            let cell = |(w, e): (&f32, &f32)| f64::from(*w) + factor * (f64::from(*e) - f64::from(*w));
            let want = Want::within(w.iter().zip(&e).map(cell), 1e-6);
            let kernel = AverageDense { n, decay: 0.9 };
            let at = Step::new(step, 1, 0, 1);
            hold("dense", &kernel, &at, &[Lay::Dense], &[f(&w, n, 1)], &[f(&e, n, 1)], &[want]);
        }
    }
}
