//! How likely each item is to be drawn as a negative.

use crate::config::Sampler;
use rt_data::{Dataset, Split};

/// The items that training may take as negatives, ascending: those with a train event, and those that a table of items says were
/// released by the time of the last one. Nobody could have chosen an item that only came after the cut; as a negative of the past
/// it would be pushed away from everybody.
pub(crate) fn candidates(data: &Dataset, split: &Split) -> Vec<u32> {
    let counts = split.item_counts(data);
    let users = 0..data.users.rows() as u32;
    let cut = users.flat_map(|user| split.train_events(data, user)).map(|event| data.time(event)).max();
    let released = |item: u32| {
        let time = data.item_release.get(item as usize).copied().flatten();
        time.zip(cut).is_some_and(|(time, cut)| data.has_clock() && time <= cut)
    };
    data.offered().iter().copied().filter(|item| counts[*item as usize] > 0 || released(*item)).collect()
}

/// The probability of each item under a sampler, by dense id; items outside the catalogue have 0.
///
/// `targets` counts how often each item is a training target, `catalogue` lists the items that may be drawn, ascending.
/// - uniform: 1 / N;
/// - popularity: count^alpha (Mikolov et al. 2013 take 0.75);
/// - log: ln(count + 1);
/// - zipf: `[ln(k + 2) - ln(k + 1)] / ln(N + 1)` for the item of rank k from 0, the one with most targets first and ties
///   by id: the log-uniform draw over ranks (the log-uniform candidate sampler of TensorFlow).
///
/// Where no item has a target, popularity and log draw uniformly.
#[must_use]
pub fn sampler_probabilities(sampler: Sampler, alpha: f32, targets: &[u32], catalogue: &[u32]) -> Vec<f64> {
    let mut p = sampler_weights(sampler, alpha, targets, catalogue);
    let total: f64 = p.iter().sum();
    p.iter_mut().for_each(|p| *p /= total);
    p
}

/// What [`sampler_probabilities`] are proportional to.
pub(crate) fn sampler_weights(sampler: Sampler, alpha: f32, targets: &[u32], catalogue: &[u32]) -> Vec<f64> {
    let mut p = vec![0.0; targets.len()];
    let count = |item: u32| f64::from(targets[item as usize]);
    match sampler {
        Sampler::Uniform => catalogue.iter().for_each(|i| p[*i as usize] = 1.0),
        Sampler::Popularity => catalogue.iter().for_each(|i| p[*i as usize] = count(*i).powf(f64::from(alpha))),
        Sampler::Log => catalogue.iter().for_each(|i| p[*i as usize] = count(*i).ln_1p()),
        Sampler::Zipf => {
            let mut ranked = catalogue.to_vec();
            ranked.sort_by_key(|i| (std::cmp::Reverse(targets[*i as usize]), *i));
            for (k, item) in ranked.iter().enumerate() {
                p[*item as usize] = (k as f64 + 2.0).ln() - (k as f64 + 1.0).ln();
            }
        }
    }
    if p.iter().all(|p| *p == 0.0) {
        return sampler_weights(Sampler::Uniform, alpha, targets, catalogue);
    }
    p
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::{abs_diff_eq, assert_abs_diff_eq};

    #[test]
    fn probabilities_by_hand() {
        let (targets, catalogue) = ([0, 4, 0, 9, 4, 7], [1, 2, 3, 4]);
        let of = |sampler| sampler_probabilities(sampler, 0.5, &targets, &catalogue);
        let close = |got: Vec<f64>, want: [f64; 6]| {
            let total: f64 = want.iter().sum();
            for (got, want) in got.iter().zip(want) {
                assert!(abs_diff_eq!(*got, want / total, epsilon = 1e-12), "{got} for {}", want / total);
            }
        };
        close(of(Sampler::Uniform), [0.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
        close(of(Sampler::Popularity), [0.0, 2.0, 0.0, 3.0, 2.0, 0.0]);
        close(of(Sampler::Log), [0.0, 5f64.ln(), 0.0, 10f64.ln(), 5f64.ln(), 0.0]);
        // Ranks: 3, then 1 and 4 (a tie, by id), then 2. The sum telescopes to ln(N + 1).
        let ln = f64::ln;
        let steps = [0.0, ln(3.0) - ln(2.0), ln(5.0) - ln(4.0), ln(2.0), ln(4.0) - ln(3.0), 0.0];
        close(of(Sampler::Zipf), steps);
        assert_abs_diff_eq!(steps.iter().sum::<f64>(), ln(5.0), epsilon = 1e-12);
        // Nothing was a target: all alike.
        let none = sampler_probabilities(Sampler::Log, 0.75, &[0; 6], &catalogue);
        close(none, [0.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
    }
}
