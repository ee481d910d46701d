//! Readers. [`read`] recognises the format; one file of this folder a format.

mod interactions;
mod lines;
mod ml100k;
mod ml1m;
mod ml_csv;
mod movielens;
mod options;
mod table;

use std::path::Path;

pub use options::{FeatureSpec, ReadOptions};

use crate::builder::Builder;
use crate::{Dataset, Error, Result};

const RECOGNISED: &str = "MovieLens ml-100k (u.data, u.user, u.item), ml-1m (ratings.dat, users.dat, movies.dat) or \
     ml-latest and ml-20m (ratings.csv, movies.csv), or the path of one CSV or TSV file of interactions";

/// Reads a dataset; the path tells the format:
///
/// - a folder with `u.data`, `u.user`, `u.item` (MovieLens 100K; `u.genre` names the genres where there),
/// - a folder with `ratings.dat`, `users.dat`, `movies.dat` (MovieLens 1M),
/// - a folder with `ratings.csv`, `movies.csv` (MovieLens latest, 20M and later),
/// - a file of interactions: CSV or TSV with a header (see [`ReadOptions`]), or lines `user item rating time` of
///   integers between blanks (`u.data`) or `::` (`ratings.dat`).
///
/// Every interaction counts as one positive; ratings are checked and not kept. Dense ids follow the first appearance
/// in the file of interactions, then the side files. `order_input` of the options holds for every format.
///
/// # Errors
///
/// [`Error::Io`] if a file is missing or unreadable, [`Error::Line`] with file, line and column for malformed
/// lines, [`Error::Format`] for data that is empty, of no known format, or Parquet (not supported yet).
pub fn read(path: &Path, options: &ReadOptions) -> Result<Dataset> {
    let mut builder = Builder::default();
    let meta = std::fs::metadata(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    if meta.is_dir() {
        read_folder(path, options, &mut builder)?;
    } else {
        read_file(path, options, None, &mut builder)?;
    }
    Ok(builder.finish(name_of(path), options.order_input))
}

/// Reads three files of interactions whose division is given: train, validation, test. They are never sorted
/// together; with times, each user's events are sorted by time within each part, without in the order of the lines.
///
/// # Errors
///
/// As [`read`], and [`Error::Format`] if some of the files have times and others have none.
pub fn read_files(train: &Path, valid: &Path, test: &Path, options: &ReadOptions) -> Result<Dataset> {
    let mut builder = Builder::default();
    for (part, path) in [(0, train), (1, valid), (2, test)] {
        let meta = std::fs::metadata(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        if meta.is_dir() {
            let what = "is a folder; a file of interactions is wanted".into();
            return Err(Error::Format { path: path.to_owned(), what });
        }
        read_file(path, options, Some(part), &mut builder)?;
    }
    Ok(builder.finish(name_of(train), options.order_input))
}

fn read_file(path: &Path, options: &ReadOptions, part: Option<u8>, builder: &mut Builder) -> Result<()> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet")) {
        let what = "Parquet is not supported yet; write the table as CSV or TSV".into();
        return Err(Error::Format { path: path.to_owned(), what });
    }
    interactions::read_interactions(path, options, part, builder)
}

fn read_folder(path: &Path, options: &ReadOptions, builder: &mut Builder) -> Result<()> {
    let has = |name: &str| path.join(name).is_file();
    let events = if has("u.data") {
        ml100k::read(path, options, builder)?;
        "u.data"
    } else if has("ratings.dat") {
        ml1m::read(path, options, builder)?;
        "ratings.dat"
    } else if has("ratings.csv") {
        ml_csv::read(path, options, builder)?;
        "ratings.csv"
    } else {
        return Err(unrecognised(path));
    };
    if builder.user.is_empty() {
        return Err(Error::Format { path: path.join(events), what: "no interaction in the file".into() });
    }
    Ok(())
}

fn unrecognised(path: &Path) -> Error {
    let mut what = format!("the folder is of no known format; recognised are {RECOGNISED}");
    let mut tables: Vec<String> = std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| [".csv", ".tsv"].iter().any(|end| name.to_ascii_lowercase().ends_with(end)))
        .collect();
    tables.sort();
    if !tables.is_empty() {
        tables.truncate(3);
        what += &format!(" (here: {})", tables.join(", "));
    }
    Error::Format { path: path.to_owned(), what }
}

/// The last part of a path, `.` and `..` resolved.
fn name_of(path: &Path) -> String {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    full.file_name().map_or_else(|| full.display().to_string(), |name| name.to_string_lossy().into_owned())
}
