//! Exact retrieval. Vectors are small integers, so that scores are exact, ties are many, and every device has to give the
//! same items.

use rt_kernels::Step;
use rt_kernels::kernels::Search;
use rt_tests::{LAYS, Want, devices_with_checks, f, hold_on, ids, out_f, out_u, u, uniform};

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
    let reads =
        [f(&a, queries, dim), f(&b, items, dim), mask(u(&slices, queries, 2)), mask(u(&excluded, 20 * queries, 1))];
    let kernel = Search { queries, items, dim, k, first };
    let writes = [out_f(queries, k), out_u(queries, k)];
    let want = [Want::floats(values), Want::Exact(best)];
    // A software driver takes long for many scores; what it does is that of the product and of the selection alone.
    let devices = devices_with_checks();
    let cpus = devices.iter().take_while(|d| d.target() == rt_kernels::Target::Cpu).count();
    let devices = if queries * items > 100_000 { &devices[..cpus] } else { devices };
    hold_on(devices, what, &kernel, &step, LAYS, &reads, &writes, &want);
}

#[test]
fn best_first_ties_by_id_without_the_excluded() {
    for masked in [false, true] {
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
