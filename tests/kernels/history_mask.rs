//! Bits of kept history positions.

use rt_kernels::kernels::HistoryMask;
use rt_kernels::{Step, philox};
use rt_tests::{LAYS, Want, hold, out_u};

#[test]
fn bits_are_the_generators() {
    for (what, rows, words) in
        [("one word", 1, 1), ("two words a row", 65, 2), ("nothing divides", 257, 3), ("threads", 1500, 2)]
    {
        let step = Step::new(9, 42, 0, 1);
        let kernel = HistoryMask { rows, words, keep_threshold: 0xE000_0000, stream: 5 };
        let bit = |i: usize| u32::from(philox::draw([42, 0], 9, 5, i as u32) < 0xE000_0000);
        let want = (0..rows * words).map(|w| (0..32).map(|k| bit(w * 32 + k) << k).sum()).collect();
        hold(what, &kernel, &step, LAYS, &[], &[out_u(rows, words)], &[Want::Exact(want)]);
    }
}
