//! The index of item vectors: the same lists with codes and without, on every device, and errors.

use rt_models::{Device, Error, Index};
use rt_tests::{devices, ids, uniform};

/// Small whole numbers: scores are exact on every device, and ties are many.
fn whole(n: usize, seed: u64, most: f32) -> Vec<f32> {
    uniform(n, seed).iter().map(|x| (x * most).round()).collect()
}

#[test]
fn codes_change_no_list() {
    let (dim, queries) = (8, 30);
    // Codes are made by pieces of 65,536 items, and blocks of 64.
    for rows in [130, 9_000, 65_536, 140_001] {
        let (items, users) = (uniform(rows * dim, 1), uniform(queries * dim, 2));
        let device = Device::cpu(2).unwrap();
        let (coded, plain) =
            (Index::new(&device, &items, dim).unwrap(), Index::without_codes(&device, &items, dim).unwrap());
        assert!(coded.has_codes() && !plain.has_codes());
        let out = ids(queries * 40, rows as u32, 3);
        let out: Vec<&[u32]> = out.chunks(40).collect();
        for k in [1, 20, rows / 128, rows / 128 + 1, 300] {
            for n in [1, queries] {
                let users = &users[..n * dim];
                let what = format!("{n} of {rows}, k {k}");
                assert!(coded.search(users, &[], k).unwrap() == plain.search(users, &[], k).unwrap(), "{what}");
                let excluded = &out[..n];
                let found = coded.search(users, excluded, k).unwrap();
                assert!(found == plain.search(users, excluded, k).unwrap(), "{what}, some excluded");
                let bad = found.iter().zip(excluded).any(|(list, out)| list.iter().any(|(id, _)| out.contains(id)));
                assert!(!bad, "{what}: an excluded item");
            }
        }
    }
}

#[test]
fn every_device_finds_the_same() {
    let (rows, dim) = (3_000, 12);
    let (items, users) = (whole(rows * dim, 1, 5.0), whole(7 * dim, 2, 5.0));
    let lists = |device| Index::new(device, &items, dim).unwrap().search(&users, &[], 20).unwrap();
    let want = lists(&devices()[0]);
    for (q, list) in want.iter().enumerate() {
        let score = |i: usize| -> f32 { (0..dim).map(|c| users[q * dim + c] * items[i * dim + c]).sum() };
        let mut all: Vec<(u32, f32)> = (0..rows).map(|i| (i as u32, score(i))).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        assert_eq!(list, &all[..20]);
    }
    for device in devices() {
        assert_eq!(lists(device), want, "{device:?}");
    }
}

#[test]
fn what_cannot_be_indexed_or_searched_says_why() {
    let device = Device::cpu(1).unwrap();
    let refused = |result: Result<_, Error>, why: &str| match result {
        Err(Error::Request(what)) => assert!(what.contains(why), "{what}"),
        Err(other) => panic!("{other}"),
        Ok(()) => panic!("it was taken: {why}"),
    };
    refused(Index::new(&device, &[1.0; 5], 2).map(drop), "5 numbers in rows of 2");
    refused(Index::new(&device, &[1.0], 0).map(drop), "rows of 0");
    refused(Index::new(&device, &[1.0, 2.0, f32::NAN, 0.0], 2).map(drop), "item 1 holds NaN");
    let index = Index::new(&device, &[1.0, 2.0, 3.0, 4.0], 2).unwrap();
    assert!(!index.has_codes() && index.len() == 2 && !index.is_empty());
    refused(index.search(&[1.0, 2.0], &[], 0).map(drop), "k = 0");
    refused(index.search(&[1.0], &[], 1).map(drop), "width 2");
    refused(index.search(&[1.0, f32::INFINITY], &[], 1).map(drop), "query 0 holds inf");
    refused(index.search(&[1.0, 2.0], &[&[], &[]], 1).map(drop), "2 lists");
    assert_eq!(index.search(&[1.0, 0.0], &[&[1, 7]], 9).unwrap(), [[(0, 1.0)]]);
    assert!(Index::new(&device, &[], 3).unwrap().search(&[1.0; 3], &[], 4).unwrap()[0].is_empty());
}
