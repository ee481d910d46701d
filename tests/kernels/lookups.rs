//! Lookups side by side, on every device, to the bit.

use rt_kernels::kernels::{Lookup, Lookups};
use rt_kernels::{Dtype, Step};
use rt_tests::{Lay, devices_with_checks, ids, ints, out_u, run, u};

#[test]
fn each_lookup_copies_its_rows() {
    #[rustfmt::skip] // a table
    let cases: &[(&str, &[(usize, usize)])] = &[
        // why it is here                          rows, cols of each
        ("one",                                    &[(3, 5)]),
        ("two that end within a workgroup",        &[(33, 1), (7, 9)]),
        ("more writes than a dispatch binds",      &[(65, 3), (1, 1), (20, 64), (64, 2), (5, 7)]),
        ("more lookups than a dispatch lists",     &[(4, 2); 19]),
        ("no row",                                 &[(0, 4), (9, 4)]),
    ];
    for (what, shapes) in cases {
        let vocab = 50;
        let list = shapes.iter().map(|&(rows, cols)| Lookup { rows, cols, dtype: Dtype::U32 }).collect();
        let tables: Vec<Vec<u32>> = shapes.iter().zip(1..).map(|(s, seed)| ids(vocab * s.1, u32::MAX, seed)).collect();
        let chosen: Vec<Vec<u32>> = shapes.iter().zip(90..).map(|(s, seed)| ids(s.0, vocab as u32, seed)).collect();
        let each = || shapes.iter().zip(&tables).zip(&chosen);
        let reads: Vec<_> = each().flat_map(|((s, table), ids)| [u(table, vocab, s.1), u(ids, s.0, 1)]).collect();
        let writes: Vec<_> = shapes.iter().map(|s| out_u(s.0, s.1)).collect();
        let kernel = Lookups { list };
        for device in devices_with_checks() {
            for lay in [Lay::Dense, Lay::Strided] {
                let got = run(device, kernel.clone(), &Step::default(), lay, &reads, &writes);
                for (((s, table), ids), got) in each().zip(&got) {
                    let want: Vec<u32> =
                        ids.iter().flat_map(|id| table[*id as usize * s.1..][..s.1].to_vec()).collect();
                    assert_eq!(ints(got), want, "{what}, {device:?}, {lay:?}");
                }
            }
        }
    }
}
