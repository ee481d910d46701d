//! Weight decay of touched rows.

use crate::group::grouped;
use rt_kernels::Step;
use rt_kernels::kernels::DecayRows;
use rt_tests::{EPS, LAYS, Want, f, hold, ids, uniform};

#[test]
fn touched_rows_shrink_and_no_other() {
    for (n, dim, vocab) in [(0, 3, 5), (1, 1, 2), (65, 7, 40), (3_000, 33, 4_000)] {
        let base = 40;
        let mut entries: Vec<(u32, u32)> = vec![(1, 0), (base + vocab + 1, 0)];
        entries.extend(ids(n, vocab, 3).iter().filter(|id| **id != 0).map(|id| (base + id, 0)));
        let groups = grouped(entries, &[0, base, base + vocab]);
        let v = vocab as usize;
        let w = uniform(v * dim, 1);
        let step = Step::new(3, 0, 0, 1).with_rates(0.5, 0.25, 0.9, 0.999);
        let mut want: Vec<(f64, f64)> = w.iter().map(|w| (f64::from(*w), 0.0)).collect();
        for (key, _) in groups.runs(1) {
            for (cell, bound) in &mut want[(key - base) as usize * dim..][..dim] {
                // lr_rows, not lr.
                *cell *= 1.0 - 0.25 * f64::from(0.1f32);
                *bound = 4.0 * EPS * cell.abs();
            }
        }
        let [keys, _, _, first] = groups.operands();
        let kernel = DecayRows { decay: 0.1, table: 1, base, capacity: n.max(1), dim, tables: 3 };
        let what = format!("{n} entries, {dim} columns");
        hold(&what, &kernel, &step, LAYS, &[keys, first], &[f(&w, v, dim)], &[Want::Close(want)]);
    }
}
