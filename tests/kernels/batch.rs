//! Examples of a step, against the same rules written with 64-bit numbers and nothing shared.

use rt_kernels::Step;
use rt_kernels::kernels::Batch;
use rt_tests::{Lay, devices_with_checks, out_f, out_u, run, u};

/// Events by user: user 0 has none (padding), lengths from none to longer than the history.
fn data(lengths: &[u32]) -> (Vec<u32>, Vec<u32>, Vec<u32>, Vec<u32>) {
    let (mut users, mut starts) = (Vec::new(), vec![0u32]);
    for (user, n) in lengths.iter().enumerate() {
        users.extend(vec![user as u32; *n as usize]);
        starts.push(users.len() as u32);
    }
    let items = (0..users.len() as u32).map(|e| e * 7 % 13 + 1).collect();
    let ends = starts[1..].to_vec();
    (items, users, starts, ends)
}

#[rustfmt::skip] // a table
const CASES: &[(&str, usize, u32, u32, usize, usize)] = &[
    // why it is here                 batch offset valid history first
    ("one row",                           1,   0,    1,    5,    0),
    ("all padding",                       5,   3,    0,    5,    0),
    ("half padding, from the middle",    64,  20,   31,    5,    0),
    ("one short of a workgroup, full",   63,   0,   63,    3,    0),
    ("one over a workgroup",             65,   7,   65,    1,    0),
    ("no history",                       40,   0,   40,    0,    0),
    ("history of any length",            90,   0,   80,    usize::MAX, 0),
    ("the first of two batches",         30,   5,   50,    5,    0),
    ("the second of two batches",        30,   5,   50,    5,   30),
    ("a batch past the examples",        30,   5,   30,    5,   30),
];

#[test]
fn rows_are_as_the_rules_say() {
    // Users without events stand first, in the middle (one and two together) and last; then the last one has events; then all.
    for lengths in [&[0, 1, 2, 30, 0, 7, 0, 0, 50, 0][..], &[0, 1, 2, 30, 0, 7, 0, 0, 1, 49], &[0, 90]] {
        check(lengths);
    }
}

fn check(lengths: &[u32]) {
    let (items, users, starts, ends) = data(lengths);
    let order: Vec<u32> = (0..items.len() as u32).map(|i| i * 37 % 90).collect();
    let n = items.len();
    for &(what, batch, offset, valid, history, first) in CASES {
        for set in [false, true] {
            let [mut user, mut target, mut hole, mut event] = [const { Vec::<u32>::new() }; 4];
            let (mut slice, mut weight) = (Vec::new(), Vec::new());
            for i in 0..batch {
                let e = order.get(offset as usize + first + i).copied().unwrap_or(0);
                let live = first + i < valid as usize;
                let owner = users[e as usize] as usize;
                let from = starts[owner];
                let len = u64::from(e - from).min(history as u64) as u32;
                let all = u64::from(lengths[owner]).min(history as u64) as u32;
                let row = match (live, set) {
                    (false, _) => [0, 0, u32::MAX],
                    (true, false) => [e - len, len, u32::MAX],
                    (true, true) => [from + lengths[owner] - all, all, e],
                };
                user.push(if live { owner as u32 } else { 0 });
                target.push(if live { items[e as usize] } else { 0 });
                event.push(if live { e } else { 0 });
                slice.extend([row[0], row[1]]);
                hole.push(row[2]);
                weight.push(if live { (1.0 / valid as f32).to_bits() } else { 0 });
            }
            let want = [user, target, slice, weight, hole, event].map(Some);
            let step = Step::new(1, 0, offset, valid);
            let ends = if set { u(&ends, ends.len(), 1) } else { None };
            let reads = [u(&order, n, 1), u(&items, n, 1), u(&starts, starts.len(), 1), ends];
            for device in devices_with_checks() {
                for lay in [Lay::Dense, Lay::Strided] {
                    for optional in [true, false] {
                        let mut writes = vec![out_u(batch, 1), out_u(batch, 1), out_u(batch, 2), out_f(batch, 1)];
                        writes.extend([out_u(batch, 1), out_u(batch, 1)].map(|o| o.filter(|_| optional)));
                        let kernel = Batch { batch, history, set, first };
                        let got = run(device, kernel, &step, lay, &reads, &writes);
                        let kept = if optional { 6 } else { 4 };
                        assert_eq!(got[..kept], want[..kept], "{what}, set {set}, {device:?}, {lay:?}");
                    }
                }
            }
        }
    }
}
