//! The built-in data: determinism, the promises of its model, and where the baselines stand under the bound.

use approx::abs_diff_eq;
use rt_data::{Column, Dataset, NEVER, Split, SplitKind, SplitOptions, Synthetic, split};

fn small() -> Synthetic {
    Synthetic { users: 120, items: 150, events: 20.0, ..Synthetic::default() }
}

#[test]
fn same_seed_same_data() {
    let (a, _) = small().generate();
    let (b, _) = small().generate();
    assert_eq!(a.event_item, b.event_item);
    assert_eq!(a.event_time, b.event_time);
    assert_eq!((a.titles, a.user_features, a.item_features), (b.titles, b.user_features, b.item_features));
    let (c, _) = Synthetic { seed: 2, ..small() }.generate();
    assert_ne!(b.event_item, c.event_item);
}

/// A fingerprint of the data: it changes if a platform's arithmetic, or the generator, does.
#[test]
fn same_data_on_every_platform() {
    let (data, _) = small().generate();
    let numbers =
        data.event_item.iter().map(|&item| u64::from(item)).chain(data.event_time.iter().map(|time| time as u64));
    let hash = numbers.fold(0xcbf2_9ce4_8422_2325u64, |hash, number| (hash ^ number).wrapping_mul(0x0100_0000_01b3));
    assert_eq!((data.event_item.len(), hash), (2_065, 2_223_040_179_686_950_654));
}

#[test]
fn every_event_was_possible() {
    let (data, latent) = small().generate();
    assert_eq!(data.users.rows(), 121);
    assert_eq!(data.items.rows(), 151);
    let mut scores = vec![0.0; data.items.rows()];
    for user in 1..data.users.rows() as u32 {
        let events = data.events_of(user);
        assert!(events.len() >= 5);
        let start = events.start as u32;
        for event in events {
            let (item, time) = (data.event_item[event], data.time(event));
            assert!(latent.released(item).unwrap() <= time);
            assert!(event as u32 == start || data.time(event - 1) < time);
            latent.scores(&data, user, start..event as u32, time, &mut scores);
            assert!(scores[item as usize] > NEVER, "drawn, so possible");
            assert_eq!(scores[0], NEVER);
            for &seen in &data.event_item[start as usize..event] {
                assert_eq!(scores[seen as usize], NEVER, "nothing is watched twice");
            }
            for other in 1..data.items.rows() as u32 {
                if latent.released(other).unwrap() > time {
                    assert_eq!(scores[other as usize], NEVER);
                }
            }
        }
    }
}

/// Two ways in which draws by the softmax must agree with it: how often the likeliest item is drawn, and the place of
/// the drawn item on the ladder of probabilities, items by raw id, whose mean is 1/2 and variance at most 1/12.
#[test]
fn draws_follow_the_logits() {
    let (data, latent) = small().generate();
    let mut by_raw: Vec<u32> = (1..data.items.rows() as u32).collect();
    by_raw.sort_by_key(|&item| data.items.raw(item).parse::<u32>().unwrap());
    let mut scores = vec![0.0; data.items.rows()];
    let (mut expected, mut got, mut variance, mut places) = (0.0, 0.0, 0.0, 0.0);
    for event in 0..data.event_item.len() {
        let user = data.user_of(event);
        let history = data.user_start[user as usize]..event as u32;
        latent.scores(&data, user, history, data.time(event), &mut scores);
        let most = scores.iter().copied().fold(NEVER, f32::max);
        let weight = |item: u32| f64::from(scores[item as usize] - most).exp();
        let total: f64 = by_raw.iter().map(|&item| weight(item)).sum();
        let drawn = data.event_item[event];
        expected += 1.0 / total;
        variance += (1.0 - 1.0 / total) / total;
        got += f64::from(scores[drawn as usize] == most);
        let below: f64 = by_raw.iter().take_while(|&&item| item != drawn).map(|&item| weight(item)).sum();
        places += (below + weight(drawn) / 2.0) / total;
    }
    assert!(abs_diff_eq!(got, expected, epsilon = 4.0 * f64::sqrt(variance)), "{got} drawn, {expected} expected");
    let n = data.event_item.len() as f64;
    assert!(abs_diff_eq!(places / n, 0.5, epsilon = 4.0 * (1.0 / (12.0 * n)).sqrt()), "mean place {}", places / n);
}

