//! Parquet, column by column: row groups one after the other, some thousand rows of the wanted columns at a time.

use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::basic::{Compression, ConvertedType, LogicalType, TimeUnit, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType, Int96};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::rows::{RawId, Rows, numbered};
use crate::clock::{Moment, WANTED};
use crate::parse::{finite, shown};
use crate::{Error, Result};

/// Rows of a column that are in memory at a time.
const BLOCK: usize = 8192;

/// A Parquet file read row by row.
pub(crate) struct ParquetRows {
    path: PathBuf,
    file: SerializedFileReader<File>,
    header: Vec<String>,
    kinds: Vec<Kind>,
    selected: Vec<usize>,
    /// Number of the row group that is read, from 0, as other tools count; before the first row none is.
    group: Option<usize>,
    /// Rows of the group, and of them those read into blocks.
    rows: usize,
    read: usize,
    readers: Vec<ColumnReader>,
    /// By field; filled for those selected.
    blocks: Vec<Block>,
    /// The row within the blocks, and their length.
    at: usize,
    len: usize,
}

/// What a column's values mean.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Integers; times are this many to the second.
    Signed,
    Unsigned,
    Timestamp {
        per_second: i64,
    },
    /// Days since 1970.
    Days,
    Float,
    Bool,
    Text,
    /// Lists, maps and structs, decimals, and what else is no flat value.
    Other(&'static str),
}

/// Some rows of a column; `missing[row]` where there are nulls.
#[derive(Debug, Default)]
struct Block {
    integers: Vec<i64>,
    floats: Vec<f64>,
    texts: Vec<ByteArray>,
    /// Empty where no row of the block is null.
    missing: Vec<bool>,
}

impl ParquetRows {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        let file = SerializedFileReader::new(file).map_err(|e| Error::Format {
            path: path.to_owned(),
            what: format!("is no Parquet file, or is truncated: {e}"),
        })?;
        let columns = file.metadata().file_metadata().schema_descr().columns();
        let header: Vec<String> = columns.iter().map(|column| column.path().string()).collect();
        let kinds = columns.iter().map(|column| kind(column)).collect();
        let blocks = header.iter().map(|_| Block::default()).collect();
        Ok(Self {
            path: path.to_owned(),
            file,
            header,
            kinds,
            selected: Vec::new(),
            group: None,
            rows: 0,
            read: 0,
            readers: Vec::new(),
            blocks,
            at: 0,
            len: 0,
        })
    }

    /// An error about a column of the row group that is read, in the words of the Parquet reader.
    fn broken(&self, field: usize, what: impl std::fmt::Display) -> Error {
        Error::RowGroup {
            path: self.path.clone(),
            group: self.group.unwrap_or(0),
            row: (self.read + 1) as u64,
            column: Some(self.header[field].clone()),
            what: format!("cannot be read: {what}"),
        }
    }

    fn open_group(&mut self, group: usize) -> Result<()> {
        self.group = Some(group);
        let fields = self.selected.clone();
        let reader = self.file.get_row_group(group).map_err(|e| self.broken(fields[0], e))?;
        let rows = usize::try_from(reader.metadata().num_rows()).unwrap_or(0);
        let mut readers = Vec::with_capacity(fields.len());
        for field in fields {
            let compression = reader.metadata().column(field).compression();
            if matches!(compression, Compression::LZO) {
                let what = "its compression is LZO; none, SNAPPY, GZIP, ZSTD, BROTLI and LZ4 are read";
                return Err(self.broken(field, what));
            }
            readers.push(reader.get_column_reader(field).map_err(|e| self.broken(field, e))?);
        }
        (self.rows, self.read, self.readers) = (rows, 0, readers);
        Ok(())
    }

    /// Reads the next rows of the group into the blocks.
    fn fill(&mut self) -> Result<()> {
        let wanted = BLOCK.min(self.rows - self.read);
        for (place, field) in self.selected.clone().into_iter().enumerate() {
            let per_second = match self.kinds[field] {
                Kind::Timestamp { per_second } => per_second,
                _ => 1,
            };
            let unsigned = self.kinds[field] == Kind::Unsigned;
            let block = &mut self.blocks[field];
            block.integers.clear();
            block.floats.clear();
            block.texts.clear();
            let missing = &mut block.missing;
            let read = match &mut self.readers[place] {
                ColumnReader::Int64ColumnReader(r) => values(r, wanted, missing, &mut block.integers, |v| v),
                ColumnReader::Int32ColumnReader(r) => values(r, wanted, missing, &mut block.integers, |v| {
                    if unsigned { i64::from(v as u32) } else { i64::from(v) }
                }),
                ColumnReader::Int96ColumnReader(r) => {
                    values(r, wanted, missing, &mut block.integers, |v: Int96| v.to_seconds() * per_second)
                }
                ColumnReader::BoolColumnReader(r) => values(r, wanted, missing, &mut block.integers, i64::from),
                ColumnReader::FloatColumnReader(r) => values(r, wanted, missing, &mut block.floats, f64::from),
                ColumnReader::DoubleColumnReader(r) => values(r, wanted, missing, &mut block.floats, |v| v),
                ColumnReader::ByteArrayColumnReader(r) => values(r, wanted, missing, &mut block.texts, |v| v),
                ColumnReader::FixedLenByteArrayColumnReader(r) => {
                    values(r, wanted, missing, &mut block.texts, Into::into)
                }
            };
            match read {
                Ok(rows) if rows == wanted => {}
                Ok(rows) => {
                    let what = format!("it ends after {} of the {} rows", self.read + rows, self.rows);
                    return Err(self.broken(field, what));
                }
                Err(e) => return Err(self.broken(field, e)),
            }
        }
        (self.at, self.len) = (0, wanted);
        self.read += wanted;
        Ok(())
    }

    fn is_missing(&self, field: usize) -> bool {
        self.blocks[field].missing.get(self.at).copied().unwrap_or(false)
    }

    fn bytes(&self, field: usize) -> &[u8] {
        self.blocks[field].texts[self.at].data().trim_ascii()
    }

    fn bad(&self, field: usize, what: &str) -> Error {
        match self.text(field) {
            Ok(text) => self.error(Some(field), format!("{} {what}", shown(text.as_bytes()))),
            Err(e) => e,
        }
    }
}

