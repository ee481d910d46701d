//! MovieLens 100K: `u.data` (any white space), `u.user` and `u.item` (`|`, Latin-1), `u.genre`.

use std::path::Path;

use super::interactions::read_ratings;
use super::lines::{Lines, Separator, cut, latin1};
use super::movielens::{GENRE_JOIN, ITEM_FEATURES, add_item, add_user, side_id};
use super::options::ReadOptions;
use crate::Result;
use crate::builder::Builder;
use crate::columns::{ColumnSet, FeatureKind};
use crate::parse::{integer, shown};

/// Genres in the order of the flags of `u.item`, where there is no `u.genre`.
const GENRES: [&str; 19] = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
];

pub(crate) fn read(folder: &Path, options: &ReadOptions, builder: &mut Builder) -> Result<()> {
    read_ratings(&folder.join("u.data"), Separator::White, options, builder)?;
    read_users(&folder.join("u.user"), builder)?;
    let genres = match folder.join("u.genre") {
        file if file.exists() => read_genres(&file)?,
        _ => GENRES.map(str::to_owned).to_vec(),
    };
    read_items(&folder.join("u.item"), &genres, builder)
}

/// `user|age|gender|occupation|zip`; every distinct age is a category.
fn read_users(path: &Path, builder: &mut Builder) -> Result<()> {
    let names = ["age", "gender", "occupation", "zip"];
    builder.user_columns = ColumnSet::new(names.map(|name| (name, FeatureKind::Category)));
    let mut lines = Lines::open(path)?;
    while lines.advance_filled()? {
        let mut fields = [b"".as_slice(); 5];
        let count = cut(lines.line(), Separator::Pipe, &mut fields);
        if count != 5 {
            let what = format!("{count} fields where 5 are wanted (user|age|gender|occupation|zip)");
            return Err(lines.error(None, what));
        }
        let id = side_id(&lines, "user", fields[0])?;
        if integer(fields[1]).is_none() {
            return Err(lines.error(Some("age"), format!("{} is not an age in years", shown(fields[1]))));
        }
        let texts = [1, 2, 3, 4].map(|field| latin1(fields[field]));
        let values = [0, 1, 2, 3].map(|field| texts[field].trim());
        add_user(builder, id, &values, |column, what| lines.error(Some(column), what))?;
    }
    Ok(())
}

/// `name|number`, in the order of the flags.
fn read_genres(path: &Path) -> Result<Vec<String>> {
    let mut lines = Lines::open(path)?;
    let mut genres = Vec::new();
    while lines.advance_filled()? {
        let mut fields = [b"".as_slice(); 2];
        let count = cut(lines.line(), Separator::Pipe, &mut fields);
        if count != 2 || integer(fields[1].trim_ascii()) != Some(genres.len() as u64) {
            return Err(lines.error(None, format!("`name|{}` is wanted", genres.len())));
        }
        genres.push(latin1(fields[0]));
    }
    Ok(genres)
}

/// `item|title|release date|video release date|URL|` and one flag, 0 or 1, a genre.
fn read_items(path: &Path, genres: &[String], builder: &mut Builder) -> Result<()> {
    builder.item_columns = ColumnSet::new(ITEM_FEATURES);
    let mut lines = Lines::open(path)?;
    while lines.advance_filled()? {
        let fields: Vec<&[u8]> = lines.line().split(|&byte| byte == b'|').collect();
        let wanted = 5 + genres.len();
        if fields.len() != wanted {
            let what = format!(
                "{} fields where {wanted} are wanted (item|title|date|video date|URL|{} genre flags)",
                fields.len(),
                genres.len()
            );
            return Err(lines.error(None, what));
        }
        let id = side_id(&lines, "item", fields[0])?;
        let mut own = Vec::new();
        for (genre, &flag) in genres.iter().zip(&fields[5..]) {
            match flag {
                b"0" => {}
                b"1" => own.push(genre.as_str()),
                _ => {
                    return Err(lines.error(Some(genre), format!("{} is neither 0 nor 1", shown(flag))));
                }
            }
        }
        let title = latin1(fields[1]);
        let fail = |column: &str, what| lines.error(Some(column), what);
        add_item(builder, id, title.trim(), &own.join(GENRE_JOIN), fail)?;
    }
    Ok(())
}
