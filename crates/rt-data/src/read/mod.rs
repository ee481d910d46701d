//! Readers. [`read`] recognises the format; one file of this folder a format.

mod interactions;
mod lines;
mod ml100k;
mod ml1m;
mod ml_csv;
mod movielens;
mod options;
#[cfg(feature = "parquet")]
mod parquet;
mod paths;
mod roles;
mod rows;
mod searches;
mod table;

use std::path::Path;

pub use options::{FeatureSpec, ReadOptions};
pub(crate) use roles::Verdict;
pub use searches::{SearchOptions, read_searches};

use crate::builder::Builder;
use crate::{Dataset, Error, Result};

const RECOGNISED: &str = "MovieLens ml-100k (u.data, u.user, u.item), ml-1m (ratings.dat, users.dat, movies.dat) or \
     ml-latest and ml-20m (ratings.csv, movies.csv), or tables of interactions: CSV, TSV or Parquet files, by path, \
     several between commas, or all of a folder";

/// Reads a dataset; the path tells the format:
///
/// - a folder with `u.data`, `u.user`, `u.item` (MovieLens 100K; `u.genre` names the genres where there),
/// - a folder with `ratings.dat`, `users.dat`, `movies.dat` (MovieLens 1M),
/// - a folder with `ratings.csv`, `movies.csv` (MovieLens latest, 20M and later),
/// - a file of interactions: CSV or TSV with a header (see [`ReadOptions`]), Parquet with columns of the same names
///   (feature `parquet`), or lines `user item rating time` of integers between blanks (`u.data`) or `::`
///   (`ratings.dat`),
/// - a folder of such tables (`.csv`, `.tsv`, `.tab`, `.parquet`), read one after the other in the order of their names,
/// - several files and folders of such tables between commas, read one after the other; a MovieLens folder stands alone.
///
/// Every row counts as one positive unless the options say which do not (label, rating, dwell time); ratings are checked
/// and not kept. Dense ids follow the first appearance
/// in the file of interactions, then the side files. `order_input` of the options holds for every format.
///
/// # Errors
///
/// [`Error::Io`] if a file is missing or unreadable, [`Error::Line`] with file, line and column for malformed
/// lines, [`Error::RowGroup`] for malformed rows of Parquet, [`Error::Format`] for data that is empty or of no known
/// format, or Parquet where the feature is off.
pub fn read(path: &Path, options: &ReadOptions) -> Result<Dataset> {
    let mut builder = Builder::default();
    let paths = paths::between_commas(path);
    for path in &paths {
        if is_folder(path)? {
            let alone = ["u.data", "ratings.dat", "ratings.csv"].iter().any(|name| path.join(name).is_file());
            if alone && paths.len() > 1 {
                // Its features come from files of its own, those of a table from the table's columns.
                let what = "is a MovieLens folder: it is read alone, not between commas with others".into();
                return Err(Error::Format { path: path.clone(), what });
            }
            read_folder(path, options, &mut builder)?;
        } else {
            interactions::read_interactions(path, options, None, &mut builder)?;
        }
    }
    let names: Vec<String> = paths.iter().map(|path| name_of(path)).collect();
    Ok(builder.finish(names.join(","), options.order_input))
}

fn is_folder(path: &Path) -> Result<bool> {
    let meta = std::fs::metadata(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    Ok(meta.is_dir())
}

/// Reads three files of interactions whose division is given: train, validation, test (each may be several between
/// commas). They are never sorted
/// together; with times, each user's events are sorted by time within each part, without in the order of the lines.
///
/// # Errors
///
/// As [`read`], and [`Error::Format`] if some of the files have times and others have none.
pub fn read_files(train: &Path, valid: &Path, test: &Path, options: &ReadOptions) -> Result<Dataset> {
    let mut builder = Builder::default();
    for (part, path) in [(0, train), (1, valid), (2, test)] {
        for path in paths::between_commas(path) {
            if is_folder(&path)? {
                let what = "is a folder; a file of interactions is wanted".into();
                return Err(Error::Format { path, what });
            }
            interactions::read_interactions(&path, options, Some(part), &mut builder)?;
        }
    }
    Ok(builder.finish(name_of(train), options.order_input))
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
        let tables = paths::tables_of(path)?;
        for table in &tables {
            interactions::read_interactions(table, options, None, builder)?;
        }
        if tables.is_empty() {
            let what = format!("the folder is of no known format; recognised are {RECOGNISED}");
            return Err(Error::Format { path: path.to_owned(), what });
        }
        return Ok(());
    };
    if builder.user.is_empty() {
        return Err(Error::Format { path: path.join(events), what: "no interaction in the file".into() });
    }
    Ok(())
}

/// The last part of a path, `.` and `..` resolved.
fn name_of(path: &Path) -> String {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    full.file_name().map_or_else(|| full.display().to_string(), |name| name.to_string_lossy().into_owned())
}

#[cfg(not(feature = "parquet"))]
fn without_parquet(path: &Path) -> Error {
    let what = "Parquet is not built in (feature `parquet` of rt-data); write the table as CSV or TSV".into();
    Error::Format { path: path.to_owned(), what }
}
