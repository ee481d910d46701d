//! Metrics of places in rankings, their means and standard errors.
//!
//! Every metric of a case is a function of the places of its targets. Items of equal score stand in any order, each as likely
//! as the others: a metric is its expectation over these orders, in closed form (McSherry and Najork 2008, "Computing
//! information retrieval performance measures efficiently in the presence of tied scores"). Without ties that is the plain one.
//! HR@k: any target within k. Recall@k: targets within k / targets. Precision@k: targets within k / k. NDCG@k: sum of
//! 1 / log2(rank + 1) over the targets within k, divided by that of the best order over min(k, targets) (Järvelin and
//! Kekäläinen 2002, with binary gains). MAP@k: mean over min(k, targets) of the precision at the rank of each target within k.
//! MRR: 1 / best rank, not cut.

use std::collections::HashMap;

use rt_data::{Dataset, Split};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{CaseRank, CaseRanks, KS, Result};

/// Named figures in a fixed order; a map in JSON.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures(Vec<(String, f64)>);

impl Figures {
    /// The figure called `name`, such as `HR@10`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(own, _)| own == name).map(|&(_, value)| value)
    }

    /// Appends a figure.
    pub fn push(&mut self, name: impl Into<String>, value: f64) {
        self.0.push((name.into(), value));
    }

    /// (name, value), in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Where a target stands: among `tied` items of its own score, itself one of them, behind `before` items of a greater one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Items that are not masked and have a greater score.
    pub before: u32,
    /// Items that are not masked and have the same score, the target among them: at least 1.
    pub tied: u32,
}

impl Place {
    /// The place of a target that shares its score with no other item; ranks count from 1.
    #[must_use]
    pub fn at(rank: u32) -> Self {
        Self { before: rank.saturating_sub(1), tied: 1 }
    }

    /// Of the `tied` places, how many are among the first `k` of the list.
    fn within(self, k: usize) -> u32 {
        u32::try_from(k).unwrap_or(u32::MAX).saturating_sub(self.before).min(self.tied)
    }

    /// Probability that the target stands within the first `k`.
    #[must_use]
    pub fn share_within(self, k: usize) -> f64 {
        f64::from(self.within(k)) / f64::from(self.tied)
    }
}

/// The blocks of equal scores that hold targets, best first, and how many targets each holds.
fn blocks(places: &[Place]) -> Vec<(Place, u32)> {
    let mut sorted = places.to_vec();
    sorted.sort_unstable();
    let mut blocks: Vec<(Place, u32)> = Vec::with_capacity(sorted.len());
    for place in sorted {
        match blocks.last_mut() {
            Some((last, targets)) if *last == place => *targets += 1,
            _ => blocks.push((place, 1)),
        }
    }
    blocks
}

/// Expected number of targets within the first `k` places.
fn hits(places: &[Place], k: usize) -> f64 {
    places.iter().fold(0.0, |sum, place| sum + place.share_within(k))
}

/// Probability that any target stands within the first `k` places.
#[must_use]
pub fn hit_rate(places: &[Place], k: usize) -> f64 {
    let mut missed = 1.0;
    for (place, targets) in blocks(places) {
        // C(n - m, s) / C(n, s), with n tied items, m targets among them and s places.
        let (n, s) = (f64::from(place.tied), f64::from(place.within(k)));
        missed *= (0..targets).map(f64::from).map(|i| (n - s - i).max(0.0) / (n - i)).product::<f64>();
    }
    1.0 - missed
}

/// Share of the targets that stand within the first `k` places.
#[must_use]
pub fn recall(places: &[Place], k: usize) -> f64 {
    hits(places, k) / places.len().max(1) as f64
}

/// Share of the first `k` places that hold a target.
#[must_use]
pub fn precision(places: &[Place], k: usize) -> f64 {
    hits(places, k) / k as f64
}

/// Discounted gain of the targets within the first `k` places, divided by the best possible one.
#[must_use]
pub fn ndcg(places: &[Place], k: usize) -> f64 {
    let gain = |rank: f64| 1.0 / (rank + 1.0).log2();
    let ideal = (1..=k.min(places.len())).fold(0.0, |sum, rank| sum + gain(rank as f64));
    let mut own = 0.0;
    for (place, targets) in blocks(places) {
        let ranks = (1..=place.within(k)).map(|j| f64::from(place.before) + f64::from(j));
        own += f64::from(targets) / f64::from(place.tied) * ranks.fold(0.0, |sum, rank| sum + gain(rank));
    }
    if ideal > 0.0 { own / ideal } else { 0.0 }
}

