//! What every table can do, whether it is CSV, JSON Lines or Parquet.

use std::borrow::Cow;
use std::path::Path;

use super::bytes::{Content, content};
use super::paths::TableFile;
use super::table::{Form, Table};
use super::text::Encoding;
use crate::clock::{Moment, WANTED};
use crate::columns::FeatureKind;
use crate::parse::finite;
use crate::{Error, Result};

/// A raw id as a table holds it. An empty text is a missing id.
#[derive(Debug, PartialEq)]
pub(crate) enum RawId<'a> {
    /// An integer; its raw form is the plain decimal number.
    #[cfg_attr(
        not(any(feature = "parquet", feature = "json")),
        allow(dead_code, reason = "text files hold texts alone")
    )]
    Integer(u64),
    /// Any text.
    Text(Cow<'a, str>),
}

/// A table read row by row. Fields are numbered as the header's names.
pub(crate) trait Rows {
    /// Names of the columns.
    fn header(&self) -> &[String];

    /// Has the file names of columns?
    fn has_header(&self) -> bool {
        true
    }

    /// Place of the column called exactly `name`, else of that number, from 1.
    fn column(&self, name: &str) -> Result<usize>;

    /// An error about the header.
    fn header_error(&self, what: String) -> Error;

    /// Says which columns will be asked for, before the first row; gives the number of rows where it is known.
    fn select(&mut self, fields: &[usize]) -> Result<Option<usize>>;

    /// Goes to the next row; false at the end.
    fn advance(&mut self) -> Result<bool>;

    /// A raw id.
    fn id(&self, field: usize) -> Result<RawId<'_>>;

    /// A time.
    fn time(&self, field: usize) -> Result<Moment>;

    /// A finite number; `None` for an empty field. `true` and `false` are 1 and 0.
    fn number(&self, field: usize) -> Result<Option<f64>>;

    /// A field as text; a missing one is empty.
    fn text(&self, field: usize) -> Result<Cow<'_, str>>;

    /// An error about the row read last.
    fn error(&self, field: Option<usize>, what: String) -> Error;

    /// What a column holds, where the file says it.
    fn kind(&self, _: usize) -> Option<FeatureKind> {
        None
    }

    /// What a person should know of how the file, `{}`, is read.
    fn note(&self) -> Option<&'static str> {
        None
    }
}

/// Opens a table, whatever it holds, with the columns of its folders' names behind its own.
pub(crate) fn open(file: &TableFile, form: Form) -> Result<Box<dyn Rows>> {
    let rows: Box<dyn Rows> = match content(&file.path)? {
        Content::Text => Box::new(Table::open(&file.path, form)?),
        Content::Json => json(&file.path)?,
        Content::Parquet => parquet(&file.path)?,
    };
    if file.partition.is_empty() { Ok(rows) } else { Ok(Box::new(Partition::new(rows, &file.partition))) }
}

#[cfg(feature = "parquet")]
fn parquet(path: &Path) -> Result<Box<dyn Rows>> {
    Ok(Box::new(super::parquet::ParquetRows::open(path)?))
}

#[cfg(not(feature = "parquet"))]
fn parquet(path: &Path) -> Result<Box<dyn Rows>> {
    let what = "Parquet is not built in (feature `parquet` of rt-data); write the table as CSV or TSV".into();
    Err(Error::Format { path: path.to_owned(), what })
}

#[cfg(feature = "json")]
fn json(path: &Path) -> Result<Box<dyn Rows>> {
    Ok(Box::new(super::json::JsonRows::open(path)?))
}

#[cfg(not(feature = "json"))]
fn json(path: &Path) -> Result<Box<dyn Rows>> {
    let what = "JSON Lines are not built in (feature `json` of rt-data); write the table as CSV or TSV".into();
    Err(Error::Format { path: path.to_owned(), what })
}

/// The place that a number, from 1, gives among `count` columns.
pub(crate) fn numbered(name: &str, count: usize) -> Option<usize> {
    name.parse::<usize>().ok().filter(|number| (1..=count).contains(number)).map(|number| number - 1)
}

impl Rows for Table {
    fn header(&self) -> &[String] {
        self.header()
    }

    fn has_header(&self) -> bool {
        !self.no_header()
    }

    fn column(&self, name: &str) -> Result<usize> {
        self.column(name)
    }

    fn header_error(&self, what: String) -> Error {
        self.header_error(what)
    }

    fn select(&mut self, _: &[usize]) -> Result<Option<usize>> {
        Ok(None)
    }

