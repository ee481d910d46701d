//! The generator itself, on every device.

use rt_kernels::kernels::Bits;
use rt_kernels::{Step, philox};
use rt_tests::{LAYS, Want, hold, out_u};

#[test]
fn draws_are_philoxs() {
    for (what, n) in [("one", 1), ("one over a counter", 5), ("one over a workgroup", 65), ("nothing divides", 40_001)]
    {
        for (seed, step, stream) in
            [(0, 0, 0), (u64::MAX, u32::MAX, u32::MAX), (0x299f_31d0_a409_3822, 0x85a3_08d3, 0x0370_7344)]
        {
            let want = (0..n as u32).map(|i| philox::draw(philox::key(seed), step, stream, i)).collect();
            let kernel = Bits { n, stream };
            hold(what, &kernel, &Step::new(step, seed, 0, 1), LAYS, &[], &[out_u(n, 1)], &[Want::Exact(want)]);
        }
    }
    // Random123's known answer for key 0 and counter 0, through the kernel.
    let known = vec![0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8];
    hold("published", &Bits { n: 4, stream: 0 }, &Step::default(), LAYS, &[], &[out_u(4, 1)], &[Want::Exact(known)]);
}
