//! Queries made from titles by a noise model, for data sets that have titles and no query log.

use super::hashing::words;
use crate::{Error, Result};
use rt_kernels::philox;

/// How a query is made of a title. Each letter or digit has one fate: dropped, swapped with the next one, replaced by a
/// random letter, or kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// Probability that a letter is dropped.
    pub drop: f64,
    /// Probability that it changes places with the next letter of its word.
    pub swap: f64,
    /// Probability that one of a to z stands for it.
    pub replace: f64,
}

impl Default for Noise {
    /// 5 % each: three letters in twenty are touched.
    fn default() -> Self {
        Self { drop: 0.05, swap: 0.05, replace: 0.05 }
    }
}

impl Noise {
    fn check(&self) -> Result<()> {
        let all = [("drop", self.drop), ("swap", self.swap), ("replace", self.replace)];
        for (name, p) in all {
            if !(0.0..=1.0).contains(&p) {
                return Err(Error::Request(format!("{name} = {p}: a probability, from 0 to 1, is wanted")));
            }
        }
        let sum: f64 = all.iter().map(|(_, p)| p).sum();
        if sum > 1.0 {
            let what = format!("drop + swap + replace = {sum}: a letter has one fate, so they may sum to 1 at most");
            return Err(Error::Request(what));
        }
        Ok(())
    }
}

/// Draws of one query: a counter of its own.
struct Draws {
    key: [u32; 2],
    counter: [u32; 4],
}

/// Philox stream of query noise, past the numbers that tapes use.
const STREAM: u32 = philox::stream::NEGATIVES + 0x00FE_0000;

impl Draws {
    /// Uniform in [0, 1).
    fn next(&mut self) -> f64 {
        self.counter[2] += 1;
        f64::from(philox::philox(self.key, self.counter)[0]) / 4_294_967_296.0
    }

    /// Uniform in 0 .. n.
    fn below(&mut self, n: usize) -> usize {
        (self.next() * n as f64) as usize
    }
}

/// The fewest letters of a query, where the title has as many: a lone `of` or `the` asks for nothing.
const LETTERS: usize = 4;

/// Pairs (query, document) from titles: `per_title` queries each, deterministic by `seed`. The query is a run of 1 to n
/// words of the title (its year in brackets left out) from a random one on, grown to the right, then to the left, until it
/// has four letters, with `noise` on its letters. `titles` are (title, what the document says after it, such as genres).
///
/// # Errors
///
/// [`Error::Request`] for probabilities that are none.
pub fn title_pairs(
    titles: &[(String, String)],
    per_title: usize,
    noise: &Noise,
    seed: u64,
) -> Result<Vec<(String, String)>> {
    noise.check()?;
    let most = u32::MAX as usize / titles.len().max(1);
    if per_title > most {
        let what = format!("{per_title} queries of each of {} titles: at most {most} of each", titles.len());
        return Err(Error::Request(what));
    }
    let mut out = Vec::new();
    for (i, (title, rest)) in titles.iter().enumerate() {
        let words = words(without_year(title));
        if words.is_empty() {
            continue;
        }
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let document = flat(&format!("{title} {rest}"));
        for number in 0..per_title {
            let mut draws = Draws { key: philox::key(seed), counter: [i as u32, number as u32, 0, STREAM] };
            out.push((query(&words, noise, &mut draws), document.clone()));
        }
    }
    Ok(out)
}

/// A title without the year that stands in brackets at its end.
fn without_year(title: &str) -> &str {
    match title.trim_end().strip_suffix(')').and_then(|t| t.rsplit_once('(')) {
        Some((name, year)) if year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => title,
    }
}

fn query(words: &[String], noise: &Noise, draws: &mut Draws) -> String {
    let n = 1 + draws.below(words.len());
    let mut start = draws.below(words.len() - n + 1);
    let mut end = start + n;
    let letters = |start: usize, end: usize| words[start..end].iter().map(|w| w.chars().count()).sum::<usize>();
    while letters(start, end) < LETTERS && end - start < words.len() {
        if end < words.len() {
            end += 1;
        } else {
            start -= 1;
        }
    }
    let noisy: Vec<String> =
        words[start..end].iter().map(|w| spoil(w, noise, draws)).filter(|w| !w.is_empty()).collect();
    // All letters dropped: the words as they are.
    if noisy.is_empty() { words[start..end].join(" ") } else { noisy.join(" ") }
}

