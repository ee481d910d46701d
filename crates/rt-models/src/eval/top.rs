//! The best K of a row of scores, for coverage.

use rt_kernels::rank;

/// Scores looked at together: a block without a score above the worst kept one costs a few vector comparisons.
const BLOCK: usize = 16;

/// Fills `kept` with the places of the best `k` of `scores` that are not `masked`, best first, ties by ascending
/// place; with fewer if there are not as many. Scores have the order of [`rank::key`], so minus infinity is never among them.
/// `keys` is scratch.
pub(super) fn top(scores: &[f32], masked: &[bool], k: usize, keys: &mut Vec<u64>, kept: &mut Vec<u32>) {
    keys.clear();
    kept.clear();
    // The k-th best so far, once k are there: an equal score further on stands behind it.
    let mut bar: Option<f32> = None;
    for (block, values) in scores.chunks(BLOCK).enumerate() {
        if let Some(bar) = bar {
            // No early exit: the loop stays a vector loop.
            if !values.iter().fold(false, |any, &value| any | (value > bar)) {
                continue;
            }
        }
        for (offset, &value) in values.iter().enumerate() {
            let place = block * BLOCK + offset;
            let rank = rank::key(value);
            if bar.is_none_or(|bar| value > bar) && !masked[place] && rank != rank::UNLISTED {
                keys.push(u64::from(rank) << 32 | u64::from(u32::MAX - place as u32));
            }
        }
        if keys.len() >= 2 * k {
            keys.select_nth_unstable_by(k - 1, |a, b| b.cmp(a));
            keys.truncate(k);
            bar = Some(scores[place(keys[k - 1]) as usize]);
        }
    }
    keys.sort_unstable_by(|a, b| b.cmp(a));
    keys.truncate(k);
    kept.extend(keys.iter().map(|&key| place(key)));
}

/// The place in a key: keys are greater for a greater score, and for the smaller place if scores are equal.
fn place(key: u64) -> u32 {
    u32::MAX - key as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_a_full_sort() {
        // Few distinct values, so that ties straddle every cut; negative, zero of both signs and infinite.
        let values = [1.5, -2.0, 0.0, -0.0, f32::NEG_INFINITY, 7.0, f32::INFINITY];
        for n in [0, 1, 15, 16, 17, 99, 100, 101, 700, 1001] {
            for k in [1, 10, 100] {
                let scores: Vec<f32> = (0..n).map(|i| values[(i * i + i / 3) % values.len()]).collect();
                let masked: Vec<bool> = (0..n).map(|i| i % 5 == 2).collect();
                let listed = |&i: &u32| !masked[i as usize] && scores[i as usize] > f32::NEG_INFINITY;
                let mut want: Vec<u32> = (0..n as u32).filter(listed).collect();
                want.sort_by(|&a, &b| scores[b as usize].partial_cmp(&scores[a as usize]).unwrap());
                want.truncate(k);
                let (mut keys, mut kept) = (Vec::new(), Vec::new());
                top(&scores, &masked, k, &mut keys, &mut kept);
                assert_eq!(kept, want, "n {n}, k {k}");
            }
        }
    }
}
