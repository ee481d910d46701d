//! Items and users before anything is watched.

use super::latent::{DAY, Latent, Person, day_of};
use super::rng::Stream;
use super::{Synthetic, math, purpose};

/// The start of 2000 in seconds since 1970.
pub(super) const START: i64 = 946_684_800;
/// The watching goes on for three years.
const DAYS: i64 = 3 * 365;
/// Share of the items that are older than the first event.
const OLD: f64 = 0.7;
pub(super) const COUNTRIES: [&str; 8] = ["BR", "DE", "FR", "IN", "JP", "NG", "SE", "US"];

/// `count` random directions of length 1.
pub(super) fn unit_vectors(options: &Synthetic, purpose: u64, count: usize) -> Vec<Vec<f64>> {
    (0..count).map(|index| unit(&mut Stream::new(options.seed, purpose, index as u64), options.dim)).collect()
}

fn unit(draws: &mut Stream, dim: usize) -> Vec<f64> {
    let mut vector: Vec<f64> = (0..dim).map(|_| draws.normal()).collect();
    normalise(&mut vector);
    vector
}

fn normalise(vector: &mut [f64]) {
    let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
    vector.iter_mut().for_each(|x| *x /= length);
}

fn add(sum: &mut [f64], weight: f64, vector: &[f64]) {
    sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += weight * x);
}

/// A genre; the first ones are the more frequent (weights 1, 1/2, 1/3, ...).
fn draw_genre(draws: &mut Stream, genres: usize) -> usize {
    let total: f64 = (1..=genres).map(|rank| 1.0 / rank as f64).sum();
    let mut rest = draws.uniform() * total;
    for genre in 0..genres {
        rest -= 1.0 / (genre + 1) as f64;
        if rest < 0.0 {
            return genre;
        }
    }
    genres - 1
}

/// Items: one to three genres, a vector, a release time, a rank of popularity.
pub(super) fn draw_items(options: &Synthetic, genre_vectors: &[Vec<f64>]) -> (Latent, Vec<Vec<usize>>) {
    let (items, dim) = (options.items, options.dim);
    let mut ranks: Vec<usize> = (1..=items).collect();
    Stream::new(options.seed, purpose::RANKS, 0).shuffle(&mut ranks);
    let mut factors = vec![0.0f32; items * dim];
    let mut release = Vec::with_capacity(items);
    let mut all_genres = Vec::with_capacity(items);
    for item in 0..items {
        let mut draws = Stream::new(options.seed, purpose::ITEMS, item as u64);
        let mut genres = vec![draw_genre(&mut draws, options.genres)];
        for chance in [0.6, 0.25] {
            let genre = draw_genre(&mut draws, options.genres);
            if draws.uniform() < chance && !genres.contains(&genre) {
                genres.push(genre);
            }
        }
        let mut vector = unit(&mut draws, dim);
        vector.iter_mut().for_each(|x| *x *= 0.9);
        let share = 1.0 / (genres.len() as f64).sqrt();
        for &genre in &genres {
            add(&mut vector, share, &genre_vectors[genre]);
        }
        normalise(&mut vector);
        for (d, &x) in vector.iter().enumerate() {
            factors[d * items + item] = x as f32;
        }
        // The two oldest tenths are always there: a first event always has something to watch.
        let old = item < items.div_ceil(5) || draws.uniform() < OLD;
        let days = if old {
            -1.0 - 365.0 * (20.0 * draws.uniform()).min(6.0 * draws.exponential())
        } else {
            DAYS as f64 * draws.uniform()
        };
        release.push(START + (days * DAY as f64) as i64);
        all_genres.push(genres);
    }
    let weight = -options.popularity * options.zipf;
    let latent = Latent {
        items,
        factors,
        popularity: ranks.iter().map(|&rank| (weight * math::ln(rank as f64)) as f32).collect(),
        release_day: release.iter().map(|&time| day_of(time)).collect(),
        release,
        sequence: options.sequence as f32,
        freshness: options.freshness as f32,
        people: Vec::new(),
        item_of_row: Vec::new(),
    };
    (latent, all_genres)
}

/// A user before the events are drawn.
pub(super) struct Drawn {
    pub(super) country: usize,
    pub(super) age: u32,
    pub(super) person: Person,
    pub(super) times: Vec<i64>,
}

/// Users: country, age, taste out of both and of favourite genres, times of the events.
pub(super) fn draw_people(options: &Synthetic, genre_vectors: &[Vec<f64>]) -> Vec<Drawn> {
    let dim = options.dim;
    let countries = unit_vectors(options, purpose::COUNTRIES, COUNTRIES.len() + 1);
    let most = (options.items / 5).max(5);
    (0..options.users)
        .map(|number| {
            let mut draws = Stream::new(options.seed, purpose::USERS, number as u64);
            let country = draws.below(COUNTRIES.len());
            let age = 14 + draws.below(60) as u32;
            let mut taste = unit(&mut draws, dim);
            taste.iter_mut().for_each(|x| *x *= 0.6);
            add(&mut taste, 0.5, &countries[country]);
            add(&mut taste, 0.5 * (f64::from(age) - 43.5) / 30.0, &countries[COUNTRIES.len()]);
            for weight in [0.6, 0.4] {
                add(&mut taste, weight, &genre_vectors[draw_genre(&mut draws, options.genres)]);
            }
            normalise(&mut taste);
            let drift = unit(&mut draws, dim);
            let weighted = |vector: &[f64], weight: f64| vector.iter().map(|x| (weight * x) as f32).collect();

            let spread = options.events * (0.25 + 0.75 * draws.exponential());
            let count = (spread.round() as usize).clamp(5, most);
            // Active for 30 to 365 days somewhere in the three years, in sessions of three events on average.
            let days = 30 + draws.below(336) as i64;
            let start = START + (draws.uniform() * ((DAYS - days) * DAY) as f64) as i64;
            let mut sessions: Vec<i64> =
                (0..count.div_ceil(3)).map(|_| (draws.uniform() * (days * DAY) as f64) as i64).collect();
            sessions.sort_unstable();
            let mut times: Vec<i64> = (0..count)
                .map(|_| start + sessions[draws.below(sessions.len())] + draws.below(10_800) as i64)
                .collect();
            times.sort_unstable();
            for event in 1..count {
                times[event] = times[event].max(times[event - 1] + 1);
            }
            let active = start..start + days * DAY;
            let person = Person {
                taste: weighted(&taste, options.taste),
                drift: weighted(&drift, options.taste * options.drift),
                active,
            };
            Drawn { country, age, person, times }
        })
        .collect()
}
