//! Checks of ids and slices on every device: what is copied, what is replaced, and which fault is noted.

use rt_kernels::Step;
use rt_kernels::kernels::{CheckIds, IdRule};
use rt_tests::{Lay, devices_with_checks, ids, ints, out_u, run, u};

/// (rows, cols, ids below, bound): the number of places is not a multiple of a workgroup, some are wrong, all, none.
const CASES: &[(&str, usize, usize, u32, u32)] = &[
    ("one, wrong", 1, 1, 9, 0),
    ("one, right", 1, 1, 9, 9),
    ("nothing", 0, 3, 9, 5),
    ("one over a workgroup", 65, 1, 100, 99),
    ("columns", 31, 7, 100, 60),
    ("many workgroups, a few wrong", 3_000, 5, 1 << 20, (1 << 20) - 200),
    ("none wrong", 500, 3, 40, 40),
    ("of all numbers", 500, 1, u32::MAX, 1 << 31),
];

#[test]
fn ids_past_the_bound_are_replaced_and_the_first_is_noted() {
    for &(what, rows, cols, below, bound) in CASES {
        let given = ids(rows * cols, below, 5);
        for null in [0, u32::MAX] {
            let kernel = CheckIds { rows, cols, rule: IdRule::Below(bound), null, number: 3 };
            let want: Vec<u32> = given.iter().map(|id| if *id < bound { *id } else { null }).collect();
            let first = given.iter().position(|id| *id >= bound);
            let fault = first.map(|p| [11, 3, p as u32, given[p], 0]);
            check(what, &kernel, &given, cols, &want, fault);
        }
    }
}

#[test]
fn slices_that_lie_nowhere_are_replaced_and_the_first_is_noted() {
    let pairs = |n: usize| [ids(n, 60, 1), ids(n, 60, 2)];
    for (what, n, bound) in [("one", 1, 5), ("some", 200, 90), ("none", 200, 200), ("nothing fits", 70, 0)] {
        let [starts, lengths] = pairs(n);
        let mut slices: Vec<u32> = starts.iter().zip(&lengths).flat_map(|(s, l)| [*s, *l]).collect();
        if n > 150 && bound < 200 {
            // Sums that wrap.
            slices[300..304].copy_from_slice(&[u32::MAX, 2, 2, u32::MAX]);
        }
        let lies = |s: &[u32]| u64::from(s[0]) + u64::from(s[1]) <= u64::from(bound);
        let want: Vec<u32> = slices.chunks(2).flat_map(|s| if lies(s) { [s[0], s[1]] } else { [0, 0] }).collect();
        let first = slices.chunks(2).position(|s| !lies(s));
        let fault = first.map(|p| [11, 3, p as u32, slices[2 * p], slices[2 * p + 1]]);
        let kernel = CheckIds { rows: n, cols: 2, rule: IdRule::Within(bound), null: 0, number: 3 };
        check(what, &kernel, &slices, 2, &want, fault);
    }
}

/// The fault, if there is one, comes after those that were noted before; the oldest makes room, and the very first stays.
fn check(what: &str, kernel: &CheckIds, given: &[u32], cols: usize, want: &[u32], fault: Option<[u32; 5]>) {
    let rows = given.len() / cols;
    for (noted, place) in [(0, 0), (3, 3), (2 * CheckIds::FAULTS as u32 + 1, 1)] {
        let mut before = vec![7; CheckIds::words()];
        before[0] = noted;
        let mut after = before.clone();
        if let Some(fault) = fault {
            after[0] += 1;
            after[1 + 5 * place..][..5].copy_from_slice(&fault);
            if noted == 0 {
                after[1 + 5 * CheckIds::FAULTS..].copy_from_slice(&fault);
                assert_eq!(CheckIds::first(&after), Some(fault));
            }
            assert_eq!(CheckIds::fault(&after, noted), Some(fault));
        }
        let faults = u(&before, 1, CheckIds::words());
        for device in devices_with_checks() {
            for lay in [Lay::Dense, Lay::Strided] {
                let writes = [out_u(rows, cols), faults.clone()];
                let got = run(device, kernel.clone(), &Step::new(11, 1, 0, 1), lay, &[u(given, rows, cols)], &writes);
                assert_eq!(ints(&got[0]), want, "{what}, {device:?}, {lay:?}");
                assert_eq!(ints(&got[1]), after, "{what}, {device:?}, {lay:?}");
            }
        }
    }
}
