//! Draws that keep off a user's own items.

use rt_kernels::kernels::{DrawUnseen, KeepMined, alias_table};
use rt_kernels::{Step, philox};
use rt_tests::{LAYS, Want, devices_with_checks, hold, ids, out_u, u};

fn high(a: u32, b: u32) -> u32 {
    ((u64::from(a) * u64::from(b)) >> 32) as u32
}

#[test]
fn draws_keep_off_the_users_items_and_the_target() {
    const ITEMS: u32 = 40;
    // Users without items (and padding), with one, with half, with all items but two, and with all.
    let lists: [Vec<u32>; 5] =
        [vec![], vec![7], (1..=ITEMS).step_by(2).collect(), (1..ITEMS - 1).collect(), (1..=ITEMS).collect()];
    let (mut list, mut slices) = (vec![u32::MAX; 3], Vec::new());
    for own in &lists {
        slices.extend([list.len() as u32, own.len() as u32]);
        list.extend(own);
    }
    list.push(0);
    let weights: Vec<f64> = (0..=ITEMS).map(|i| if i == 0 { 0.0 } else { f64::from(i) }).collect();
    let (threshold, alias) = alias_table(&weights).unwrap();
    for (what, rows, k) in [("one", 1, 1), ("one over a workgroup", 65, 1), ("nothing divides", 333, 7)] {
        let users = ids(rows, 5, 1);
        let targets: Vec<u32> = ids(rows, ITEMS, 2).iter().map(|t| t + 1).collect();
        let step = Step::new(4, 99, 0, 1);
        for by_alias in [false, true] {
            let draw = |cell: usize, attempt: u32| {
                let words = philox::philox([99, 0], [cell as u32, 4, attempt, 3]);
                let bucket = high(words[0], ITEMS + 1);
                match by_alias {
                    false => 1 + high(words[0], ITEMS),
                    true if words[1] < threshold[bucket as usize] => bucket,
                    true => alias[bucket as usize],
                }
            };
            let mut given_up = 0;
            let want: Vec<u32> = (0..rows * k)
                .map(|cell| {
                    let (own, target) = (&lists[users[cell / k] as usize], targets[cell / k]);
                    let found = (0..8).map(|t| draw(cell, t)).find(|id| *id != target && !own.contains(id));
                    given_up += u32::from(found.is_none());
                    found.unwrap_or(target)
                })
                .collect();
            assert!(rows < 300 || given_up > 100, "draws that end at the target are among the cases");
            let tables = if by_alias { [u(&threshold, 41, 1), u(&alias, 41, 1)] } else { [None, None] };
            let [first, second] = tables;
            let reads =
                [u(&users, rows, 1), u(&targets, rows, 1), u(&list, list.len(), 1), u(&slices, 5, 2), first, second];
            let kernel = DrawUnseen { rows, k, count: ITEMS, tries: 8, stream: 3 };
            hold(what, &kernel, &step, LAYS, &reads, &[out_u(rows, k)], &[Want::Exact(want)]);
        }
    }
    assert!(devices_with_checks().len() > 2);
}

#[test]
fn mined_negatives_are_taken_with_their_probability() {
    for (what, rows, n) in [("one", 1, 1), ("one over a workgroup", 65, 1), ("two a row", 5_000, 2)] {
        let mined = ids(rows * n, 30, 1);
        let targets: Vec<u32> = (0..rows as u32).map(|i| 100 + i).collect();
        let quarter = 1 << 30;
        let cell = |c: usize| {
            let taken = mined[c] != 0 && philox::draw([5, 0], 2, 9, c as u32) < quarter;
            if taken { mined[c] } else { targets[c / n] }
        };
        let want: Vec<u32> = (0..rows * n).map(cell).collect();
        if rows == 5_000 {
            // 29 of 30 are no zero: 2,417 of 10,000 expected, deviation 43; five of them.
            let taken = want.iter().filter(|id| **id < 100).count();
            assert!((2_202..2_632).contains(&taken), "{taken} of 10,000");
        }
        let reads = [u(&mined, rows, n), u(&targets, rows, 1)];
        let kernel = KeepMined { rows, n, threshold: quarter, stream: 9 };
        let step = Step::new(2, 5, 0, 1);
        hold(what, &kernel, &step, LAYS, &reads, &[out_u(rows, n)], &[Want::Exact(want)]);
    }
}
