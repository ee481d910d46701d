//! Several files that are read as one: a folder of tables, folders of partitions, or paths between commas.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Endings of tables of interactions; each may have `.gz` behind it.
const TABLES: [&str; 9] = ["csv", "tsv", "tab", "inter", "jsonl", "ndjson", "parquet", "pq", "parq"];

/// What Hive, Spark and DuckDB write for a partition without a value.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// A table in a folder, with the columns that the names of its folders give: `dt=2020-09-13`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableFile {
    pub(crate) path: PathBuf,
    pub(crate) partition: Vec<(String, String)>,
}

impl TableFile {
    pub(crate) fn alone(path: &Path) -> Self {
        Self { path: path.to_owned(), partition: Vec::new() }
    }
}

/// The paths that a text names: itself where it is there, else the parts between commas.
pub(crate) fn between_commas(path: &Path) -> Vec<PathBuf> {
    match path.to_str() {
        Some(text) if text.contains(',') && !path.exists() => {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(PathBuf::from).collect()
        }
        _ => vec![path.to_owned()],
    }
}

/// The ending of a file's name in lower case, that before `.gz` where it is packed.
pub(crate) fn extension(path: &Path) -> String {
    let of = |path: &Path| path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    match of(path) {
        packed if packed == "gz" => of(Path::new(path.file_stem().unwrap_or_default())),
        own => own,
    }
}

/// Tables in a folder and in its folders of partitions (`name=value`), in the order of their paths. Names that begin with `.`
/// or `_` are passed over: other programs leave their notes there.
pub(crate) fn tables_of(folder: &Path) -> Result<Vec<TableFile>> {
    let mut tables = Vec::new();
    collect(folder, &[], &mut tables)?;
    tables.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(tables)
}

fn collect(folder: &Path, partition: &[(String, String)], tables: &mut Vec<TableFile>) -> Result<()> {
    let io = |source| Error::Io { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with(['.', '_']) {
            continue;
        }
        if path.is_dir() {
            if let Some((column, value)) = name.split_once('=').filter(|(column, _)| !column.is_empty()) {
                let value = if value == NO_VALUE { String::new() } else { unescaped(value) };
                let mut partition = partition.to_vec();
                partition.push((unescaped(column), value));
                collect(&path, &partition, tables)?;
            }
        } else if TABLES.contains(&extension(&path).as_str()) || !partition.is_empty() {
            // Spark's parts may have no ending at all.
            tables.push(TableFile { path, partition: partition.to_vec() });
        }
    }
    Ok(())
}

/// `%3A` and the like as the characters that they stand for.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| byte == b'%').and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(code) => {
                bytes.push(code);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_partitions_and_endings() {
        for (text, wanted) in
            [("2020-09-13", "2020-09-13"), ("12%3A00%3a", "12:00:"), ("50%", "50%"), ("%zz%2", "%zz%2")]
        {
            assert_eq!(unescaped(text), wanted);
        }
        for (path, wanted) in [("a/B.CSV", "csv"), ("a.tsv.gz", "tsv"), ("a.gz", ""), ("a", ""), (".csv", "")] {
            assert_eq!(extension(Path::new(path)), wanted, "{path}");
        }
    }
}
