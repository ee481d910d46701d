//! Expected counts of candidates, as logarithms.

use rt_kernels::Step;
use rt_kernels::kernels::LogQ;
use rt_tests::{LAYS, Want, f, hold, ids, out_f, u, uniform};

#[test]
fn batch_targets_get_the_number_of_negatives_and_padding_is_left_out() {
    for (what, n, valid) in
        [("one", 1, 1), ("one over a workgroup", 65, 60), ("all valid", 257, 257), ("none valid", 64, 0)]
    {
        let (table, ids) = (uniform(50, 1), ids(n, 50, 2));
        let step = Step::new(1, 1, 0, valid);
        let reads = [f(&table, 50, 1), u(&ids, n, 1)];
        let plain = Want::floats(ids.iter().map(|id| table[*id as usize] + 0.75));
        let kernel = LogQ { n, batch: false, constant: 0.75 };
        hold(what, &kernel, &step, LAYS, &reads, &[out_f(n, 1)], &[plain]);
        let value =
            |(i, id): (usize, &u32)| if i < valid as usize { table[*id as usize] + step.ln_negatives } else { 1e30 };
        let batch = Want::floats(ids.iter().enumerate().map(value));
        let kernel = LogQ { n, batch: true, constant: 0.0 };
        hold(what, &kernel, &step, LAYS, &reads, &[out_f(n, 1)], &[batch]);
    }
    assert!((f64::from(Step::new(1, 1, 0, 101).ln_negatives) - 100f64.ln()).abs() < 1e-6);
}
