//! Expected counts of candidates, as logarithms.

use approx::assert_abs_diff_eq;
use rt_kernels::Step;
use rt_kernels::kernels::LogQ;
use rt_tests::{EPS, LAYS, Want, f, hold, ids, out_f, u, uniform};

#[test]
fn batch_targets_get_the_number_of_negatives_and_padding_is_left_out() {
    for (what, n, valid) in
        [("one", 1, 1), ("one over a workgroup", 65, 60), ("all valid", 257, 257), ("none valid", 64, 0)]
    {
        let (table, ids) = (uniform(50, 1), ids(n, 50, 2));
        let step = Step::new(1, 1, 0, valid);
        let reads = [f(&table, 50, 1), u(&ids, n, 1)];
        let plain = Want::floats(ids.iter().map(|id| table[*id as usize] + 0.75));
        let kernel = LogQ { n, batch: false, constant: 0.75, first: 0 };
        hold(what, &kernel, &step, LAYS, &reads, &[out_f(n, 1)], &[plain]);
        let value =
            |(i, id): (usize, &u32)| if i < valid as usize { table[*id as usize] + step.ln_negatives } else { 1e30 };
        let batch = Want::floats(ids.iter().enumerate().map(value));
        let kernel = LogQ { n, batch: true, constant: 0.0, first: 0 };
        hold(what, &kernel, &step, LAYS, &reads, &[out_f(n, 1)], &[batch]);
    }
    assert_abs_diff_eq!(f64::from(Step::new(1, 1, 0, 101).ln_negatives), 100f64.ln(), epsilon = 1e-6);
}

#[test]
fn a_part_of_a_step_counts_its_own_examples() {
    for (what, n, first, valid) in
        [("full", 70, 0, 100), ("the rest", 70, 70, 100), ("one is left", 70, 99, 100), ("none", 70, 140, 100)]
    {
        let (table, ids) = (uniform(50, 1), ids(n, 50, 2));
        let own = (valid as usize).saturating_sub(first).min(n);
        let ln = (own.saturating_sub(1).max(1) as f64).ln();
        let value = |(i, id): (usize, &u32)| match i < own {
            // WGSL's log is good to 2^-21 from 0.5 to 2 and to 3 ULP elsewhere.
            true => (f64::from(table[*id as usize]) + ln, 2f64.powi(-21) + 8.0 * EPS * (1.0 + ln)),
            false => (f64::from(1e30f32), 0.0),
        };
        let want = Want::Close(ids.iter().enumerate().map(value).collect());
        let kernel = LogQ { n, batch: true, constant: 0.0, first };
        let reads = [f(&table, 50, 1), u(&ids, n, 1)];
        hold(what, &kernel, &Step::new(1, 1, 0, valid), LAYS, &reads, &[out_f(n, 1)], &[want]);
    }
}
