//! What made-up users search for: words that lie near their taste.

use super::generate::draw;
use super::rng::Stream;
use super::world::{Drawn, unit_vectors};
use super::{Synthetic, purpose};
use crate::Searches;

/// Distinct words.
const WORDS: usize = 200;
/// How closely words follow the taste: the weight of the cosine between the two.
const NEARNESS: f32 = 6.0;

/// A word: `baza`, `daza`, ...; every number below 70 * 57 has its own.
fn word(number: usize) -> String {
    const CONSONANTS: &[u8; 14] = b"bdfgklmnprstvz";
    const VOWELS: &[u8; 5] = b"aeiou";
    let syllable = |n: usize| [CONSONANTS[n % 14], VOWELS[n / 14 % 5]];
    let letters = [syllable(number % 70), syllable(13 + number / 70)].concat();
    letters.into_iter().map(char::from).collect()
}

/// The searches of all users, `options.searches` a user on average: each at a uniform time of the user's active span, one to three
/// words drawn by a softmax of the cosines between their directions and the user's taste at that time. They depend on no event, so
/// data with and without them has the same events.
pub(super) fn draw_searches(options: &Synthetic, people: &[Drawn]) -> Searches {
    let vectors = unit_vectors(options, purpose::WORDS, WORDS);
    let words: Vec<String> = (0..WORDS).map(word).collect();
    let mut rows = Vec::new();
    for (number, drawn) in people.iter().enumerate() {
        let mut draws = Stream::new(options.seed, purpose::SEARCHES, number as u64);
        let person = &drawn.person;
        let span = (person.active.end - person.active.start) as f64;
        let count = (options.searches * (0.5 + draws.uniform())).round() as usize;
        for _ in 0..count {
            let phase = draws.uniform();
            let taste: Vec<f64> =
                person.taste.iter().zip(&person.drift).map(|(t, d)| f64::from(*t) + phase * f64::from(*d)).collect();
            let length = taste.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
            let cosine = |vector: &Vec<f64>| vector.iter().zip(&taste).map(|(v, t)| v * t).sum::<f64>() / length;
            let logits: Vec<f32> = vectors.iter().map(|vector| NEARNESS * cosine(vector) as f32).collect();
            let query: Vec<&str> = (0..1 + draws.below(3))
                .filter_map(|_| draw(&mut logits.clone(), draws.uniform()))
                .map(|word| words[word as usize].as_str())
                .collect();
            rows.push((number as u32 + 1, person.active.start + (phase * span) as i64, query.join(" ")));
        }
    }
    Searches::from_rows(people.len() + 1, rows.iter().map(|(user, time, query)| (*user, *time, query.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_distinct() {
        let mut all: Vec<String> = (0..WORDS).map(word).collect();
        assert_eq!((all[0].as_str(), all[1].as_str()), ("baza", "daza"));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), WORDS);
    }
}
