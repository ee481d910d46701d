//! Exact retrieval. Vectors are small integers, so that scores are exact, ties are many, and every device has to give the
//! same items.

use rt_kernels::codes::{BOUNDS, Codes, block_words, blocks};
use rt_kernels::kernels::Search;
use rt_kernels::{Device, Step};
use rt_tests::{LAYS, Lay, Tensor, Want, devices_with_checks, f, hold_on, ids, out_f, out_u, run, u, uniform};

fn whole(n: usize, seed: u64, most: f32) -> Vec<f32> {
    uniform(n, seed).iter().map(|x| (x * most).round()).collect()
}

fn check(what: &str, [queries, items, dim]: [usize; 3], k: usize, most: f32, masked: bool) {
    let (first, step) = (2, Step::default());
    let (a, b) = (whole(queries * dim, 1, most), whole(items * dim, 2, most));
    // Twenty excluded items a query; the first query has none, and some lie outside.
    let excluded = ids(20 * queries, items as u32 + first + 5, 3);
    let slices: Vec<u32> = (0..queries as u32).flat_map(|q| [q * 20, if q == 0 { 0 } else { 20 }]).collect();
    let (mut values, mut best) = (Vec::new(), Vec::new());
    for q in 0..queries {
        let out = if masked && q > 0 { &excluded[q * 20..][..20] } else { &[] };
        let score = |i: usize| -> f64 { (0..dim).map(|c| f64::from(a[q * dim + c]) * f64::from(b[i * dim + c])).sum() };
        let all = (0..items).map(|i| (score(i) as f32 + 0.0, i as u32 + first));
        let mut list: Vec<(f32, u32)> = all.filter(|(_, id)| !out.contains(id)).collect();
        list.sort_by(|x, y| y.0.total_cmp(&x.0).then(x.1.cmp(&y.1)));
        list.resize(k.max(list.len()), (-1e30, u32::MAX));
        for (value, id) in &list[..k] {
            values.push(*value);
            best.push(*id);
        }
    }
    let mask = |t| if masked { t } else { None };
    let mut reads =
        vec![f(&a, queries, dim), f(&b, items, dim), mask(u(&slices, queries, 2)), mask(u(&excluded, 20 * queries, 1))];
    let kernel = |coded| Search { queries, items, dim, k, first, coded };
    let writes = [out_f(queries, k), out_u(queries, k)];
    let want = [Want::floats(values), Want::Exact(best)];
    // A software driver takes long for many scores; what it does is that of the product and of the selection alone.
    let devices = devices_with_checks();
    let cpus = devices.iter().take_while(|d| d.target() == rt_kernels::Target::Cpu).count();
    let devices = if queries * items > 100_000 { &devices[..cpus] } else { devices };
    hold_on(devices, what, &kernel(false), &step, LAYS, &reads, &writes, &want);
    reads.extend(codes(&b, items, dim));
    hold_on(devices, &format!("{what}, coded"), &kernel(true), &step, LAYS, &reads, &writes, &want);
}

fn codes(items: &[f32], rows: usize, dim: usize) -> [Option<Tensor>; 2] {
    let codes = Codes::of(items, dim);
    [u(&codes.words, blocks(rows), block_words(dim)), f(&codes.bounds, blocks(rows), BOUNDS)]
}

#[test]
fn best_first_ties_by_id_without_the_excluded() {
    for masked in [false, true] {
        check("no query", [0, 200, 4], 1, 3.0, masked);
        check("one item", [1, 1, 1], 1, 3.0, masked);
        check("more wanted than there are", [2, 5, 3], 9, 3.0, masked);
        check("dot products, one item past a block", [4, 1025, 17], 10, 9.0, masked);
        check("a product of matrices", [5, 1024, 16], 100, 9.0, masked);
        check("one item under a block", [7, 1023, 33], 10, 9.0, masked);
        check("all scores equal", [6, 700, 4], 50, 0.0, masked);
    }
}

