//! What a batch holds: pairs in an order without false negatives, and the negatives of the list loss.

use super::pairs::Pair;
use rt_kernels::philox;
use std::collections::{HashSet, VecDeque};

/// Reorders examples (numbers of `pairs`) so that, as far as it can be had, no document in a batch was clicked for the
/// query of another row unless it is that row's own: in-batch negatives are then unclicked. Equal documents may meet, the
/// loss masks them. `clicked` has each query's documents, ascending.
///
/// Examples that clash wait for a later batch; what still waits at the end goes in as it is.
pub(crate) fn without_clashes(order: &[u32], pairs: &[Pair], clicked: &[Vec<u32>], batch: usize) -> Vec<u32> {
    let mut out = Vec::with_capacity(order.len());
    let mut fresh = order.iter().copied();
    let mut waiting: VecDeque<u32> = VecDeque::new();
    while out.len() < order.len() {
        let size = batch.min(order.len() - out.len());
        let (mut taken, mut present, mut unwanted) = (0, HashSet::new(), HashSet::new());
        let mut retry = waiting.len();
        while taken < size {
            let next = if retry > 0 {
                retry -= 1;
                waiting.pop_front()
            } else {
                fresh.next()
            };
            let Some(example) = next else { break };
            let pair = pairs[example as usize];
            let others = || clicked[pair.query as usize].iter().filter(|d| **d != pair.document);
            if unwanted.contains(&pair.document) || others().any(|d| present.contains(d)) {
                waiting.push_back(example);
                continue;
            }
            present.insert(pair.document);
            unwanted.extend(others().copied());
            out.push(example);
            taken += 1;
        }
        while taken < size {
            let Some(example) = waiting.pop_front() else { break };
            out.push(example);
            taken += 1;
        }
    }
    out
}

/// Philox stream of the list loss's negatives, past the numbers that tapes use.
const STREAM: u32 = philox::stream::NEGATIVES + 0x00FF_0000;

/// Draws that are tried before a place is given up: it gets the row's own document, which the loss masks.
const TRIES: u32 = 64;

/// Negatives `[pairs, k]` of an epoch, as document rows (from 1): uniform over the documents that were not clicked for the
/// pair's query in a pair that trains; of those that were `shown` for it and not clicked there, up to half of the places, from a random one on.
pub(crate) fn negatives(
    seed: u64,
    epoch: u32,
    pairs: &[Pair],
    clicked: &[Vec<u32>],
    shown: &[Vec<u32>],
    documents: usize,
    k: usize,
) -> Vec<u32> {
    let word = |pair: usize, slot: u32, attempt: u32| {
        philox::philox(philox::key(seed), [pair as u32, epoch, slot << 8 | attempt, STREAM])[0]
    };
    let below = |word: u32, n: usize| ((u64::from(word) * n as u64) >> 32) as usize;
    let mut out = Vec::with_capacity(pairs.len() * k);
    for (i, pair) in pairs.iter().enumerate() {
        let clicked = &clicked[pair.query as usize];
        let shown: Vec<u32> =
            shown[pair.query as usize].iter().copied().filter(|d| clicked.binary_search(d).is_err()).collect();
        let first = below(word(i, 0, TRIES), shown.len());
        let some = shown.len().min(k.div_ceil(2));
        out.extend((0..some).map(|j| shown[(first + j) % shown.len()] + 1));
        for slot in some..k {
            let drawn = (0..TRIES).map(|attempt| below(word(i, slot as u32, attempt), documents) as u32);
            let free = |d: &u32| clicked.binary_search(d).is_err();
            out.push(drawn.into_iter().find(free).unwrap_or(pair.document) + 1);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(query: u32, document: u32) -> Pair {
        Pair { query, document, count: 1 }
    }

    #[test]
    fn batches_hold_no_document_that_was_clicked_for_another_row() {
        // Each query has three documents, neighbours share one.
        let pairs: Vec<Pair> = (0..40).flat_map(|q| (0..3).map(move |j| pair(q, (2 * q + j) % 80))).collect();
        let mut clicked = vec![Vec::new(); 40];
        for p in &pairs {
            clicked[p.query as usize].push(p.document);
        }
        let order: Vec<u32> = (0..120).collect();
        let clashes = |order: &[u32]| {
            let clash = |batch: &[u32]| {
                let rows = batch.iter().map(|i| pairs[*i as usize]);
                let meets = |a: Pair| {
                    rows.clone()
                        .filter(|b| b.document != a.document && clicked[a.query as usize].contains(&b.document))
                        .count()
                };
                rows.clone().map(meets).sum::<usize>()
            };
            order.chunks(10).map(clash).sum::<usize>()
        };
        assert!(clashes(&order) > 100);
        let arranged = without_clashes(&order, &pairs, &clicked, 10);
        assert_eq!(clashes(&arranged), 0);
        let mut sorted = arranged;
        sorted.sort_unstable();
        assert_eq!(sorted, order, "each example once");
        // One query alone cannot be spread: everything is still there.
        let pairs: Vec<Pair> = (0..7).map(|d| pair(0, d)).collect();
        let order: Vec<u32> = (0..7).collect();
        assert_eq!(without_clashes(&order, &pairs, &[(0..7).collect()], 3).len(), 7);
    }

    #[test]
    fn negatives_are_unclicked_and_half_of_them_were_shown() {
        let pairs: Vec<Pair> = (0..200).map(|i| pair(i % 2, i % 3)).collect();
        let clicked = vec![vec![0, 1, 2], vec![0, 1, 2]];
        let shown = vec![vec![2, 5], vec![]]; // 2 was clicked in a pair that trains
        let drawn = negatives(3, 1, &pairs, &clicked, &shown, 8, 4);
        let mut counts = [0usize; 9];
        for (p, row) in pairs.iter().zip(drawn.chunks(4)) {
            assert!(row.iter().all(|d| (4..=8).contains(d)), "{row:?}");
            if p.query == 0 {
                assert_eq!(row[0], 6);
            }
            row.iter().for_each(|d| counts[*d as usize] += 1);
        }
        assert!(counts[4..].iter().all(|n| *n > 80), "{counts:?}");
        assert_eq!(drawn, negatives(3, 1, &pairs, &clicked, &shown, 8, 4));
        assert_ne!(drawn, negatives(3, 2, &pairs, &clicked, &shown, 8, 4));
        // Where every document was clicked, the row's own stands in its place, and is masked.
        let all = negatives(3, 1, &pairs[..2], &[vec![0, 1, 2], vec![0, 1, 2]], &[vec![], vec![]], 3, 2);
        assert_eq!(all, [1, 1, 2, 2]);
    }
}
