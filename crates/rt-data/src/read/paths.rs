//! Several files that are read as one: a folder of tables, or paths between commas.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Endings of tables of interactions.
const TABLES: [&str; 4] = ["csv", "tsv", "tab", "parquet"];

/// The paths that a text names: itself where it is there, else the parts between commas.
pub(crate) fn between_commas(path: &Path) -> Vec<PathBuf> {
    match path.to_str() {
        Some(text) if text.contains(',') && !path.exists() => {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(PathBuf::from).collect()
        }
        _ => vec![path.to_owned()],
    }
}

/// Tables in a folder, in the order of their names. Names that begin with `.` or `_` are passed over: other programs
/// leave their notes there.
pub(crate) fn tables_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let io = |source| Error::Io { path: folder.to_owned(), source };
    let mut tables = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let table = TABLES.iter().any(|known| extension.eq_ignore_ascii_case(known));
        if table && !name.starts_with(['.', '_']) && path.is_file() {
            tables.push(path);
        }
    }
    tables.sort();
    Ok(tables)
}
