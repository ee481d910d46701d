//! How much of a column something explains, against chance.

use crate::splitmix::{GOLDEN, SplitMix64, below};
use std::collections::HashMap;
use std::hash::Hash;

/// A column of which a key leaves less than this share open is a function of it, up to noise: at a fifth of noise, eight values
/// still have half of their entropy explained.
pub(super) const FUNCTION: f64 = 0.5;
/// How much more a key has to explain than one that is harmless.
pub(super) const MORE: f64 = 0.2;
/// Bits that a key has to explain in all: fewer are chance.
const EVIDENCE: f64 = 100.0;

/// Share of the entropy of `values` that `keys` explain beyond what keys in another order do: `1 - H(value | key) / H(value |
/// shuffled key)`. Over rows whose key occurs more than once; 0 where these explain fewer than a hundred bits. A key that occurs
/// in few rows "explains" their values by chance: the shuffled keys do so as well, and it is taken off.
pub(super) fn explained<K: Hash + Eq + Copy>(rows: &[(K, u64)]) -> f64 {
    let mut times: HashMap<K, u32> = HashMap::new();
    rows.iter().for_each(|(key, _)| *times.entry(*key).or_default() += 1);
    let mut rows: Vec<(K, u64)> = rows.iter().copied().filter(|(key, _)| times[key] > 1).collect();
    let own = open_bits(&rows);
    shuffle(&mut rows);
    let chance = open_bits(&rows);
    if chance - own < EVIDENCE { 0.0 } else { 1.0 - own / chance }
}

/// Bits that the keys leave open of all values together.
fn open_bits<K: Hash + Eq + Copy>(rows: &[(K, u64)]) -> f64 {
    let (mut of_key, mut of_both): (HashMap<K, u32>, HashMap<(K, u64), u32>) = Default::default();
    for &(key, value) in rows {
        *of_key.entry(key).or_default() += 1;
        *of_both.entry((key, value)).or_default() += 1;
    }
    let bits = |n: u32| f64::from(n) * f64::from(n).log2();
    // Integers first, so that the order of the map does not move the last bits.
    let sum = |counts: &mut dyn Iterator<Item = u32>| {
        let mut sorted: Vec<u32> = counts.collect();
        sorted.sort_unstable();
        sorted.into_iter().fold(0.0, |sum, n| sum + bits(n))
    };
    sum(&mut of_key.into_values()) - sum(&mut of_both.into_values())
}

/// Gives every row another row's value, the same way in every run.
fn shuffle<K: Copy>(rows: &mut [(K, u64)]) {
    let mut words = SplitMix64::new(GOLDEN);
    for last in (1..rows.len()).rev() {
        let other = below(words.word(), last as u64 + 1) as usize;
        let value = rows[last].1;
        rows[last].1 = rows[other].1;
        rows[other].1 = value;
    }
}

/// Half of the sum of differences of the shares that each value has in two lists (total variation), less what lists of the same
/// values in another order have: 1 where no value is in both, 0 where chance would do.
pub(super) fn apart(pairs: &[[u64; 2]]) -> f64 {
    let between = |pairs: &[[u64; 2]]| {
        let mut counts: HashMap<u64, i64> = HashMap::new();
        for [first, second] in pairs {
            *counts.entry(*first).or_default() += 1;
            *counts.entry(*second).or_default() -= 1;
        }
        counts.values().map(|count| count.unsigned_abs()).sum::<u64>() as f64 / (2 * pairs.len().max(1)) as f64
    };
    let swapped: Vec<[u64; 2]> =
        pairs.iter().enumerate().map(|(i, &[a, b])| if i % 2 == 0 { [a, b] } else { [b, a] }).collect();
    between(pairs) - between(&swapped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::abs_diff_eq;

    fn word(i: u64) -> u64 {
        SplitMix64::new(i).word() >> 40
    }

    #[test]
    fn functions_are_told_from_chance() {
        let of = |key: &dyn Fn(u64) -> u64, value: &dyn Fn(u64) -> u64| {
            explained(&(0..2_000).map(|i| (key(i), value(i))).collect::<Vec<_>>())
        };
        let item = |i: u64| word(i) % 200;
        assert!(abs_diff_eq!(of(&item, &|i| item(i) % 8), 1.0, epsilon = 1e-12), "a category of the item");
        let noisy = of(&item, &|i| if word(i + 9_999).is_multiple_of(5) { word(i + 77) % 8 } else { item(i) % 8 });
        assert!((FUNCTION..0.9).contains(&noisy), "with a fifth of noise: {noisy}");
        assert!(of(&item, &|i| word(i + 5_000) % 8) < 0.05, "something else");
        assert!(of(&item, &|i| i) < 1e-12, "a value of its own for every row");
        assert!(of(&|i| i, &|i| i % 8) < 1e-12, "a key of its own for every row");
        assert!(of(&item, &|_| 3) < 1e-12, "a constant");
    }

    #[test]
    fn flags_are_told_from_chance() {
        let of = |f: &dyn Fn(u64) -> [u64; 2]| apart(&(0..400).map(f).collect::<Vec<_>>());
        assert!(of(&|_| [1, 0]) > 0.99);
        assert!(of(&|i| [word(i) % 5, word(i + 1_000) % 5]).abs() < 0.15);
        assert!(of(&|i| [2 * i, 2 * i + 1]).abs() < 1e-12, "values of their own");
    }
}
