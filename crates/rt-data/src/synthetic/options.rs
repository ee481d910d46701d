//! `synthetic:users=..,items=..` as text.

use super::Synthetic;
use crate::{Error, Result};

const KEYS: [&str; 13] = [
    "users",
    "items",
    "events",
    "dim",
    "genres",
    "zipf",
    "popularity",
    "taste",
    "drift",
    "sequence",
    "freshness",
    "searches",
    "seed",
];

impl Synthetic {
    /// True if `text` asks for built-in data: `synthetic`, or `synthetic:` and settings.
    #[must_use]
    pub fn is_named_by(text: &str) -> bool {
        text == "synthetic" || text.starts_with("synthetic:")
    }

    /// Reads `synthetic` or `synthetic:users=500,items=400,events=40,seed=7`; the keys are the fields of
    /// [`Synthetic`], `events` is the mean a user.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] for an unknown key (naming the nearest), a value that is no number or out of range.
    pub fn parse(text: &str) -> Result<Self> {
        let fail = |what: String| Error::Request(format!("data `{text}`: {what}"));
        let settings = match text.strip_prefix("synthetic") {
            Some("") => "",
            Some(rest) if rest.starts_with(':') => &rest[1..],
            _ => {
                return Err(fail("synthetic or synthetic:users=..,items=..,events=..,seed=.. is wanted".into()));
            }
        };
        let mut options = Self::default();
        for setting in settings.split(',').map(str::trim).filter(|setting| !setting.is_empty()) {
            let Some((key, value)) = setting.split_once('=') else {
                return Err(fail(format!("`{setting}` is no key=value")));
            };
            let (key, value) = (key.trim(), value.trim());
            let bad = |wanted: &str| fail(format!("{key}: `{value}` is not {wanted}"));
            let count = |low: usize, high: usize| match value.parse::<usize>() {
                Ok(count) if (low..=high).contains(&count) => Ok(count),
                _ => Err(bad(&format!("an integer from {low} to {high}"))),
            };
            let weight = |low: f64, high: f64| match value.parse::<f64>() {
                Ok(weight) if (low..=high).contains(&weight) => Ok(weight),
                _ => Err(bad(&format!("a number from {low} to {high}"))),
            };
            match key {
                "users" => options.users = count(1, 10_000_000)?,
                "items" => options.items = count(10, 1_000_000)?,
                "events" => options.events = weight(5.0, 10_000.0)?,
                "dim" => options.dim = count(1, 256)?,
                "genres" => options.genres = count(1, 1_000)?,
                "zipf" => options.zipf = weight(0.0, 10.0)?,
                "popularity" => options.popularity = weight(0.0, 100.0)?,
                "taste" => options.taste = weight(0.0, 100.0)?,
                "drift" => options.drift = weight(0.0, 100.0)?,
                "sequence" => options.sequence = weight(0.0, 100.0)?,
                "freshness" => options.freshness = weight(0.0, 100.0)?,
                "searches" => options.searches = weight(0.0, 10_000.0)?,
                "seed" => options.seed = value.parse().map_err(|_| bad("an integer from 0 to 2^64 - 1"))?,
                _ => {
                    let nearest = KEYS.into_iter().min_by_key(|known| distance(key, known)).unwrap_or_default();
                    let known = KEYS.join(", ");
                    return Err(fail(format!("no key `{key}`; the nearest is `{nearest}` (known: {known})")));
                }
            }
        }
        Ok(options)
    }

    /// The settings with every field brought into the range that [`Synthetic::parse`] accepts; NaN becomes the
    /// default.
    pub(super) fn clamped(&self) -> Self {
        let default = Self::default();
        let weight = |value: f64, default: f64, low: f64, high: f64| {
            if value.is_nan() { default } else { value.clamp(low, high) }
        };
        Self {
            users: self.users.clamp(1, 10_000_000),
            items: self.items.clamp(10, 1_000_000),
            events: weight(self.events, default.events, 5.0, 10_000.0),
            dim: self.dim.clamp(1, 256),
            genres: self.genres.clamp(1, 1_000),
            zipf: weight(self.zipf, default.zipf, 0.0, 10.0),
            popularity: weight(self.popularity, default.popularity, 0.0, 100.0),
            taste: weight(self.taste, default.taste, 0.0, 100.0),
            drift: weight(self.drift, default.drift, 0.0, 100.0),
            sequence: weight(self.sequence, default.sequence, 0.0, 100.0),
            freshness: weight(self.freshness, default.freshness, 0.0, 100.0),
            searches: weight(self.searches, default.searches, 0.0, 10_000.0),
            seed: self.seed,
        }
    }
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, &y) in b.iter().enumerate() {
            let changed = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings() {
        let got = Synthetic::parse("synthetic:users=7, items=20,events=9.5,seed=3").unwrap();
        assert_eq!((got.users, got.items, got.events, got.seed), (7, 20, 9.5, 3));
        assert_eq!(Synthetic::parse("synthetic").unwrap(), Synthetic::default());
        assert_eq!(Synthetic::parse("synthetic:").unwrap(), Synthetic::default());
        assert_eq!(Synthetic::default().clamped(), Synthetic::default());
        for key in KEYS {
            let text = Synthetic::parse(&format!("synthetic:{key}=x")).unwrap_err().to_string();
            assert!(text.contains(&format!("{key}: `x` is not a")), "{text}");
        }
    }

    #[test]
    fn errors_name_key_and_nearest() {
        let error = |text: &str| Synthetic::parse(text).unwrap_err().to_string();
        assert!(error("synthetic:user=7").contains("no key `user`; the nearest is `users` (known: users, items"));
        assert!(error("synthetic:sed=7").contains("the nearest is `seed`"));
        assert!(error("synthetic:users").contains("`users` is no key=value"));
        assert!(error("synthetic:users=0").contains("users: `0` is not an integer from 1 to"));
        assert!(error("synthetic:taste=NaN").contains("taste: `NaN` is not a number from 0 to 100"));
        assert!(error("syntheticx").contains("is wanted"));
    }
}