/// Mean over min(k, targets) of the precision at the rank of each target within the first `k` places.
#[must_use]
pub fn average_precision(places: &[Place], k: usize) -> f64 {
    let (mut sum, mut earlier) = (0.0, 0.0);
    for (place, targets) in blocks(places) {
        let (n, m) = (f64::from(place.tied), f64::from(targets));
        for j in 1..=place.within(k) {
            // At the block's place j stands a target with probability m / n; of the j - 1 places before it each holds one of
            // the m - 1 others with probability (m - 1) / (n - 1).
            let j = f64::from(j);
            let others = if n > 1.0 { (m - 1.0) * (j - 1.0) / (n - 1.0) } else { 0.0 };
            sum += m / n * (1.0 + earlier + others) / (f64::from(place.before) + j);
        }
        earlier += m;
    }
    sum / k.min(places.len()).max(1) as f64
}

/// 1 / rank of the best target.
#[must_use]
pub fn mrr(places: &[Place]) -> f64 {
    let Some((place, targets)) = blocks(places).into_iter().next() else { return 0.0 };
    // The first of m targets among n tied items stands at place j with probability C(n - j, m - 1) / C(n, m).
    let (n, m) = (f64::from(place.tied), f64::from(targets));
    let (mut sum, mut first) = (0.0, m / n);
    for j in 1..=place.tied - targets + 1 {
        let j = f64::from(j);
        sum += first / (f64::from(place.before) + j);
        first *= (n - j - m + 1.0) / (n - j);
    }
    sum
}

/// Means of HR, Recall, NDCG, Precision and MAP at each k of [`KS`] and of MRR, and their standard errors, under the same
/// names. Both are empty where there is no case.
#[must_use]
pub fn figures(ranks: &CaseRanks) -> (Figures, Figures) {
    let (mut means, mut errors) = (Figures::default(), Figures::default());
    if ranks.is_empty() {
        return (means, errors);
    }
    let mut add = |name: String, metric: &dyn Fn(&[Place]) -> f64| {
        let (mean, error) =
            mean_and_error(&ranks.iter().map(|case| (case.user, metric(case.places))).collect::<Vec<_>>());
        means.push(name.clone(), mean);
        errors.push(name, error);
    };
    type Metric = fn(&[Place], usize) -> f64;
    let metrics: [(&str, Metric); 5] =
        [("HR", hit_rate), ("Recall", recall), ("NDCG", ndcg), ("Precision", precision), ("MAP", average_precision)];
    for (name, metric) in metrics {
        for k in KS {
            add(format!("{name}@{k}"), &|places| metric(places, k));
        }
    }
    add("MRR".into(), &mrr);
    (means, errors)
}

/// `Coverage@k` for each k of [`KS`]: distinct items over the first k places of all lists / catalogue. It is a figure of
/// the table as a whole and has no deviation over users. Items of equal score stand in the order of ids in the lists.
#[must_use]
pub fn coverage(ranks: &CaseRanks) -> Figures {
    let mut figures = Figures::default();
    for k in KS {
        let distinct = ranks.listed(k).filter(|(_, count)| *count > 0).count();
        figures.push(format!("Coverage@{k}"), distinct as f64 / ranks.catalogue.max(1) as f64);
    }
    figures
}

/// `Novelty@k` for each k of [`KS`]: mean over the first k places of all lists of `-log2(users of the item / users)`, counted in
/// the train part: how surprising an item is, in bits (Zhou et al. 2010; Vargas and Castells 2011). An item without a train
/// event counts as if one user had it. Empty where no list has an item.
#[must_use]
pub fn novelty(ranks: &CaseRanks, data: &Dataset, split: &Split) -> Figures {
    let users = split.item_users(data);
    let all = (0..data.users.rows() as u32).filter(|&user| !split.train_events(data, user).is_empty()).count();
    let bits = |item: u32| (all.max(1) as f64 / f64::from(users[item as usize].max(1))).log2();
    let mut figures = Figures::default();
    for k in KS {
        let (mut sum, mut places) = (0.0, 0.0);
        for (place, count) in ranks.listed(k) {
            sum += f64::from(count) * bits(data.ranked()[place]);
            places += f64::from(count);
        }
        if places > 0.0 {
            figures.push(format!("Novelty@{k}"), sum / places);
        }
    }
    figures
}

