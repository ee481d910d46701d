//! Texts as words, and as words with their pairs.

/// Splits words: white space, control characters, and punctuation. Letters, digits, and what combines with them (accents,
/// vowel signs, joiners) stay; symbols outside the blocks of punctuation, such as emoji, are words.
fn separates(c: char) -> bool {
    if c.is_alphanumeric() {
        return false;
    }
    if c.is_ascii() || c.is_whitespace() || c.is_control() {
        return true;
    }
    match c {
        '\u{200c}' | '\u{200d}' => false, // joiners: part of words in Persian and Hindi, and of emoji
        // Latin-1 signs, general and supplemental punctuation, CJK punctuation, full-width signs.
        '\u{80}'..='\u{bf}' | '×' | '÷' => true,
        '\u{2000}'..='\u{206f}' | '\u{2e00}'..='\u{2e7f}' => true,
        '\u{3000}'..='\u{303f}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff65}' => true,
        // Marks of other scripts: Arabic comma, semicolon, question mark, full stop; danda.
        '،' | '؛' | '؟' | '۔' | '।' | '॥' => true,
        _ => false,
    }
}

/// The words of a text, in lower case.
///
/// ```
/// assert_eq!(rt_data::words("Léon: The Professional"), ["léon", "the", "professional"]);
/// ```
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    text.to_lowercase().split(separates).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

/// Words of a query that count; a longer one is no query that was typed.
const MOST_WORDS: usize = 16;

/// Most tokens that a query has.
pub(crate) const MOST_TOKENS: usize = 2 * MOST_WORDS - 1;

/// The tokens of a query: each of its first 16 words, then each pair of words that stand side by side, with a blank between (the
/// unigrams and bigrams of Covington et al., RecSys 2016, section 3.3). As often as they occur.
///
/// ```
/// assert_eq!(rt_data::query_tokens("Red Velvet, red"), ["red", "velvet", "red", "red velvet", "velvet red"]);
/// ```
#[must_use]
pub fn query_tokens(query: &str) -> Vec<String> {
    let mut words = words(query);
    words.truncate(MOST_WORDS);
    let pairs: Vec<String> = words.windows(2).map(|pair| pair.join(" ")).collect();
    words.extend(pairs);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_at_white_space_and_punctuation() {
        assert_eq!(words("  Ocean's\tEleven (2001)\u{a0}— uncut…"), ["ocean", "s", "eleven", "2001", "uncut"]);
        assert_eq!(words("ÉCOLE İstanbul straße"), ["école", "i\u{307}stanbul", "straße"]);
        assert_eq!(words("東京、物語 हिन्दी cafe\u{301}"), ["東京", "物語", "हिन्दी", "cafe\u{301}"]);
        assert_eq!(words("a🎬b #c#"), ["a🎬b", "c"]);
        assert!(words(" .,;!?()[]{}\"'`~@#$%^&*-_=+<>/\\|¡¿«»“”、。،").is_empty());
    }

    #[test]
    fn a_query_has_its_words_and_the_pairs_of_neighbours() {
        assert_eq!(query_tokens("Jazz"), ["jazz"]);
        assert_eq!(query_tokens("a b\tC"), ["a", "b", "c", "a b", "b c"]);
        assert!(query_tokens(" ?! ").is_empty());
        let long: Vec<String> = (0..40).map(|i| format!("w{i}")).collect();
        let tokens = query_tokens(&long.join(" "));
        assert_eq!((tokens.len(), tokens[15].as_str(), tokens[30].as_str()), (MOST_TOKENS, "w15", "w14 w15"));
    }
}
