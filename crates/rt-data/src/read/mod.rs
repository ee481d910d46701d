//! Readers. [`read`] recognises the format; one file of this folder a format.

mod bytes;
mod headless;
mod identity;
mod interactions;
#[cfg(feature = "json")]
mod json;
mod lines;
mod ml100k;
mod ml1m;
mod ml_csv;
mod movielens;
mod options;
#[cfg(feature = "parquet")]
mod parquet;
mod paths;
mod quotes;
mod roles;
mod rows;
mod searches;
mod side_table;
mod table;
mod text;

use std::path::Path;

pub use options::{FeatureSpec, MissingIds, ReadOptions};
pub use quotes::csv_fields;
pub(crate) use roles::Verdict;
pub use searches::{SearchOptions, read_searches};

use paths::TableFile;
use side_table::SideTables;

use crate::builder::Builder;
use crate::{Dataset, Error, Result};

const RECOGNISED: &str = "MovieLens ml-100k (u.data, u.user, u.item), ml-1m (ratings.dat, users.dat, movies.dat) or \
     ml-latest and ml-20m (ratings.csv, movies.csv), or tables of interactions: CSV, TSV, JSON Lines or Parquet files, by \
     path, several between commas, or all of a folder and of its folders of partitions (dt=2020-09-13)";

/// Reads a dataset; the path tells the format:
///
/// - a folder with `u.data`, `u.user`, `u.item` (MovieLens 100K; `u.genre` names the genres where there),
/// - a folder with `ratings.dat`, `users.dat`, `movies.dat` (MovieLens 1M),
/// - a folder with `ratings.csv`, `movies.csv` and the columns of MovieLens in them (latest, 20M and later),
/// - a file of interactions: CSV or TSV (see [`ReadOptions`]), perhaps packed with gzip (feature `gzip`); JSON Lines (feature
///   `json`) and Parquet (feature `parquet`) with columns of the same names, whatever the file is called; or lines
///   `user item rating time`, `user item time` or `user item` of integers between blanks (`u.data`) or `::` (`ratings.dat`),
/// - a folder of such tables (`.csv`, `.tsv`, `.tab`, `.inter`, `.jsonl`, `.ndjson`, `.parquet`, all but the last perhaps with
///   `.gz`), read one after the other in the order of their names; folders in it that are called `name=value` are read too, and
///   `name` is a column,
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
    let mut options = options.clone();
    let tables = SideTables::open(&mut options, &mut builder)?;
    let options = &options;
    for path in &paths {
        if is_folder(path)? {
            let beside = options.item_table.as_ref().or(options.user_table.as_ref());
            if let (Some(table), true) = (beside, MovieLens::of(path).is_some()) {
                let what = format!("is a MovieLens folder, which has tables of its own: leave {} out", table.display());
                return Err(Error::Format { path: path.clone(), what });
            }
            if paths.len() > 1 && MovieLens::of(path).is_some() {
                // Its features come from files of its own, those of a table from the table's columns.
                let what = "is a MovieLens folder: it is read alone, not between commas with others".into();
                return Err(Error::Format { path: path.clone(), what });
            }
            read_folder(path, options, &mut builder)?;
        } else {
            interactions::read_interactions(&TableFile::alone(path), options, None, &mut builder)?;
        }
    }
    tables.read(options, &mut builder)?;
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
    let mut options = options.clone();
    let tables = SideTables::open(&mut options, &mut builder)?;
    let options = &options;
    for (part, path) in [(0, train), (1, valid), (2, test)] {
        for path in paths::between_commas(path) {
            if is_folder(&path)? {
                let what = "is a folder; a file of interactions is wanted".into();
                return Err(Error::Format { path, what });
            }
            interactions::read_interactions(&TableFile::alone(&path), options, Some(part), &mut builder)?;
        }
    }
    tables.read(options, &mut builder)?;
    Ok(builder.finish(name_of(train), options.order_input))
}

/// The kinds of MovieLens folders.
#[derive(Debug, Clone, Copy)]
enum MovieLens {
    Ml100k,
    Ml1m,
    Csv,
}

impl MovieLens {
    fn of(folder: &Path) -> Option<Self> {
        if folder.join("u.data").is_file() {
            Some(Self::Ml100k)
        } else if folder.join("ratings.dat").is_file() {
            Some(Self::Ml1m)
        } else {
            ml_csv::is_movielens(folder).then_some(Self::Csv)
        }
    }
}

fn read_folder(path: &Path, options: &ReadOptions, builder: &mut Builder) -> Result<()> {
    let events = match MovieLens::of(path) {
        Some(MovieLens::Ml100k) => {
            ml100k::read(path, options, builder)?;
            "u.data"
        }
        Some(MovieLens::Ml1m) => {
            ml1m::read(path, options, builder)?;
            "ratings.dat"
        }
        Some(MovieLens::Csv) => {
            ml_csv::read(path, options, builder)?;
            "ratings.csv"
        }
        None => {
            let tables = paths::tables_of(path)?;
            for table in &tables {
                interactions::read_interactions(table, options, None, builder)?;
            }
            if tables.is_empty() {
                let what = format!("the folder is of no known format; recognised are {RECOGNISED}");
                return Err(Error::Format { path: path.to_owned(), what });
            }
            return Ok(());
        }
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
