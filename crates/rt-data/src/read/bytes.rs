//! What a file holds by its first bytes, whatever its name says; and text files packed with gzip.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::paths::extension;
use crate::{Error, Result};

/// What the readers of tables tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Text, perhaps packed.
    Text,
    /// JSON Lines, perhaps packed.
    Json,
    Parquet,
}

/// First bytes of files that are no tables, and what they are.
const OTHERS: [(&[u8], &str); 9] = [
    (b"PK\x03\x04", "a zip archive: unpack it"),
    (b"BZh", "packed with bzip2: unpack it, or pack it with gzip"),
    (b"\xfd7zXZ", "packed with xz: unpack it, or pack it with gzip"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd: unpack it, or pack it with gzip"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it"),
    (b"ARROW1", "an Arrow file: write it as Parquet"),
    (b"PARE", "an encrypted Parquet file: write it without encryption"),
    (b"SQLite format 3", "an SQLite database: export the table as CSV"),
    (b"Obj\x01", "an Avro file: write it as Parquet"),
];

/// What a file holds.
pub(crate) fn content(path: &Path) -> Result<Content> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let first = head(&mut File::open(path).map_err(io)?).map_err(io)?;
    if first.starts_with(b"PAR1") {
        return Ok(Content::Parquet);
    }
    if let Some((_, what)) = OTHERS.iter().find(|(magic, _)| first.starts_with(magic)) {
        return Err(Error::Format { path: path.to_owned(), what: format!("is {what}") });
    }
    let text = head(&mut open(path)?).map_err(io)?;
    if text.starts_with(b"PAR1") {
        let what = "is a Parquet file packed with gzip: unpack it; Parquet packs its columns itself".into();
        return Err(Error::Format { path: path.to_owned(), what });
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text).trim_ascii_start();
    match text.first() {
        Some(b'{') => Ok(Content::Json),
        Some(b'[') if ["json", "jsonl", "ndjson"].contains(&extension(path).as_str()) => {
            let what = "is one JSON array: write one object a line (JSON Lines)".into();
            Err(Error::Format { path: path.to_owned(), what })
        }
        _ => Ok(Content::Text),
    }
}

/// The first bytes, at most 4,096.
fn head(file: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(4096).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a text file; one packed with gzip is unpacked while it is read.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let mut magic = Vec::new();
    File::open(path).map_err(io)?.take(2).read_to_end(&mut magic).map_err(io)?;
    let file = File::open(path).map_err(io)?;
    if magic == b"\x1f\x8b" { unpacked(path, file) } else { Ok(Box::new(file)) }
}

#[cfg(feature = "gzip")]
fn unpacked(_: &Path, file: File) -> Result<Box<dyn Read>> {
    // Files may be several packed ones behind each other.
    Ok(Box::new(flate2::read::MultiGzDecoder::new(file)))
}

#[cfg(not(feature = "gzip"))]
fn unpacked(path: &Path, _: File) -> Result<Box<dyn Read>> {
    let what = "is packed with gzip, which is not built in (feature `gzip` of rt-data): unpack it".into();
    Err(Error::Format { path: path.to_owned(), what })
}
