//! Explicit negatives: the last of what was shown first, then draws, each with its correction.

use rt_kernels::Step;
use rt_kernels::kernels::ShownNegatives;
use rt_tests::{LAYS, Want, f, hold, ids, out_f, out_u, u, uniform};

#[test]
fn what_was_shown_comes_first_and_draws_fill_up() {
    for (what, rows, k, own) in [
        ("one cell", 1, 1, 1),
        ("none may be shown ones", 40, 3, 0),
        ("all may be", 129, 5, 5),
        ("half of them", 65, 4, 2),
        ("one over a workgroup", 65, 1, 1),
    ] {
        let (items, table) = (ids(60, 50, 1), uniform(50, 2));
        let drawn = ids(rows * k, 50, 3);
        // Lengths from none to more than there is room for, the last of them at the very end of the items.
        let spans: Vec<[u32; 2]> = (0..rows as u32).map(|i| [i % 50, i % 8]).map(|[s, n]| [s.min(60 - n), n]).collect();
        let (mut want, mut logq) = (Vec::new(), Vec::new());
        for (i, [start, length]) in spans.iter().enumerate() {
            let shown: Vec<u32> =
                items[*start as usize..(start + length) as usize].iter().rev().take(own).copied().collect();
            for j in 0..k {
                let id = shown.get(j).copied().unwrap_or(drawn[i * k + j]);
                want.push(id);
                logq.push(if j < shown.len() { 0.0 } else { table[id as usize] + 1.25 });
            }
        }
        let flat: Vec<u32> = spans.iter().flatten().copied().collect();
        let n = rows * k;
        let kernel = ShownNegatives { rows, k, own, constant: 1.25 };
        let reads = [u(&items, 60, 1), u(&flat, rows, 2), u(&drawn, n, 1), f(&table, 50, 1)];
        let outs = [out_u(n, 1), out_f(n, 1)];
        let wants = [Want::Exact(want.clone()), Want::floats(logq)];
        hold(what, &kernel, &Step::default(), LAYS, &reads, &outs, &wants);
        let reads = [u(&items, 60, 1), u(&flat, rows, 2), u(&drawn, n, 1), None];
        hold(what, &kernel, &Step::default(), LAYS, &reads, &[out_u(n, 1), None], &[Want::Exact(want), Want::Nothing]);
    }
}