    fn advance(&mut self) -> Result<bool> {
        self.advance()
    }

    fn id(&self, field: usize) -> Result<RawId<'_>> {
        Ok(RawId::Text(self.text(field)))
    }

    fn time(&self, field: usize) -> Result<Moment> {
        Moment::parse(self.bytes(field)).ok_or_else(|| self.bad_field(field, WANTED))
    }

    fn number(&self, field: usize) -> Result<Option<f64>> {
        match self.bytes(field) {
            b"" => Ok(None),
            b"true" | b"True" | b"TRUE" => Ok(Some(1.0)),
            b"false" | b"False" | b"FALSE" => Ok(Some(0.0)),
            bytes => match finite(bytes) {
                Some(value) => Ok(Some(value)),
                None => Err(self.bad_field(field, "is not a finite number")),
            },
        }
    }

    fn text(&self, field: usize) -> Result<Cow<'_, str>> {
        Ok(self.text(field))
    }

    fn error(&self, field: Option<usize>, what: String) -> Error {
        self.error(field, what)
    }

    fn kind(&self, field: usize) -> Option<FeatureKind> {
        self.kind(field)
    }

    fn note(&self) -> Option<&'static str> {
        (self.encoding() == Encoding::Windows1252).then_some("{} is not UTF-8: read as Windows-1252 (Latin-1)")
    }
}

/// A table with columns that have one value: those of a folder called `name=value`. A column of the file itself goes before.
struct Partition {
    rows: Box<dyn Rows>,
    own: usize,
    header: Vec<String>,
    values: Vec<String>,
}

impl Partition {
    fn new(rows: Box<dyn Rows>, partition: &[(String, String)]) -> Self {
        let own = rows.header().len();
        let new: Vec<_> = partition.iter().filter(|(name, _)| !rows.header().contains(name)).cloned().collect();
        let header = rows.header().iter().cloned().chain(new.iter().map(|(name, _)| name.clone())).collect();
        Self { rows, own, header, values: new.into_iter().map(|(_, value)| value).collect() }
    }

    /// The value of a column that the folder gives.
    fn given(&self, field: usize) -> Option<&str> {
        field.checked_sub(self.own).map(|place| self.values[place].as_str())
    }
}

impl Rows for Partition {
    fn header(&self) -> &[String] {
        &self.header
    }

    fn has_header(&self) -> bool {
        self.rows.has_header()
    }

    fn column(&self, name: &str) -> Result<usize> {
        match self.header[self.own..].iter().position(|column| column == name) {
            Some(place) => Ok(self.own + place),
            None => self.rows.column(name),
        }
    }

    fn header_error(&self, what: String) -> Error {
        self.rows.header_error(what)
    }

    fn select(&mut self, fields: &[usize]) -> Result<Option<usize>> {
        let own: Vec<usize> = fields.iter().copied().filter(|&field| field < self.own).collect();
        self.rows.select(&own)
    }

    fn advance(&mut self) -> Result<bool> {
        self.rows.advance()
    }

    fn id(&self, field: usize) -> Result<RawId<'_>> {
        match self.given(field) {
            Some(value) => Ok(RawId::Text(Cow::Borrowed(value))),
            None => self.rows.id(field),
        }
    }

    fn time(&self, field: usize) -> Result<Moment> {
        match self.given(field) {
            Some(value) => {
                Moment::parse(value.as_bytes()).ok_or_else(|| self.error(Some(field), format!("`{value}` {WANTED}")))
            }
            None => self.rows.time(field),
        }
    }

    fn number(&self, field: usize) -> Result<Option<f64>> {
        match self.given(field) {
            Some("") => Ok(None),
            Some(value) => finite(value.as_bytes())
                .map(Some)
                .ok_or_else(|| self.error(Some(field), format!("`{value}` is not a finite number"))),
            None => self.rows.number(field),
        }
    }

    fn text(&self, field: usize) -> Result<Cow<'_, str>> {
        match self.given(field) {
            Some(value) => Ok(Cow::Borrowed(value)),
            None => self.rows.text(field),
        }
    }

    fn error(&self, field: Option<usize>, what: String) -> Error {
        match field {
            Some(field) if field >= self.own => {
                self.rows.error(None, format!("column {} of the folder's name: {what}", self.header[field]))
            }
            field => self.rows.error(field, what),
        }
    }

    fn kind(&self, field: usize) -> Option<FeatureKind> {
        if field < self.own { self.rows.kind(field) } else { None }
    }

    fn note(&self) -> Option<&'static str> {
        self.rows.note()
    }
}