#[test]
fn tasks_of_many_queries_and_of_parts_of_the_items_agree() {
    check("parts of the items for one query", [1, 70_001, 8], 100, 3.0, true);
    check("one query past a block, few parts", [129, 9_000, 8], 20, 3.0, true);
    check("more blocks than tasks wanted", [2_100, 1_500, 4], 5, 3.0, false);
    check("a list longer than a part", [2, 20_000, 4], 3_000, 2.0, false);
}

/// With codes every bit is as without, for any number of threads.
fn same_with_codes(what: &str, queries: &[f32], items: &[f32], dim: usize, k: usize) {
    let (n, rows) = (queries.len() / dim, items.len() / dim);
    let mut reads = vec![f(queries, n, dim), f(items, rows, dim), None, None];
    let writes = [out_f(n, k), out_u(n, k)];
    let search = |coded| Search { queries: n, items: rows, dim, k, first: 0, coded };
    let on = |threads, coded, reads: &[Option<Tensor>]| {
        let device = Device::cpu(threads).unwrap();
        run(&device, search(coded), &Step::default(), Lay::Dense, reads, &writes)
    };
    let want = on(1, false, &reads);
    assert!(on(3, false, &reads) == want, "{what}: threads");
    reads.extend(codes(items, rows, dim));
    for threads in [1, 2, 3] {
        assert!(on(threads, true, &reads) == want, "{what}, codes, {threads} threads");
    }
}

#[test]
fn codes_change_no_bit() {
    for dim in [1, 2, 3, 4, 17, 64, 100, 255, 256] {
        let items = uniform(9_001 * dim, 1);
        for queries in [1, 3, 4, 5, 23, 25, 49, 52, 121] {
            same_with_codes(&format!("{queries} x {dim}"), &uniform(queries * dim, 2), &items, dim, 7);
        }
    }
}

#[test]
fn codes_change_no_bit_where_rows_are_odd() {
    let (dim, queries) = (20, uniform(30 * 20, 2));
    let items = uniform(6_000 * dim, 1);
    let changed = |change: &dyn Fn(usize, &mut [f32])| {
        let mut items = items.clone();
        items.chunks_mut(dim).enumerate().for_each(|(i, row)| change(i, row));
        items
    };
    let times = |factor: f32| move |row: &mut [f32]| row.iter_mut().for_each(|x| *x *= factor);
    let cases: [(&str, Vec<f32>); 8] = [
        (
            "one in fifty is a thousand times as long",
            changed(&|i, row| {
                if i % 50 == 0 {
                    times(1e3)(row)
                }
            }),
        ),
        (
            "zeros here and there",
            changed(&|i, row| {
                if i % 3 == 0 {
                    row.fill(0.0)
                }
            }),
        ),
        (
            "whole blocks of zeros",
            changed(&|i, row| {
                if i / 64 % 2 == 0 {
                    row.fill(0.0)
                }
            }),
        ),
        ("very small", changed(&|_, row| times(1e-30)(row))),
        ("small", changed(&|_, row| times(2e-12)(row))),
        ("very large", changed(&|_, row| times(1e30)(row))),
        ("later ones are better", changed(&|i, row| times(i as f32)(row))),
        ("all the same", changed(&|_, row| row.fill(0.3))),
    ];
    for (what, items) in &cases {
        same_with_codes(what, &queries, items, dim, 50);
        same_with_codes(what, &queries[..2 * dim], items, dim, 50);
    }
    // Queries: zero, far too large, far too small, one number alone.
    let mut queries = queries.clone();
    for (q, row) in queries.chunks_mut(dim).enumerate() {
        match q % 5 {
            0 => row.fill(0.0),
            1 => times(1e25)(row),
            2 => times(1e-25)(row),
            3 => row[1..].fill(0.0),
            _ => {}
        }
    }
    for (what, items) in &cases {
        same_with_codes(&format!("{what}, odd queries"), &queries, items, dim, 50);
        same_with_codes(&format!("{what}, few odd queries"), &queries[..4 * dim], items, dim, 50);
    }
}
