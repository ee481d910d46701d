//! What every table of interactions can do, whether it is CSV or Parquet.

use std::borrow::Cow;

use super::table::Table;
use crate::parse::{finite, seconds};
use crate::{Error, Result};

/// A raw id as a table holds it. An empty text is a missing id.
#[derive(Debug, PartialEq)]
pub(crate) enum RawId<'a> {
    /// An integer; its raw form is the plain decimal number.
    #[cfg_attr(not(feature = "parquet"), allow(dead_code, reason = "text files hold texts alone"))]
    Integer(u64),
    /// Any text.
    Text(Cow<'a, str>),
}

/// A table read row by row. Fields are numbered as the header's names.
pub(crate) trait Rows {
    /// Names of the columns.
    fn header(&self) -> &[String];

    /// Place of the column called exactly `name`.
    fn column(&self, name: &str) -> Result<usize>;

    /// An error about the header.
    fn header_error(&self, what: String) -> Error;

    /// Says which columns will be asked for, before the first row; gives the number of rows where it is known.
    fn select(&mut self, fields: &[usize]) -> Result<Option<usize>>;

    /// Goes to the next row; false at the end.
    fn advance(&mut self) -> Result<bool>;

    /// A raw id.
    fn id(&self, field: usize) -> Result<RawId<'_>>;

    /// A time in whole seconds.
    fn seconds(&self, field: usize) -> Result<i64>;

    /// A finite number; `None` for an empty field. `true` and `false` are 1 and 0.
    fn number(&self, field: usize) -> Result<Option<f64>>;

    /// A field as text; a missing one is empty.
    fn text(&self, field: usize) -> Result<Cow<'_, str>>;

    /// An error about the row read last.
    fn error(&self, field: Option<usize>, what: String) -> Error;
}

impl Rows for Table {
    fn header(&self) -> &[String] {
        self.header()
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

    fn seconds(&self, field: usize) -> Result<i64> {
        seconds(self.bytes(field)).ok_or_else(|| self.bad_field(field, "is not a whole number of seconds"))
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
}
