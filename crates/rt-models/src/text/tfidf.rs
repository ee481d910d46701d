//! The baseline: cosine of TF-IDF vectors of letter trigrams.

use super::hashing::trigrams;
use super::rank::TextScorer;
use crate::Result;
use std::collections::HashMap;

/// TF-IDF over letter trigrams: a text's weights are counts times `1 + ln((1 + N) / (1 + n_t))`, with N documents of which
/// n_t have the trigram; texts are ranked by the cosine. (Salton and Buckley 1988; smoothed as scikit-learn does.)
#[derive(Debug, Clone)]
pub struct TfIdf {
    number: HashMap<String, u32>,
    idf: Vec<f32>,
    /// (document, weight of a vector of length one) of each trigram.
    postings: Vec<Vec<(u32, f32)>>,
    documents: usize,
}

impl TfIdf {
    /// Weights of documents.
    #[must_use]
    pub fn new(documents: &[String]) -> Self {
        let mut number = HashMap::new();
        let mut counts: Vec<Vec<(u32, f32)>> = Vec::with_capacity(documents.len());
        let mut of: Vec<u32> = Vec::new();
        for text in documents {
            let mut ids: Vec<u32> = Vec::new();
            for t in trigrams(text) {
                let fresh = number.len() as u32;
                ids.push(*number.entry(t).or_insert(fresh));
            }
            of.resize(number.len(), 0);
            let counted = counted(ids);
            counted.iter().for_each(|(t, _)| of[*t as usize] += 1);
            counts.push(counted);
        }
        let n = documents.len() as f64;
        let idf: Vec<f32> = of.iter().map(|d| (1.0 + ((1.0 + n) / (1.0 + f64::from(*d))).ln()) as f32).collect();
        let mut postings = vec![Vec::new(); idf.len()];
        for (document, counted) in counts.iter().enumerate() {
            let norm = counted.iter().map(|(t, c)| (c * idf[*t as usize]).powi(2)).sum::<f32>().sqrt();
            for (t, count) in counted {
                postings[*t as usize].push((document as u32, count * idf[*t as usize] / norm));
            }
        }
        Self { number, idf, postings, documents: documents.len() }
    }

    /// Scores of all documents for a query: the cosine, but for the query's length, which does not change the ranks.
    pub fn score(&self, query: &str, out: &mut [f32]) {
        out.fill(0.0);
        let ids = trigrams(query).iter().filter_map(|t| self.number.get(t).copied()).collect();
        for (t, count) in counted(ids) {
            let weight = count * self.idf[t as usize];
            for (document, w) in &self.postings[t as usize] {
                out[*document as usize] += weight * w;
            }
        }
    }
}

/// (id, how often), in ascending order of the ids.
fn counted(mut ids: Vec<u32>) -> Vec<(u32, f32)> {
    ids.sort_unstable();
    ids.chunk_by(|a, b| a == b).map(|c| (c[0], c.len() as f32)).collect()
}

impl TextScorer for TfIdf {
    fn scores(&self, queries: &[&str], out: &mut [f32]) -> Result<()> {
        for (query, row) in queries.iter().zip(out.chunks_mut(self.documents.max(1))) {
            self.score(query, row);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::abs_diff_eq;

    #[test]
    fn weights_by_hand() {
        let documents = ["ab".to_owned(), "ab ab cd".to_owned(), "ef".to_owned()];
        let tfidf = TfIdf::new(&documents);
        let mut scores = [0.0; 3];
        tfidf.score("AB", &mut scores);
        // #ab and ab# stand in two of three documents, #cd and cd# in one.
        let (common, rare) = (1.0 + (4.0f32 / 3.0).ln(), 1.0 + 2.0f32.ln());
        let second = 2.0 * 2.0 * common * common / (2.0 * (4.0 * common * common + rare * rare)).sqrt();
        let first = 2.0 * common * common / (2.0 * common * common).sqrt();
        assert!(
            abs_diff_eq!(scores[0], first, epsilon = 1e-6) && abs_diff_eq!(scores[1], second, epsilon = 1e-6),
            "{scores:?}"
        );
        assert_eq!(scores[2].to_bits(), 0.0f32.to_bits());
        tfidf.score("zz", &mut scores);
        assert_eq!(scores, [0.0; 3]);
    }
}