/// Reads `wanted` rows; returns how many there were. Nulls hold a default and are marked.
fn values<T: DataType, V: Default + Clone>(
    reader: &mut ColumnReaderImpl<T>,
    wanted: usize,
    missing: &mut Vec<bool>,
    out: &mut Vec<V>,
    convert: impl Fn(T::T) -> V,
) -> parquet::errors::Result<usize> {
    let (mut raw, mut levels) = (Vec::with_capacity(wanted), Vec::new());
    let mut rows = 0;
    while rows < wanted {
        let (read, ..) = reader.read_records(wanted - rows, Some(&mut levels), None, &mut raw)?;
        if read == 0 {
            break;
        }
        rows += read;
    }
    missing.clear();
    if raw.len() == rows {
        out.extend(raw.into_iter().map(convert));
        return Ok(rows);
    }
    let mut raw = raw.into_iter();
    for level in levels {
        let value = if level > 0 { raw.next() } else { None };
        missing.push(value.is_none());
        out.push(value.map_or_else(V::default, &convert));
    }
    Ok(rows)
}

fn kind(column: &ColumnDescriptor) -> Kind {
    if column.max_rep_level() > 0 || column.path().parts().len() > 1 {
        return Kind::Other("is nested; a flat column is wanted");
    }
    let per_second = |unit: &TimeUnit| match unit {
        TimeUnit::MILLIS => 1_000,
        TimeUnit::MICROS => 1_000_000,
        TimeUnit::NANOS => 1_000_000_000,
    };
    match column.logical_type_ref() {
        Some(LogicalType::Timestamp(t)) => return Kind::Timestamp { per_second: per_second(&t.unit) },
        Some(LogicalType::Date) => return Kind::Days,
        Some(LogicalType::Integer(t)) if !t.is_signed => return Kind::Unsigned,
        Some(LogicalType::Decimal(_)) => {
            return Kind::Other("is a decimal; write it as an integer, a float or a string");
        }
        Some(LogicalType::Uuid) => return Kind::Other("is a UUID in bytes; write it as a string"),
        _ => {}
    }
    match column.converted_type() {
        ConvertedType::TIMESTAMP_MILLIS => return Kind::Timestamp { per_second: 1_000 },
        ConvertedType::TIMESTAMP_MICROS => return Kind::Timestamp { per_second: 1_000_000 },
        ConvertedType::DATE => return Kind::Days,
        ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64 => {
            return Kind::Unsigned;
        }
        ConvertedType::DECIMAL => return Kind::Other("is a decimal; write it as an integer, a float or a string"),
        _ => {}
    }
    match column.physical_type() {
        Type::BOOLEAN => Kind::Bool,
        Type::INT32 | Type::INT64 => Kind::Signed,
        // The timestamps of old Spark and Hive; only seconds are wanted of them.
        Type::INT96 => Kind::Timestamp { per_second: 1 },
        Type::FLOAT | Type::DOUBLE => Kind::Float,
        Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY => Kind::Text,
    }
}

impl Rows for ParquetRows {
    fn header(&self) -> &[String] {
        &self.header
    }

    fn column(&self, name: &str) -> Result<usize> {
        let found = self.header.iter().position(|column| column == name);
        let Some(place) = found.or_else(|| numbered(name, self.header.len())) else {
            let known: String = self.header.join(", ").chars().take(300).collect();
            return Err(self.header_error(format!("no column `{name}`; the file has: {known}")));
        };
        match self.kinds[place] {
            Kind::Other(what) => Err(self.header_error(format!("the column `{}` {what}", self.header[place]))),
            _ => Ok(place),
        }
    }