fn spoil(word: &str, noise: &Noise, draws: &mut Draws) -> String {
    let letters: Vec<char> = word.chars().collect();
    let mut out = String::new();
    let mut i = 0;
    while i < letters.len() {
        let fate = draws.next();
        let random = draws.below(26);
        if fate < noise.drop {
        } else if fate < noise.drop + noise.swap && i + 1 < letters.len() {
            out.push(letters[i + 1]);
            out.push(letters[i]);
            i += 1;
        } else if (noise.drop + noise.swap..noise.drop + noise.swap + noise.replace).contains(&fate) {
            out.push((b'a' + random as u8) as char);
        } else {
            out.push(letters[i]);
        }
        i += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles() -> Vec<(String, String)> {
        let title = |t: &str| (t.to_owned(), "Drama|Comedy".replace('|', " "));
        vec![title("Good, the Bad and the Ugly, The (1966)"), title("M (1931)"), title("(1999)"), title("Of\tMice (x)")]
    }

    #[test]
    fn queries_are_runs_of_words_and_documents_are_whole() {
        let none = Noise { drop: 0.0, swap: 0.0, replace: 0.0 };
        let pairs = title_pairs(&titles(), 50, &none, 3).unwrap();
        assert_eq!(pairs.len(), 150, "a title without words is left out");
        let whole = "good the bad and the ugly the";
        let mut seen = std::collections::BTreeSet::new();
        for (query, document) in &pairs[..50] {
            assert!(whole.contains(query.as_str()) && query.len() >= 4, "{query}");
            assert_eq!(document, "Good, the Bad and the Ugly, The (1966) Drama Comedy");
            seen.insert(query.clone());
        }
        assert!(seen.len() > 10, "{seen:?}");
        assert_eq!(pairs[50].0, "m");
        assert!(pairs.iter().all(|(q, d)| !q.contains('\t') && !d.contains('\t')));
        assert_eq!(pairs, title_pairs(&titles(), 50, &none, 3).unwrap());
        assert_ne!(pairs, title_pairs(&titles(), 50, &none, 4).unwrap());
    }

    #[test]
    fn each_fate_has_its_probability() {
        let word = "abcdefghij".repeat(2000);
        let mut draws = Draws { key: philox::key(1), counter: [0, 0, 0, STREAM] };
        let off = Noise { drop: 0.0, swap: 0.0, replace: 0.0 };
        assert_eq!(spoil(&word, &off, &mut draws), word);
        let dropped = spoil(&word, &Noise { drop: 0.1, ..off }, &mut draws);
        assert!((17_700..18_300).contains(&dropped.len()), "{}", dropped.len());
        let differs = |a: &str| a.bytes().zip(word.bytes()).filter(|(a, b)| a != b).count();
        let replaced = spoil(&word, &Noise { replace: 0.1, ..off }, &mut draws);
        assert!(replaced.len() == word.len() && (1_700..2_150).contains(&differs(&replaced)), "{}", differs(&replaced));
        let swapped = spoil(&word, &Noise { swap: 0.1, ..off }, &mut draws);
        assert!(swapped.len() == word.len() && (3_400..4_000).contains(&differs(&swapped)), "{}", differs(&swapped));
        assert_eq!(spoil("ab", &Noise { swap: 1.0, ..off }, &mut draws), "ba");
        assert!(title_pairs(&titles(), 1, &Noise { drop: 0.6, swap: 0.5, replace: 0.0 }, 1).is_err());
        assert!(title_pairs(&titles(), 1, &Noise { drop: f64::NAN, ..off }, 1).is_err());
        // Nothing is left of the words: they stay as they are.
        let all = title_pairs(&titles(), 1, &Noise { drop: 1.0, swap: 0.0, replace: 0.0 }, 1).unwrap();
        assert!(all.iter().all(|(q, _)| !q.is_empty()));
    }
}
