//! Drawing the data.

use super::latent::{DAY, Latent, NEVER};
use super::rng::Stream;
use super::searches::draw_searches;
use super::world::{COUNTRIES, START, draw_items, draw_people, unit_vectors};
use super::{Synthetic, math, purpose, titles};
use crate::Dataset;
use crate::builder::Builder;
use crate::columns::{ColumnSet, FeatureKind};

const GENRES: [&str; 18] = [
    "Drama",
    "Comedy",
    "Action",
    "Thriller",
    "Romance",
    "Adventure",
    "Crime",
    "Sci-Fi",
    "Horror",
    "Fantasy",
    "Animation",
    "Mystery",
    "War",
    "Musical",
    "Documentary",
    "Western",
    "Film-Noir",
    "Sport",
];

impl Synthetic {
    /// Draws the data, and gives the factors behind it. Fields out of range are brought into the range that
    /// [`Synthetic::parse`] accepts. About 0.3 s for the defaults on one core.
    #[must_use]
    pub fn generate(&self) -> (Dataset, Latent) {
        let options = self.clamped();
        let names = genre_names(options.genres);
        let genre_vectors = unit_vectors(&options, purpose::GENRES, options.genres);
        let (mut latent, item_genres) = draw_items(&options, &genre_vectors);
        let people = draw_people(&options, &genre_vectors);

        let mut builder = Builder {
            user_columns: ColumnSet::new([("country", FeatureKind::Category), ("age", FeatureKind::Number)]),
            item_columns: ColumnSet::new([("genres", FeatureKind::Bag('|')), ("year", FeatureKind::Category)]),
            ..Builder::default()
        };
        // Raw item ids are numbers in no order of popularity: the items themselves were drawn in none.
        let mut logits = vec![0.0; options.items];
        for (number, person) in people.iter().enumerate() {
            let user = builder.users.integer(number as u64 + 1);
            set(&mut builder.user_columns, 0, user, COUNTRIES[person.country]);
            set(&mut builder.user_columns, 1, user, &person.age.to_string());
            let mut draws = Stream::new(options.seed, purpose::EVENTS, number as u64);
            let mut watched: Vec<u32> = Vec::with_capacity(person.times.len());
            for &time in &person.times {
                latent.logits(&person.person, &watched, time, &mut logits);
                let Some(item) = draw(&mut logits, draws.uniform()) else {
                    break;
                };
                watched.push(item);
                builder.user.push(user);
                builder.item.push(builder.items.integer(u64::from(item) + 1));
                builder.time.push(time);
            }
        }

        let names_of_items = titles::titles(options.seed, options.items);
        latent.item_of_row = vec![0; options.items + 1];
        for (item, title) in names_of_items.iter().enumerate() {
            let row = builder.items.integer(item as u64 + 1);
            latent.item_of_row[row as usize] = item as u32;
            let year = year_of(latent.release[item]);
            builder.set_title(row, &format!("{title} ({year})"));
            let genres: Vec<&str> = item_genres[item].iter().map(|&genre| names[genre].as_str()).collect();
            set(&mut builder.item_columns, 0, row, &genres.join("|"));
            set(&mut builder.item_columns, 1, row, &year.to_string());
        }
        let searches = (options.searches > 0.0).then(|| draw_searches(&options, &people));
        latent.people = people.into_iter().map(|drawn| drawn.person).collect();
        (Dataset { searches, ..builder.finish("synthetic".into(), false) }, latent)
    }
}

fn set(columns: &mut ColumnSet, column: usize, row: u32, text: &str) {
    columns.columns[column].1.set(row as usize, text).expect("a generated number is finite");
}

fn year_of(time: i64) -> i64 {
    2000 + (time - START).div_euclid(365 * DAY)
}

fn genre_names(count: usize) -> Vec<String> {
    let name = |genre: usize| GENRES.get(genre).map_or_else(|| format!("Genre {}", genre + 1), |&name| name.to_owned());
    (0..count).map(name).collect()
}

/// Draws an item by the softmax of `logits` (overwritten), `uniform` in [0, 1); `None` if all are [`NEVER`].
pub(super) fn draw(logits: &mut [f32], uniform: f64) -> Option<u32> {
    /// Items are summed in blocks of eight lanes: the order of the sum is part of the data's definition.
    const BLOCK: usize = 64;
    let mut lanes = [NEVER; 8];
    for chunk in logits.chunks(8) {
        for (lane, &logit) in lanes.iter_mut().zip(chunk) {
            *lane = if logit > *lane { logit } else { *lane };
        }
    }
    let most = lanes.into_iter().fold(NEVER, f32::max);
    if most <= NEVER {
        return None;
    }
    let mut sums = Vec::with_capacity(logits.len() / BLOCK + 1);
    for block in logits.chunks_mut(BLOCK) {
        let mut lanes = [0.0f32; 8];
        for chunk in block.chunks_mut(8) {
            for (lane, weight) in lanes.iter_mut().zip(chunk) {
                *weight = math::exp(*weight - most);
                *lane += *weight;
            }
        }
        sums.push(lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>());
    }
    let mut rest = uniform * sums.iter().sum::<f64>();
    let block = sums.iter().position(|&sum| {
        let here = rest < sum;
        if !here {
            rest -= sum;
        }
        here
    });
    // Rounding may leave a rest past the end: the last item that can happen takes it.
    let first = block.unwrap_or(0) * BLOCK;
    let last = block.map_or(logits.len(), |_| logits.len().min(first + BLOCK));
    let mut possible = None;
    for (item, &weight) in logits[..last].iter().enumerate().skip(first) {
        if weight > 0.0 {
            possible = Some(item as u32);
            rest -= f64::from(weight);
            if block.is_some() && rest < 0.0 {
                break;
            }
        }
    }
    possible
}