/// `Diversity@10`: mean over lists of the mean over pairs of its first ten items of 1 - cosine of the items' binary columns of
/// the train part, the cosine of item-kNN (intra-list diversity; Ziegler et al. 2005, "Improving recommendation lists through
/// topic diversification"). 1 where no two items of a list share a user. Over at most 1,000 of the lists, evenly taken; empty
/// where none has two items.
#[must_use]
pub fn diversity(ranks: &CaseRanks, data: &Dataset, split: &Split) -> Figures {
    let mut columns: HashMap<u32, Vec<u32>> =
        ranks.samples().iter().flatten().map(|&place| (data.ranked()[place as usize], Vec::new())).collect();
    for user in 0..data.users.rows() as u32 {
        for &item in &data.event_item[split.train_events(data, user)] {
            if let Some(users) = columns.get_mut(&item).filter(|users| users.last() != Some(&user)) {
                users.push(user);
            }
        }
    }
    let distance = |a: u32, b: u32| {
        let [a, b] = [a, b].map(|place| &columns[&data.ranked()[place as usize]]);
        let scale = ((a.len() * b.len()) as f64).sqrt();
        if scale > 0.0 { 1.0 - common(a, b) as f64 / scale } else { 1.0 }
    };
    let (mut sum, mut lists) = (0.0, 0.0);
    for list in ranks.samples().iter().filter(|list| list.len() > 1) {
        let pairs = list.iter().enumerate().flat_map(|(i, &a)| list[..i].iter().map(move |&b| (a, b)));
        let all = pairs.clone().fold(0.0, |sum, (a, b)| sum + distance(a, b));
        sum += all / pairs.count() as f64;
        lists += 1.0;
    }
    let mut figures = Figures::default();
    if lists > 0.0 {
        figures.push("Diversity@10", sum / lists);
    }
    figures
}

/// Numbers that two ascending lists have in common.
fn common(a: &[u32], b: &[u32]) -> usize {
    let (mut i, mut j, mut both) = (0, 0, 0);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        i += usize::from(x <= y);
        j += usize::from(y <= x);
        both += usize::from(x == y);
    }
    both
}

/// Two models on the same cases.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Paired {
    /// Mean over the cases of HR@10 of the first less that of the second.
    pub difference: f64,
    /// Standard error of it, over users.
    pub stderr: f64,
    /// Users that were compared.
    pub users: usize,
}

/// Compares HR@10 of `a` and `b` case by case: far sharper than two separate standard errors.
///
/// # Errors
///
/// If the two did not rank the same cases.
pub fn paired(a: &CaseRanks, b: &CaseRanks) -> Result<Paired> {
    let same = |(a, b): (CaseRank, CaseRank)| a.case == b.case && a.user == b.user && a.targets == b.targets;
    if a.len() != b.len() || !a.iter().zip(b.iter()).all(same) {
        return Err("the two models were not evaluated on the same cases, so they cannot be paired".into());
    }
    let difference = |(a, b): (CaseRank, CaseRank)| (a.user, hit_rate(a.places, 10) - hit_rate(b.places, 10));
    let (difference, stderr) = mean_and_error(&a.iter().zip(b.iter()).map(difference).collect::<Vec<_>>());
    Ok(Paired { difference, stderr, users: distinct_users(a.iter().map(|case| case.user)) })
}

/// Mean over cases and its standard error over users: deviation / sqrt(n) where every user has one case. Several cases of
/// a user are not independent, so their deviations are summed first (the cluster-robust form). Cases of one user
/// stand together.
fn mean_and_error(values: &[(u32, f64)]) -> (f64, f64) {
    let count = values.len() as f64;
    if count == 0.0 {
        return (0.0, 0.0);
    }
    let mean = values.iter().map(|(_, value)| value).sum::<f64>() / count;
    let (mut squares, mut users, mut own, mut last) = (0.0, 0.0, 0.0, None);
    for &(user, value) in values {
        if last != Some(user) {
            squares += own * own;
            users += 1.0;
            own = 0.0;
            last = Some(user);
        }
        own += value - mean;
    }
    squares += own * own;
    let error = if users > 1.0 { (squares * users / (users - 1.0)).sqrt() / count } else { 0.0 };
    (mean, error)
}

/// Distinct users of cases; cases of one user stand together.
pub(super) fn distinct_users(users: impl Iterator<Item = u32>) -> usize {
    let (mut count, mut last) = (0, None);
    for user in users {
        count += usize::from(last != Some(user));
        last = Some(user);
    }
    count
}
