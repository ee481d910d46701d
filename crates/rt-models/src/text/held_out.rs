//! Which pairs a saved text model was not trained on.

use super::model::TextModel;
use super::pairs::{Pair, Pairs, SplitBy, TextSplit};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// What a model was trained on: from it follows what it was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TrainedOn {
    /// Of the pairs: see [`digest`].
    sha256: String,
    split: String,
    seed: u64,
}

impl TrainedOn {
    pub(crate) fn new(pairs: &Pairs, by: SplitBy, seed: u64) -> Self {
        Self { sha256: digest(pairs), split: by.name().into(), seed }
    }
}

/// SHA-256 over queries, documents and clicked pairs in their order.
fn digest(pairs: &Pairs) -> String {
    let mut hash = Sha256::new();
    for text in pairs.queries.iter().chain(&pairs.documents) {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.update((pairs.queries.len() as u64).to_le_bytes());
    for pair in &pairs.clicked {
        [pair.query, pair.document, pair.count].iter().for_each(|n| hash.update(n.to_le_bytes()));
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

impl Pairs {
    /// The same pairs by the numbers of other documents.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] that names a document which `documents` lacks.
    pub fn among(&self, documents: &[String]) -> Result<Self> {
        let place: HashMap<&str, u32> = documents.iter().enumerate().map(|(i, d)| (d.as_str(), i as u32)).collect();
        let of = |document: u32| {
            let text = &self.documents[document as usize];
            place.get(text.as_str()).copied().ok_or_else(|| {
                Error::Request(format!(
                    "{}: the document `{text}` is none of the {} that the model ranks; train on data that has it",
                    self.name,
                    documents.len()
                ))
            })
        };
        let clicked: Result<_> = self.clicked.iter().map(|p| Ok(Pair { document: of(p.document)?, ..*p })).collect();
        // What was shown and not clicked has no part in figures, and need not be known.
        let shown = |list: &Vec<u32>| list.iter().filter_map(|d| of(*d).ok()).collect();
        Ok(Self {
            name: self.name.clone(),
            queries: self.queries.clone(),
            documents: documents.to_vec(),
            clicked: clicked?,
            shown: self.shown.iter().map(shown).collect(),
        })
    }
}

impl TextModel {
    /// The division of these pairs that the model was trained by; `None` where it was trained on others, so that no pair is known to
    /// have trained.
    #[must_use]
    pub fn split_of(&self, pairs: &Pairs) -> Option<TextSplit> {
        let trained = self.trained_on.as_ref().filter(|on| on.sha256 == digest(pairs))?;
        let by = if trained.split == SplitBy::Documents.name() { SplitBy::Documents } else { SplitBy::Pairs };
        Some(TextSplit::new(pairs, by, trained.seed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn parse(text: &str) -> Pairs {
        Pairs::parse("t", text.as_bytes(), Path::new("t.tsv")).unwrap()
    }

    #[test]
    fn pairs_by_the_numbers_of_other_documents() {
        let pairs = parse("a\tX\nb\tY\nb\tZ\t0\n");
        let documents = ["W", "Y", "X"].map(str::to_owned);
        let own = pairs.among(&documents).unwrap();
        assert_eq!(own.clicked.iter().map(|p| p.document).collect::<Vec<_>>(), [2, 1]);
        assert_eq!((own.documents.len(), own.shown), (3, vec![vec![], vec![]]));
        let error = pairs.among(&documents[..2]).unwrap_err().to_string();
        assert!(error.contains("the document `X` is none of the 2"), "{error}");
    }

    #[test]
    fn a_digest_tells_pairs_apart() {
        let digests = ["a\tX\nb\tY\n", "a\tX\nb\tX\n", "a\tX\nb\tY\nb\tY\n", "b\tY\na\tX\n", "a b\tX\nc\tY\n"];
        let mut digests: Vec<String> = digests.map(|text| digest(&parse(text))).to_vec();
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), 5);
        assert_eq!(digest(&parse("a\tX\n")), digest(&parse("query\tdocument\nA!\tX\t1\n")));
    }
}
