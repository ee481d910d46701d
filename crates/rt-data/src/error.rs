//! Errors that name what was wrong, where, and what would be right.

use std::path::PathBuf;

/// What can be wrong with data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line of a file is malformed.
    #[error("{path}, line {line}{}: {what}", column.as_ref().map(|c| format!(", column {c}")).unwrap_or_default())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column's name or number, where one is to blame.
        column: Option<String>,
        /// What is wrong and what would be right.
        what: String,
    },
    /// A row of a Parquet file is malformed, or a column of it cannot be read.
    #[error("{path}, row group {group}, row {row}{}: {what}", column.as_ref().map(|c| format!(", column {c}")).unwrap_or_default())]
    RowGroup {
        /// The file.
        path: PathBuf,
        /// The row group, from 0, as other tools count them.
        group: usize,
        /// The row within it, from 1.
        row: u64,
        /// The column, where one is to blame.
        column: Option<String>,
        /// What is wrong and what would be right.
        what: String,
    },
    /// The data as a whole cannot serve.
    #[error("{path}: {what}")]
    Format {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what would be right.
        what: String,
    },
    /// A request that the data cannot answer (a split, an option, an id).
    #[error("{0}")]
    Request(String),
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
