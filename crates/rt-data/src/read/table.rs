//! CSV and TSV with a header: quotes, BOM, UTF-8 or Latin-1, exact line numbers.

use std::borrow::Cow;
use std::path::Path;

use super::lines::{Lines, latin1};
use crate::parse::shown;
use crate::{Error, Result};

/// A table read row by row.
#[derive(Debug)]
pub(crate) struct Table {
    lines: Lines,
    delimiter: u8,
    latin1: bool,
    header: Vec<String>,
    /// The fields of the row, unquoted, one after the other.
    record: Vec<u8>,
    ends: Vec<usize>,
    /// The line that the row begins on.
    first_line: u64,
}

impl Table {
    /// Opens a file and reads its header. Without `delimiter` it is the tab in `.tsv` and `.tab`, else the most
    /// frequent of `,` tab `;` `|` in the header.
    pub(crate) fn open(path: &Path, delimiter: Option<u8>) -> Result<Self> {
        let latin1 = is_latin1(path)?;
        let mut lines = Lines::open(path)?;
        if !lines.advance_filled()? {
            return Err(lines.format("the file is empty; a header line with the names of the columns is wanted"));
        }
        let delimiter = delimiter.unwrap_or_else(|| sniff_delimiter(path, lines.line()));
        let mut table = Self {
            first_line: lines.number(),
            lines,
            delimiter,
            latin1,
            header: Vec::new(),
            record: Vec::new(),
            ends: Vec::new(),
        };
        table.split_row()?;
        table.header = (0..table.ends.len()).map(|field| table.text(field).into_owned()).collect();
        Ok(table)
    }

    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    pub(crate) fn path(&self) -> &Path {
        self.lines.path()
    }

    /// Place of the column called exactly `name`.
    pub(crate) fn column(&self, name: &str) -> Result<usize> {
        let mut places = self.header.iter().enumerate().filter(|(_, column)| *column == name);
        let Some((place, _)) = places.next() else {
            let known = self.header.join(", ");
            let known: String = known.chars().take(300).collect();
            return Err(self.header_error(format!("no column `{name}`; the header has: {known}")));
        };
        match places.next() {
            Some(_) => Err(self.header_error(format!("two columns are called `{name}`"))),
            None => Ok(place),
        }
    }

    /// An error about the header; to be used before the first row is read.
    pub(crate) fn header_error(&self, what: String) -> Error {
        Error::Line { path: self.path().to_owned(), line: self.first_line, column: None, what }
    }

    /// Reads the next row; false at the end. A row must have as many fields as the header.
    pub(crate) fn advance(&mut self) -> Result<bool> {
        if !self.lines.advance_filled()? {
            return Ok(false);
        }
        self.first_line = self.lines.number();
        self.split_row()?;
        if self.ends.len() != self.header.len() {
            let (found, wanted) = (self.ends.len(), self.header.len());
            return Err(self.error(None, format!("{found} fields where the header has {wanted}")));
        }
        Ok(true)
    }

    /// Bytes of a field, without blanks around it.
    pub(crate) fn bytes(&self, field: usize) -> &[u8] {
        let start = if field == 0 { 0 } else { self.ends[field - 1] };
        self.record[start..self.ends[field]].trim_ascii()
    }

    /// Text of a field, without blanks around it.
    pub(crate) fn text(&self, field: usize) -> Cow<'_, str> {
        let bytes = self.bytes(field);
        match std::str::from_utf8(bytes) {
            Ok(text) if !self.latin1 => Cow::Borrowed(text),
            _ => Cow::Owned(latin1(bytes)),
        }
    }

    /// An error about the row read last.
    pub(crate) fn error(&self, field: Option<usize>, what: impl Into<String>) -> Error {
        Error::Line {
            path: self.path().to_owned(),
            line: self.first_line,
            column: field.map(|field| self.header[field].clone()),
            what: what.into(),
        }
    }

    /// The same, quoting the field: `` `x1` is not ... ``.
    pub(crate) fn bad_field(&self, field: usize, what: &str) -> Error {
        self.error(Some(field), format!("{} {what}", shown(self.text(field).as_bytes())))
    }

    /// Cuts the line read last (and those after it, while a quote is open) into `record` and `ends`.
    fn split_row(&mut self) -> Result<()> {
        self.record.clear();
        self.ends.clear();
        if !self.lines.line().contains(&b'"') {
            for field in self.lines.line().split(|&byte| byte == self.delimiter) {
                self.record.extend_from_slice(field);
                self.ends.push(self.record.len());
            }
            return Ok(());
        }
        let mut place = 0;
        loop {
            let line = self.lines.line();
            if line.get(place) == Some(&b'"') {
                place = self.quoted(place + 1)?;
            } else {
                let rest = &line[place..];
                let length = rest.iter().position(|&byte| byte == self.delimiter).unwrap_or(rest.len());
                self.record.extend_from_slice(&rest[..length]);
                place += length;
            }
            self.ends.push(self.record.len());
            match self.lines.line().get(place) {
                None => return Ok(()),
                Some(_) => place += 1, // the delimiter
            }
        }
    }

    /// Reads a quoted field whose text begins at `place`; returns the place of the delimiter behind it.
    fn quoted(&mut self, mut place: usize) -> Result<usize> {
        loop {
            match self.lines.line().get(place..).unwrap_or_default() {
                [b'"', b'"', ..] => {
                    self.record.push(b'"');
                    place += 2;
                }
                [b'"', next, ..] if *next != self.delimiter => {
                    return Err(
                        self.error(None, "text after a closing quote; a quote inside a quoted field is doubled")
                    );
                }
                [b'"', ..] => return Ok(place + 1),
                [byte, ..] => {
                    self.record.push(*byte);
                    place += 1;
                }
                [] => {
                    if !self.lines.advance()? {
                        return Err(self.error(None, "a quote is opened and never closed"));
                    }
                    self.record.push(b'\n');
                    place = 0;
                }
            }
        }
    }
}

fn sniff_delimiter(path: &Path, header: &[u8]) -> u8 {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if extension.eq_ignore_ascii_case("tsv") || extension.eq_ignore_ascii_case("tab") {
        return b'\t';
    }
    let count = |delimiter: u8| header.iter().filter(|&&byte| byte == delimiter).count();
    // `max_by_key` keeps the last of equals, so the comma stands last.
    [b'|', b';', b'\t', b','].into_iter().max_by_key(|&delimiter| count(delimiter)).unwrap_or(b',')
}

/// False: UTF-8. True: not UTF-8, but Latin-1 text. Else an error that names the first byte that is no text.
fn is_latin1(path: &Path) -> Result<bool> {
    let mut lines = Lines::open(path)?;
    let mut not_utf8 = None;
    let mut c1_control = false;
    while lines.advance()? {
        let line = lines.line();
        if let Some(&byte) = line.iter().find(|&&byte| byte == 127 || (byte < 32 && byte != b'\t' && byte != b'\r')) {
            let hint = if byte == 0 { " (UTF-16 has to be saved as UTF-8)" } else { "" };
            return Err(
                lines.error(None, format!("the byte 0x{byte:02x} is no text; UTF-8 or Latin-1 is wanted{hint}"))
            );
        }
        c1_control |= line.iter().any(|byte| (0x80..0xa0).contains(byte));
        if not_utf8.is_none() && std::str::from_utf8(line).is_err() {
            not_utf8 = Some(lines.error(None, "neither UTF-8 nor Latin-1 text"));
        }
    }
    match not_utf8 {
        Some(error) if c1_control => Err(error),
        found => Ok(found.is_some()),
    }
}
