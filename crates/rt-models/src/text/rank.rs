//! Ranks of test pairs among all documents, and their figures.

use super::hashing::words;
use super::model::TextModel;
use super::pairs::Pairs;
use crate::Result;
use crate::eval::{Place, mrr};
use crate::model::product;
use serde::Serialize;
use std::collections::BTreeMap;

/// Scores queries against all documents.
pub trait TextScorer: Sync {
    /// Scores `[queries, documents]` into `out`.
    ///
    /// # Errors
    ///
    /// Whatever scoring gives.
    fn scores(&self, queries: &[&str], out: &mut [f32]) -> Result<()>;
}

/// A model's scorer: the documents' vectors are made once.
pub(crate) struct ModelTexts<'a> {
    model: &'a TextModel,
    documents: Vec<f32>,
}

impl<'a> ModelTexts<'a> {
    pub(crate) fn new(model: &'a TextModel) -> Result<Self> {
        Ok(Self { model, documents: model.document_vectors()? })
    }
}

impl TextScorer for ModelTexts<'_> {
    fn scores(&self, queries: &[&str], out: &mut [f32]) -> Result<()> {
        let vectors = self.model.query_tower(queries)?;
        let n = self.model.documents().len();
        product(&vectors, &self.documents, queries.len(), n, self.model.dim(), out);
        Ok(())
    }
}

/// Lengths of list that recall is given for.
const KS: [usize; 3] = [1, 10, 100];

/// Figures of test pairs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TextFigures {
    /// `recall@1`, `recall@10`, `recall@100`: the share of the pairs whose document stands within the first k; `MRR`.
    pub metrics: BTreeMap<String, f64>,
    /// Standard errors over pairs, under the same names.
    pub stderr: BTreeMap<String, f64>,
    /// `recall@10` of pairs whose query has one word, two, or more, with how many they are.
    pub by_words: BTreeMap<String, Part>,
    /// Pairs.
    pub pairs: usize,
}

/// Some of the pairs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Part {
    /// Share of them whose document stands within the first ten.
    #[serde(rename = "recall@10")]
    pub recall_at_10: f64,
    /// How many.
    pub pairs: usize,
}

impl TextFigures {
    /// A figure by its name; 0 where there are no pairs.
    #[must_use]
    pub fn get(&self, name: &str) -> f64 {
        self.metrics.get(name).copied().unwrap_or(0.0)
    }
}

/// Ranks each pair's document among all documents, without the query's other clicked documents, and gives the figures. A
/// tie counts by expectation over its orders, see [`crate::eval`]. `chosen` are numbers of [`Pairs::clicked`].
///
/// # Errors
///
/// What the scorer gives.
pub fn rank_pairs(pairs: &Pairs, chosen: &[u32], scorer: &dyn TextScorer) -> Result<TextFigures> {
    let clicked = pairs.clicked_of();
    let n = pairs.documents.len();
    let mut ranks = Vec::with_capacity(chosen.len());
    for chunk in chosen.chunks(64) {
        let chunk: Vec<_> = chunk.iter().map(|i| pairs.clicked[*i as usize]).collect();
        let queries: Vec<&str> = chunk.iter().map(|p| pairs.queries[p.query as usize].as_str()).collect();
        let mut scores = vec![0.0f32; chunk.len() * n];
        scorer.scores(&queries, &mut scores)?;
        for (pair, row) in chunk.iter().zip(scores.chunks(n)) {
            ranks.push((place(row, pair.document, &clicked[pair.query as usize]), pair.query));
        }
    }
    Ok(figures(pairs, &ranks))
}

fn place(row: &[f32], target: u32, clicked: &[u32]) -> Place {
    let own = row[target as usize];
    let count = |x: f32| (u32::from(x > own), u32::from(x == own));
    let (mut greater, mut equal) = (0, 0);
    for x in row {
        let (g, e) = count(*x);
        greater += g;
        equal += e;
    }
    for other in clicked.iter().filter(|d| **d != target) {
        let (g, e) = count(row[*other as usize]);
        greater -= g;
        equal -= e;
    }
    // A score that is not a number is last: it is greater than none and equal to none.
    if own.is_nan() { Place::at(row.len() as u32) } else { Place { before: greater, tied: equal } }
}

fn figures(pairs: &Pairs, places: &[(Place, u32)]) -> TextFigures {
    let mut out = TextFigures { pairs: places.len(), ..TextFigures::default() };
    if places.is_empty() {
        return out;
    }
    let mut put = |name: String, value: &dyn Fn(Place) -> f64| {
        let n = places.len() as f64;
        let mean = places.iter().map(|(r, _)| value(*r)).sum::<f64>() / n;
        let square = places.iter().map(|(r, _)| (value(*r) - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        out.metrics.insert(name.clone(), mean);
        out.stderr.insert(name, (square / n).sqrt());
    };
    for k in KS {
        put(format!("recall@{k}"), &|place| place.share_within(k));
    }
    put("MRR".into(), &|place| mrr(&[place]));
    for (place, query) in places {
        let name = match words(&pairs.queries[*query as usize]).len() {
            1 => "1",
            2 => "2",
            _ => "3 or more",
        };
        let part = out.by_words.entry(name.into()).or_default();
        part.pairs += 1;
        part.recall_at_10 += place.share_within(10);
    }
    for part in out.by_words.values_mut() {
        part.recall_at_10 /= part.pairs as f64;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::{abs_diff_eq, assert_abs_diff_eq};

    #[test]
    fn ranks_by_hand() {
        // Two better (one of them clicked too, and left out), two others equal.
        let row = [0.9, 0.5, 0.8, 0.5, 0.1, 0.5];
        assert_eq!(place(&row, 1, &[1]), Place { before: 2, tied: 3 });
        assert_eq!(place(&row, 1, &[0, 1, 3]), Place { before: 1, tied: 2 });
        assert_eq!(place(&row, 0, &[0, 2]), Place::at(1));
        let pairs = Pairs { queries: vec!["a".into(), "a b".into()], ..Pairs::default() };
        let f = figures(&pairs, &[(Place::at(1), 0), (Place::at(10), 1), (Place::at(11), 1), (Place::at(200), 1)]);
        assert!(
            abs_diff_eq!(f.get("recall@1"), 0.25, epsilon = 1e-12)
                && abs_diff_eq!(f.get("recall@10"), 0.5, epsilon = 1e-12)
        );
        assert_abs_diff_eq!(f.get("MRR"), (1.0 + 0.1 + 1.0 / 11.0 + 0.005) / 4.0, epsilon = 1e-12);
        assert_abs_diff_eq!(f.stderr["recall@10"], (1.0f64 / 3.0 / 4.0).sqrt(), epsilon = 1e-12);
        assert_eq!(f.by_words["2"], Part { recall_at_10: 1.0 / 3.0, pairs: 3 });
    }
}
