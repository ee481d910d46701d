//! Rows of data: words of either type.

use rt_kernels::Step;
use rt_kernels::kernels::Take;
use rt_tests::{LAYS, Want, hold, ids, out_u, u};

#[test]
fn words_are_copied() {
    for (what, rows, cols, table) in [
        ("one word", 1, 1, 1),
        ("one over a workgroup", 65, 1, 7),
        ("nothing divides", 257, 5, 31),
        ("threads", 9000, 9, 100),
    ] {
        let (data, ids) = (ids(table * cols, u32::MAX, 1), ids(rows, table as u32, 2));
        let want = ids.iter().flat_map(|id| data[*id as usize * cols..][..cols].to_vec()).collect();
        let reads = [u(&data, table, cols), u(&ids, rows, 1)];
        hold(what, &Take { rows, cols }, &Step::default(), LAYS, &reads, &[out_u(rows, cols)], &[Want::Exact(want)]);
    }
}