    fn header_error(&self, what: String) -> Error {
        Error::Format { path: self.path.clone(), what }
    }

    fn select(&mut self, fields: &[usize]) -> Result<Option<usize>> {
        self.selected = fields.to_vec();
        self.selected.sort_unstable();
        self.selected.dedup();
        Ok(usize::try_from(self.file.metadata().file_metadata().num_rows()).ok())
    }

    fn advance(&mut self) -> Result<bool> {
        self.at += 1;
        while self.at >= self.len {
            while self.read >= self.rows {
                let next = self.group.map_or(0, |group| group + 1);
                if next >= self.file.num_row_groups() {
                    return Ok(false);
                }
                self.open_group(next)?;
            }
            self.fill()?;
        }
        Ok(true)
    }

    fn id(&self, field: usize) -> Result<RawId<'_>> {
        if self.is_missing(field) {
            return Ok(RawId::Text(Cow::Borrowed("")));
        }
        match self.kinds[field] {
            Kind::Signed | Kind::Unsigned => {
                let value = self.blocks[field].integers[self.at];
                match u64::try_from(value) {
                    Ok(value) => Ok(RawId::Integer(value)),
                    Err(_) if self.kinds[field] == Kind::Unsigned => Ok(RawId::Integer(value as u64)),
                    Err(_) => Ok(RawId::Text(Cow::Owned(value.to_string()))),
                }
            }
            Kind::Text => self.text(field).map(RawId::Text),
            // What pandas makes of integers where one is missing.
            Kind::Float => match self.blocks[field].floats[self.at] {
                value if value.is_nan() => Ok(RawId::Text(Cow::Borrowed("NaN"))),
                value => Ok(RawId::Text(Cow::Owned(format!("{value:?}")))),
            },
            _ => Err(self.error(Some(field), "holds no ids; integers or strings are wanted".into())),
        }
    }

    fn time(&self, field: usize) -> Result<Moment> {
        if self.is_missing(field) {
            return Err(self.error(Some(field), "the time is missing".into()));
        }
        let block = &self.blocks[field];
        let whole = |whole| Some(Moment::Number { whole, fraction: false });
        let moment = match self.kinds[field] {
            Kind::Signed => whole(block.integers[self.at]),
            Kind::Unsigned => i64::try_from(block.integers[self.at] as u64).ok().and_then(whole),
            // Whole seconds, rounded down: two events of one second are tied, in the order of the file.
            Kind::Timestamp { per_second } => Some(Moment::Seconds(block.integers[self.at].div_euclid(per_second))),
            Kind::Days => Some(Moment::Seconds(block.integers[self.at] * 86_400)),
            Kind::Float => Moment::float(block.floats[self.at]),
            Kind::Text => Moment::parse(self.bytes(field)),
            _ => return Err(self.error(Some(field), "holds no times; integers or timestamps are wanted".into())),
        };
        moment.ok_or_else(|| self.bad(field, WANTED))
    }

    fn number(&self, field: usize) -> Result<Option<f64>> {
        if self.is_missing(field) {
            return Ok(None);
        }
        let block = &self.blocks[field];
        let value = match self.kinds[field] {
            Kind::Signed | Kind::Bool | Kind::Days => Some(block.integers[self.at] as f64),
            Kind::Unsigned => Some(block.integers[self.at] as u64 as f64),
            Kind::Timestamp { per_second } => Some(block.integers[self.at] as f64 / per_second as f64),
            Kind::Float => Some(block.floats[self.at]).filter(|value| value.is_finite()),
            Kind::Text if self.bytes(field).is_empty() => return Ok(None),
            _ => finite(self.bytes(field)),
        };
        value.map(Some).ok_or_else(|| self.bad(field, "is not a finite number"))
    }

    fn text(&self, field: usize) -> Result<Cow<'_, str>> {
        if self.is_missing(field) {
            return Ok(Cow::Borrowed(""));
        }
        let block = &self.blocks[field];
        Ok(match self.kinds[field] {
            Kind::Text => match std::str::from_utf8(self.bytes(field)) {
                Ok(text) => Cow::Borrowed(text),
                Err(_) => return Err(self.error(Some(field), "holds bytes that are no UTF-8 text".into())),
            },
            Kind::Float => Cow::Owned(block.floats[self.at].to_string()),
            Kind::Unsigned => Cow::Owned((block.integers[self.at] as u64).to_string()),
            Kind::Bool => Cow::Borrowed(if block.integers[self.at] == 0 { "false" } else { "true" }),
            _ => Cow::Owned(block.integers[self.at].to_string()),
        })
    }

    fn error(&self, field: Option<usize>, what: String) -> Error {
        Error::RowGroup {
            path: self.path.clone(),
            group: self.group.unwrap_or(0),
            row: (self.read - self.len + self.at + 1) as u64,
            column: field.map(|field| self.header[field].clone()),
            what,
        }
    }
}
