//! Word hashing: a text as its letter trigrams (Huang et al. 2013, section 3.2).

use rt_data::Vocab;
pub use rt_data::words;

/// The letter trigrams of a text, in their order and as often as they occur: each word between `#`, three characters at
/// a time. A character is a Unicode scalar value; composed and decomposed accents are not made alike.
///
/// ```
/// // The paper's example.
/// assert_eq!(rt_models::text::trigrams("good"), ["#go", "goo", "ood", "od#"]);
/// ```
#[must_use]
pub fn trigrams(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for word in words(text) {
        let marked: Vec<char> = std::iter::once('#').chain(word.chars()).chain(std::iter::once('#')).collect();
        out.extend(marked.windows(3).map(|w| w.iter().collect::<String>()));
    }
    out
}

/// Texts as slices of one flat array of trigram ids; text 0 is the empty one, for padding.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Texts {
    /// Trigram ids of all texts. Never empty: an empty array cannot be bound.
    pub ids: Vec<u32>,
    /// (start, length) of each text.
    pub slices: Vec<u32>,
    /// Longest text.
    pub longest: usize,
}

impl Texts {
    /// Hashes texts, the first from row 1 on. Trigrams that `vocab` does not know are left out; of a text the first `most`
    /// known ones stay.
    pub(crate) fn new<'a>(vocab: &Vocab, texts: impl Iterator<Item = &'a str>, most: usize) -> Self {
        let mut out = Self { ids: Vec::new(), slices: vec![0, 0], longest: 1 };
        for text in texts {
            let start = out.ids.len();
            out.ids.extend(known(vocab, text, most));
            let len = out.ids.len() - start;
            out.slices.extend([start as u32, len as u32]);
            out.longest = out.longest.max(len);
        }
        if out.ids.is_empty() {
            out.ids.push(0);
        }
        out
    }

    /// Rows, the empty text included.
    pub(crate) fn rows(&self) -> usize {
        self.slices.len() / 2
    }
}

/// Ids of the first `most` known trigrams of a text.
pub(crate) fn known(vocab: &Vocab, text: &str, most: usize) -> Vec<u32> {
    trigrams(text).iter().filter_map(|t| vocab.get(t)).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trigrams_count_repeats_and_short_words() {
        assert_eq!(trigrams("A bb"), ["#a#", "#bb", "bb#"]);
        assert_eq!(trigrams("good good").len(), 8);
        assert_eq!(trigrams("né"), ["#né", "né#"]);
        assert!(trigrams("...").is_empty());
    }

    #[test]
    fn texts_are_slices_and_unknown_trigrams_are_left_out() {
        let mut vocab = Vocab::new();
        for t in trigrams("good") {
            vocab.insert(&t);
        }
        let texts = Texts::new(&vocab, ["good", "food", "xyz"].into_iter(), 3);
        assert_eq!(texts.ids, [1, 2, 3, 3, 4]);
        assert_eq!(texts.slices, [0, 0, 0, 3, 3, 2, 5, 0]);
        assert_eq!((texts.rows(), texts.longest), (4, 3));
    }
}
