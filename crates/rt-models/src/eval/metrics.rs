//! Metrics of ranks, their means and standard errors.
//!
//! Every metric of a case is a function of the ranks of its targets, which may be halves (ties). HR@k: any target
//! within k. Recall@k: targets within k / targets. Precision@k: targets within k / k. NDCG@k: sum of 1 / log2(rank + 1)
//! over the targets within k, divided by that of the best order over min(k, targets) (Järvelin and Kekäläinen 2002,
//! with binary gains). MRR: 1 / best rank, not cut.

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

/// Targets within the first `k` places.
fn hits(ranks: &[f64], k: usize) -> f64 {
    ranks.iter().filter(|&&rank| rank <= k as f64).count() as f64
}

/// 1 if any target stands within the first `k` places, else 0.
#[must_use]
pub fn hit_rate(ranks: &[f64], k: usize) -> f64 {
    hits(ranks, k).min(1.0)
}

/// Share of the targets that stand within the first `k` places.
#[must_use]
pub fn recall(ranks: &[f64], k: usize) -> f64 {
    hits(ranks, k) / ranks.len().max(1) as f64
}

/// Share of the first `k` places that hold a target.
#[must_use]
pub fn precision(ranks: &[f64], k: usize) -> f64 {
    hits(ranks, k) / k as f64
}

/// Discounted gain of the targets within the first `k` places, divided by the best possible one.
#[must_use]
pub fn ndcg(ranks: &[f64], k: usize) -> f64 {
    let gain = |rank: f64| 1.0 / (rank + 1.0).log2();
    let ideal: f64 = (1..=k.min(ranks.len())).map(|rank| gain(rank as f64)).sum();
    let own: f64 = ranks.iter().filter(|&&rank| rank <= k as f64).map(|&rank| gain(rank)).sum();
    if ideal > 0.0 { own / ideal } else { 0.0 }
}

/// 1 / rank of the best target.
#[must_use]
pub fn mrr(ranks: &[f64]) -> f64 {
    1.0 / ranks.iter().copied().fold(f64::INFINITY, f64::min)
}

/// Means of HR, Recall, NDCG and Precision at each k of [`KS`] and of MRR, and their standard errors, under the same
/// names. Both are empty where there is no case.
#[must_use]
pub fn figures(ranks: &CaseRanks) -> (Figures, Figures) {
    let (mut means, mut errors) = (Figures::default(), Figures::default());
    if ranks.is_empty() {
        return (means, errors);
    }
    let mut add = |name: String, metric: &dyn Fn(&[f64]) -> f64| {
        let (mean, error) =
            mean_and_error(&ranks.iter().map(|case| (case.user, metric(case.ranks))).collect::<Vec<_>>());
        means.push(name.clone(), mean);
        errors.push(name, error);
    };
    type Metric = fn(&[f64], usize) -> f64;
    let metrics: [(&str, Metric); 4] = [("HR", hit_rate), ("Recall", recall), ("NDCG", ndcg), ("Precision", precision)];
    for (name, metric) in metrics {
        for k in KS {
            add(format!("{name}@{k}"), &|ranks| metric(ranks, k));
        }
    }
    add("MRR".into(), &mrr);
    (means, errors)
}

/// `Coverage@k` for each k of [`KS`]: distinct items over the first k places of all lists / catalogue. It is a figure of
/// the table as a whole and has no deviation over users.
#[must_use]
pub fn coverage(ranks: &CaseRanks) -> Figures {
    let mut figures = Figures::default();
    for (k, distinct) in KS.into_iter().zip(ranks.distinct()) {
        figures.push(format!("Coverage@{k}"), distinct as f64 / ranks.catalogue.max(1) as f64);
    }
    figures
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
    let same = |(a, b): (CaseRank, CaseRank)| a.user == b.user && a.targets == b.targets;
    if a.len() != b.len() || !a.iter().zip(b.iter()).all(same) {
        return Err("the two models were not evaluated on the same cases, so they cannot be paired".into());
    }
    let difference = |(a, b): (CaseRank, CaseRank)| (a.user, hit_rate(a.ranks, 10) - hit_rate(b.ranks, 10));
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
