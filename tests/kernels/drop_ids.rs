//! Ids left out for a step.

use rt_kernels::kernels::DropIds;
use rt_kernels::{Step, philox};
use rt_tests::{LAYS, Want, hold, ids, out_u, u};

#[test]
fn kept_ids_are_the_generators() {
    for (what, n) in [("one", 1), ("not a counter's four", 67), ("several workgroups", 1500)] {
        let step = Step::new(9, 42, 0, 1);
        let given = ids(n, 1000, 3);
        let keep = |i: usize| philox::draw([42, 0], 9, 7, i as u32) < 0xB000_0000;
        let want: Vec<u32> = (0..n).map(|i| if keep(i) { given[i] } else { 0 }).collect();
        assert!(n < 60 || want.iter().filter(|id| **id == 0).count() > n / 8, "some are left out");
        let kernel = DropIds { n, keep_threshold: 0xB000_0000, stream: 7 };
        hold(what, &kernel, &step, LAYS, &[u(&given, n, 1)], &[out_u(n, 1)], &[Want::Exact(want)]);
    }
}
