//! Masked exact top-k.

use rt_kernels::Step;
use rt_kernels::kernels::TopK;
use rt_tests::{LAYS, Lay, Want, f, hold, ids, out_f, out_u, u, uniform};

/// Sorted by score, ties by id; without the excluded.
fn oracle(scores: &[f32], first: u32, excluded: &[u32], k: usize) -> (Vec<f32>, Vec<u32>) {
    let all = scores.iter().enumerate().map(|(c, s)| (*s + 0.0, c as u32 + first));
    let mut list: Vec<(f32, u32)> = all.filter(|(_, id)| !excluded.contains(id)).collect();
    list.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    list.resize(k.max(list.len()), (-1e30, u32::MAX));
    list.truncate(k);
    list.into_iter().unzip()
}

#[test]
fn best_first_ties_by_id_without_the_excluded() {
    for (what, queries, items, k, levels) in [
        ("one item", 1, 1, 1, 0),
        ("more wanted than there are", 2, 5, 9, 0),
        ("one short of a chunk", 3, 255, 10, 0),
        ("a chunk", 2, 256, 256, 0),
        ("one over a chunk", 2, 257, 10, 0),
        ("many equal scores", 4, 1000, 100, 3),
        ("all equal", 2, 600, 7, 1),
        ("a catalogue", 3, 5003, 100, 0),
        ("a long list", 2, 3000, 1000, 50),
    ] {
        let mut scores = uniform(queries * items, 1);
        if levels > 0 {
            // Zeros of both signs are among them, and tie.
            scores.iter_mut().for_each(|s| *s = (*s * levels as f32).round() / 4.0);
        }
        let first = 3;
        // A list of excluded items for each query; the first has none, and one lies outside of the columns.
        let excluded = ids(40 * queries, items as u32 + first + 5, 2);
        let slices: Vec<u32> = (0..queries as u32).flat_map(|q| [q * 40, if q == 0 { 0 } else { 40 }]).collect();
        for masked in [false, true] {
            let (mut values, mut best) = (Vec::new(), Vec::new());
            for q in 0..queries {
                let out = if masked && q > 0 { &excluded[q * 40..(q + 1) * 40] } else { &[] };
                let (value, id) = oracle(&scores[q * items..][..items], first, out, k);
                values.extend(value);
                best.extend(id);
            }
            let mask = |t| if masked { t } else { None };
            let reads = [f(&scores, queries, items), mask(u(&slices, queries, 2)), mask(u(&excluded, 40 * queries, 1))];
            let kernel = TopK { queries, items, k, first };
            let writes = [out_f(queries, k), out_u(queries, k)];
            hold(what, &kernel, &Step::default(), LAYS, &reads, &writes, &[Want::floats(values), Want::Exact(best)]);
        }
    }
}

/// A list whose ids repeat may be longer than the items, and longer than one invocation could walk: its last entry counts.
#[test]
fn lists_longer_than_the_items_are_taken_out_to_their_ends() {
    let (queries, items, k, first) = (2, 5, 5, 10);
    let scores = [1.0, 5.0, 3.0, 4.0, 2.0, 1.0, 2.0, 3.0, 4.0, 5.0];
    for rows in [300, 64 * 65_534 + 1, 9_000_000] {
        let mut excluded = vec![11; rows];
        excluded[rows - 1] = 13;
        let slices = [0, rows as u32 - 1, 0, rows as u32];
        let best: [&[u32]; 2] = [&[13, 12, 14, 10], &[14, 12, 10]];
        let place = |list: &[u32], j: usize| list.get(j).copied().unwrap_or(u32::MAX);
        let ids: Vec<u32> = best.iter().flat_map(|list| (0..k).map(|j| place(list, j))).collect();
        let score = |(cell, id): (usize, &u32)| match id {
            &u32::MAX => -1e30,
            id => scores[cell / k * items + (id - first) as usize],
        };
        let values: Vec<f32> = ids.iter().enumerate().map(score).collect();
        let reads = [f(&scores, queries, items), u(&slices, queries, 2), u(&excluded, rows, 1)];
        let (writes, want) = ([out_f(queries, k), out_u(queries, k)], [Want::floats(values), Want::Exact(ids)]);
        let kernel = TopK { queries, items, k, first };
        hold(&format!("{rows}"), &kernel, &Step::default(), &[Lay::Dense], &reads, &writes, &want);
    }
}
