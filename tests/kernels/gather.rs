//! Rows by id: copies, so every bit must agree.

use rt_kernels::Step;
use rt_kernels::kernels::Gather;
use rt_tests::{Lay, devices_with_checks, f, floats, ids, out_f, run, u, uniform};

#[rustfmt::skip] // a table
const CASES: &[(&str, usize, usize, u32)] = &[
    // why it is here            rows  dim  table
    ("one cell",                    1,   1,    1),
    ("one short of a workgroup",   63,   1,   10),
    ("one over a workgroup",       65,   1,   10),
    ("nothing divides",           257,  33,   17),
    ("the common width",        1_000,  64,  300),
    ("past 65 535 workgroups", 70_000,  64, 1000),
];

#[test]
fn rows_are_copied() {
    for &(what, rows, dim, vocab) in CASES {
        let table = uniform(vocab as usize * dim, 1);
        let ids = ids(rows, vocab, 2);
        let want: Vec<f32> = ids.iter().flat_map(|id| table[*id as usize * dim..][..dim].to_vec()).collect();
        let reads = [f(&table, vocab as usize, dim), u(&ids, rows, 1)];
        for device in devices_with_checks() {
            for lay in [Lay::Dense, Lay::Strided] {
                let kernel = Gather { rows, dim };
                let got = run(device, kernel, &Step::default(), lay, &reads, &[out_f(rows, dim)]);
                assert!(floats(&got[0]) == want, "{what}, {device:?}, {lay:?}");
            }
        }
    }
}