#[test]
fn popularity_is_skewed_and_features_are_there() {
    let (data, _) = Synthetic { users: 400, ..Synthetic::default() }.generate();
    let mut counts = vec![0u32; data.items.rows()];
    data.event_item.iter().for_each(|&item| counts[item as usize] += 1);
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let top: u32 = counts[..data.items.rows() / 10].iter().sum();
    let share = f64::from(top) / data.event_item.len() as f64;
    assert!(share > 0.3, "the top tenth has {share}");

    let names =
        |features: &rt_data::Features| features.columns.iter().map(|column| column.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&data.user_features), ["country", "age"]);
    assert_eq!(names(&data.item_features), ["genres", "year"]);
    assert!(
        matches!(&data.user_features.columns[1].1, Column::Number { values } if values[1..].iter().all(|age| *age >= 14.0))
    );
    let mut titles = data.titles[1..].to_vec();
    assert!(titles.iter().all(|title| title.ends_with(')')));
    titles.sort();
    titles.dedup();
    assert_eq!(titles.len(), data.items.rows() - 1);
}

/// HR@10 of one score vector a case, the history masked, ties at their mean position.
fn hit_rate(data: &Dataset, split: &Split, mut score: impl FnMut(&rt_data::EvalCase, &mut [f32])) -> f64 {
    let mut scores = vec![0.0; data.items.rows()];
    let mut hits = 0;
    for case in &split.test {
        score(case, &mut scores);
        let target = data.event_item[case.targets[0] as usize];
        let mut masked = vec![false; data.items.rows()];
        case.history.clone().for_each(|event| masked[data.event_item[event as usize] as usize] = true);
        masked[target as usize] = false;
        let own = scores[target as usize];
        let mut rank = 0.5;
        for &item in data.catalogue.iter().filter(|&&item| !masked[item as usize]) {
            let other = scores[item as usize];
            rank += if other > own {
                1.0
            } else if other == own {
                0.5
            } else {
                0.0
            };
        }
        hits += usize::from(rank <= 10.0);
    }
    hits as f64 / split.test.len() as f64
}

/// Cosine between the binary item columns of the train part, dense, zero diagonal.
fn cosine(data: &Dataset, split: &Split) -> Vec<f32> {
    let rows = data.items.rows();
    let mut both = vec![0.0f32; rows * rows];
    for user in 0..data.users.rows() as u32 {
        let mut own: Vec<u32> = split.train_events(data, user).map(|event| data.event_item[event]).collect();
        own.sort_unstable();
        own.dedup();
        for &a in &own {
            own.iter().for_each(|&b| both[a as usize * rows + b as usize] += 1.0);
        }
    }
    let norm: Vec<f32> = (0..rows).map(|item| both[item * rows + item].max(1.0).sqrt()).collect();
    for a in 0..rows {
        for b in 0..rows {
            both[a * rows + b] = if a == b { 0.0 } else { both[a * rows + b] / (norm[a] * norm[b]) };
        }
    }
    both
}

#[test]
fn baselines_stand_below_the_bound() {
    let (data, latent) = Synthetic::default().generate();
    let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    let counts = split.item_counts(&data);
    let popular = hit_rate(&data, &split, |_, scores| {
        scores.iter_mut().zip(&counts).for_each(|(score, &count)| *score = count as f32);
    });
    let similar = cosine(&data, &split);
    let rows = data.items.rows();
    let neighbours = [1, 2, 3, 5, 10, 20, 50].map(|last| {
        hit_rate(&data, &split, |case, scores| {
            scores.fill(0.0);
            for event in case.history.clone().rev().take(last) {
                let item = data.event_item[event as usize] as usize;
                scores.iter_mut().zip(&similar[item * rows..]).for_each(|(score, x)| *score += x);
            }
        })
    });
    let bound = hit_rate(&data, &split, |case, scores| {
        let time = data.time(case.targets[0] as usize);
        latent.scores(&data, case.user, case.history.clone(), time, scores);
    });
    println!("HR@10: most-popular {popular:.3}, item-kNN by h {neighbours:.3?}, bound {bound:.3}");
    let best = neighbours.into_iter().fold(0.0, f64::max);
    assert!(popular > 0.01 && best > 1.4 * popular, "most-popular {popular}, item-kNN {best}");
    assert!(bound > 1.3 * best && (0.25..0.5).contains(&bound), "item-kNN {best}, bound {bound}");
}
