//! CSV and TSV: quotes, BOM, UTF-8 or Windows-1252, exact line numbers.
//!
//! Rows are cut here and not by the `csv` crate, because that one cannot say what a person needs to mend a file: on which line the
//! quote was opened that took in the rest of it, and in which column. It also fixes one way of escaping quotes for all files, where
//! this finds it out.

use std::borrow::Cow;
use std::path::Path;

use super::lines::{self, Lines};
use super::paths::extension;
use super::quotes::{Close, fields_of, look_like, only_ends};
use super::text::{Encoding, encoding};
use crate::clock::Moment;
use crate::columns::FeatureKind;
use crate::parse::shown;
use crate::{Error, Result};

/// Rows by which a column's values are known.
const SAMPLE: u64 = 100;

/// How a table is cut.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Form {
    /// What separates fields; `None`: as the first line says.
    pub(crate) cut: Option<Cut>,
    /// The first line is a row; columns are called `1`, `2`, ...
    pub(crate) no_header: bool,
}

/// What separates fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Byte(u8),
    /// Any run of blanks and tabs.
    White,
    /// `::`
    DoubleColon,
}

/// What a column's first values have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// All of them are numbers or times.
    pub(crate) numbers: bool,
    /// None of them begins with a blank.
    pub(crate) flush: bool,
}

/// A table read row by row.
pub(crate) struct Table {
    lines: Lines,
    cut: Cut,
    encoding: Encoding,
    header: Vec<String>,
    /// Names as they stand in the file, where those of `header` are shorter: `user_id:token`.
    full: Vec<String>,
    no_header: bool,
    /// The first line has been cut and is to be read as a row.
    pending: bool,
    /// A backslash stands before quotes in quoted fields.
    backslash: bool,
    /// A quote of the row that begins a field was taken for a part of the text.
    literal: bool,
    /// The fields of the row, unquoted, one after the other.
    record: Vec<u8>,
    ends: Vec<usize>,
    /// The line that the row begins on, where it has quotes, and those behind it that it takes in.
    first: Vec<u8>,
    crossed: Vec<Vec<u8>>,
    /// The line that the row begins on.
    first_line: u64,
    rows: u64,
    shapes: Vec<Shape>,
}

impl Table {
    /// Opens a file and reads its first line. Without `form.cut` fields are separated by the tab in `.tsv` and `.tab`, else by the
    /// most frequent of `,` tab `;` `|` in that line, else by a blank.
    pub(crate) fn open(path: &Path, form: Form) -> Result<Self> {
        let encoding = encoding(path)?;
        let mut lines = Lines::open(path)?;
        if !lines.advance_filled()? {
            return Err(lines.format("the file is empty; a header line with the names of the columns is wanted"));
        }
        let cut = form.cut.unwrap_or_else(|| Cut::Byte(sniff_delimiter(path, lines.line())));
        let mut table = Self {
            first_line: lines.number(),
            lines,
            cut,
            encoding,
            header: Vec::new(),
            full: Vec::new(),
            no_header: form.no_header,
            pending: form.no_header,
            backslash: false,
            literal: false,
            record: Vec::new(),
            ends: Vec::new(),
            first: Vec::new(),
            crossed: Vec::new(),
            rows: 0,
            shapes: Vec::new(),
        };
        table.split_row()?;
        let names = 0..table.ends.len();
        if form.no_header {
            table.header = names.map(|field| (field + 1).to_string()).collect();
        } else {
            table.full = names.map(|field| table.text(field).into_owned()).collect();
            table.header = without_types(&table.full);
        }
        table.shapes = vec![Shape { numbers: true, flush: true }; table.header.len()];
        Ok(table)
    }

    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    /// What RecBole's type of a column says.
    pub(crate) fn kind(&self, field: usize) -> Option<FeatureKind> {
        let kind = self.full.get(field)?.strip_prefix(self.header[field].as_str())?;
        match kind {
            ":token" => Some(FeatureKind::Category),
            ":float" => Some(FeatureKind::Number),
            ":token_seq" => Some(FeatureKind::Bag(' ')),
            _ => None,
        }
    }

    pub(crate) fn no_header(&self) -> bool {
        self.no_header
    }

    pub(crate) fn path(&self) -> &Path {
        self.lines.path()
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Place of the column called exactly `name`, or of that number.
    pub(crate) fn column(&self, name: &str) -> Result<usize> {
        let mut places = self.header.iter().enumerate().filter(|(_, column)| *column == name);
        let Some((place, _)) = places.next() else {
            let found = self.full.iter().position(|column| column == name);
            return found.or_else(|| super::rows::numbered(name, self.header.len())).ok_or_else(|| {
                let known: String = self.header.join(", ").chars().take(300).collect();
                let what = match self.no_header {
                    true => format!("no column `{name}`: without a header they are numbers, {known}"),
                    false => format!("no column `{name}`; the header has: {known}"),
                };
                self.header_error(what)
            });
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
        if !std::mem::take(&mut self.pending) {
            if !self.lines.advance_filled()? {
                return Ok(false);
            }
            self.first_line = self.lines.number();
            self.split_row()?;
        }
        if self.ends.len() != self.header.len() {
            let (found, wanted) = (self.ends.len(), self.header.len());
            let whose = if self.no_header { "first line" } else { "header" };
            return Err(self.error(None, format!("{found} fields where the {whose} has {wanted}")));
        }
        self.rows += 1;
        if self.rows <= SAMPLE {
            for field in 0..self.ends.len() {
                let (raw, bytes) = (self.raw(field), self.bytes(field));
                let (flush, numbers) = (raw.first() != Some(&b' '), bytes.is_empty() || Moment::parse(bytes).is_some());
                self.shapes[field].flush &= flush;
                self.shapes[field].numbers &= numbers;
            }
        }
        Ok(true)
    }

    fn raw(&self, field: usize) -> &[u8] {
        let start = if field == 0 { 0 } else { self.ends[field - 1] };
        &self.record[start..self.ends[field]]
    }

    /// Bytes of a field, without blanks around it.
    pub(crate) fn bytes(&self, field: usize) -> &[u8] {
        self.raw(field).trim_ascii()
    }

    /// Text of a field, without blanks around it.
    pub(crate) fn text(&self, field: usize) -> Cow<'_, str> {
        self.encoding.text(self.bytes(field))
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
        let line = self.lines.line();
        let Cut::Byte(delimiter) = self.cut else {
            self.record.clear();
            self.ends.clear();
            let separator =
                if self.cut == Cut::White { lines::Separator::White } else { lines::Separator::DoubleColon };
            lines::each(line, separator, |field| {
                self.record.extend_from_slice(field);
                self.ends.push(self.record.len());
            });
            return Ok(());
        };
        if line.contains(&b'"') {
            return self.split_quoted(delimiter);
        }
        self.record.clear();
        self.ends.clear();
        for field in line.split(|&byte| byte == delimiter) {
            self.record.extend_from_slice(field);
            self.ends.push(self.record.len());
        }
        Ok(())
    }

    /// The same for a line with quotes. Where they do not come out even and a backslash stands before one, the other way of
    /// escaping them is tried, and kept if it fits.
    fn split_quoted(&mut self, delimiter: u8) -> Result<()> {
        self.first.clear();
        self.first.extend_from_slice(self.lines.line());
        let fits = |table: &Self| table.header.is_empty() || table.ends.len() == table.header.len();
        let cut = self.cut_quoted(delimiter);
        let good = cut.is_ok() && fits(self);
        let crossed = self.crossed.len();
        let escapes = |line: &Vec<u8>| line.windows(2).any(|pair| pair == b"\\\"");
        if good && crossed == 0 || !(escapes(&self.first) || self.crossed.iter().any(escapes)) {
            return cut;
        }
        self.back();
        self.backslash = !self.backslash;
        let other = self.cut_quoted(delimiter).is_ok() && fits(self) && !self.literal;
        if other && (!good || self.crossed.len() < crossed) {
            return Ok(());
        }
        self.back();
        self.backslash = !self.backslash;
        self.cut_quoted(delimiter)
    }

    /// Back to the first line of the row.
    fn back(&mut self) {
        let mut lines = vec![self.first.clone()];
        lines.append(&mut self.crossed);
        self.lines.rewind(lines);
    }

    fn cut_quoted(&mut self, delimiter: u8) -> Result<()> {
        self.record.clear();
        self.ends.clear();
        self.crossed.clear();
        self.literal = false;
        let mut place = 0;
        loop {
            if self.lines.line().get(place) == Some(&b'"') && self.is_quoted(place + 1, delimiter)? {
                place = self.quoted(place + 1, delimiter)?;
            } else {
                let rest = &self.lines.line()[place..];
                let length = rest.iter().position(|&byte| byte == delimiter).unwrap_or(rest.len());
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

    /// Is a field that begins with a quote, the text behind which stands at `place`, a quoted one? In TSV, whose fields need no
    /// quotes, a quote may be a plain character: it counts where the field also ends with one, on its line or, if no line before
    /// that is a row of its own, on a later one.
    fn is_quoted(&mut self, place: usize, delimiter: u8) -> Result<bool> {
        let close = Close::find(self.lines.line(), place, delimiter, self.backslash);
        if delimiter != b'\t' || matches!(close, Close::Here(_)) || !self.leaves_a_row(place, delimiter) {
            return Ok(true);
        }
        let mut read = vec![self.lines.line().to_vec()];
        let mut quoted = false;
        while close == Close::Later && read.len() <= SAMPLE as usize && self.lines.advance()? {
            let line = self.lines.line();
            read.push(line.to_vec());
            quoted = only_ends(line, delimiter, self.backslash);
            if quoted || fields_of(line, delimiter) == self.header.len() {
                break;
            }
            match Close::find(line, 0, delimiter, self.backslash) {
                Close::Here(_) => quoted = true,
                Close::Later => continue,
                Close::Never => {}
            }
            break;
        }
        self.lines.rewind(read);
        self.literal |= !quoted;
        Ok(quoted)
    }

    /// Would the line be a whole row if the quote before `place` were part of the text?
    fn leaves_a_row(&self, place: usize, delimiter: u8) -> bool {
        let shapes = self.shapes.get(self.ends.len()..).unwrap_or_default();
        let rest = self.lines.line()[place..].split(|&byte| byte == delimiter);
        look_like(std::iter::once(&b""[..]).chain(rest.skip(1)), shapes, self.rows).is_some()
    }

    /// Reads a quoted field whose text begins at `place`; returns the place of the delimiter behind it. Lines that it takes in are
    /// no rows of their own.
    fn quoted(&mut self, mut place: usize, delimiter: u8) -> Result<usize> {
        let opened = self.lines.number();
        let (mut lines, mut alike) = (0, 0);
        let whole = self.leaves_a_row(place, delimiter);
        loop {
            match self.lines.line().get(place..).unwrap_or_default() {
                [b'\\', byte @ (b'"' | b'\\'), ..] if self.backslash => {
                    self.record.push(*byte);
                    place += 2;
                }
                [b'"', b'"', ..] => {
                    self.record.push(b'"');
                    place += 2;
                }
                [b'"', next, ..] if *next != delimiter => {
                    let what = match self.lines.number() - opened {
                        0 => "text after a closing quote; a quote inside a quoted field is doubled".to_owned(),
                        _ => format!(
                            "a quote is opened and closed on line {}, with text behind it; a quote inside a quoted field is doubled",
                            self.lines.number()
                        ),
                    };
                    return Err(self.quote_error(opened, what));
                }
                [b'"', ..] if whole && lines > 0 && alike == lines => return Err(self.swallowed(opened, opened + 1)),
                [b'"', ..] => return Ok(place + 1),
                [byte, ..] => {
                    self.record.push(*byte);
                    place += 1;
                }
                [] => {
                    if !self.lines.advance()? {
                        return Err(self.quote_error(opened, "a quote is opened and never closed".into()));
                    }
                    let line = self.lines.line();
                    self.crossed.push(line.to_vec());
                    lines += 1;
                    let fields = line.split(|&byte| byte == delimiter);
                    let like = look_like(fields, &self.shapes, self.rows).filter(|_| whole);
                    match like.filter(|_| !only_ends(line, delimiter, self.backslash)) {
                        Some(true) => return Err(self.swallowed(opened, self.lines.number())),
                        Some(false) => alike += 1,
                        None => {}
                    }
                    self.record.push(b'\n');
                    place = 0;
                }
            }
        }
    }

    fn swallowed(&self, opened: u64, line: u64) -> Error {
        let what = format!(
            "a quote is opened here and takes in line {line}, which is a row of its own; close it, or, if it is part of the text, \
             write it as \"\" in a field between quotes"
        );
        self.quote_error(opened, what)
    }

    fn quote_error(&self, line: u64, what: String) -> Error {
        let column = self.header.get(self.ends.len()).cloned();
        Error::Line { path: self.path().to_owned(), line, column, what }
    }
}

/// The names of RecBole's atomic files without their types, `user_id` of `user_id:token`, where every name has one.
fn without_types(names: &[String]) -> Vec<String> {
    let plain = |name: &String| {
        let (plain, kind) = name.rsplit_once(':')?;
        matches!(kind, "token" | "token_seq" | "float" | "float_seq").then(|| plain.to_owned())
    };
    names.iter().map(plain).collect::<Option<Vec<_>>>().unwrap_or_else(|| names.to_vec())
}

fn sniff_delimiter(path: &Path, first: &[u8]) -> u8 {
    if ["tsv", "tab"].contains(&extension(path).as_str()) {
        return b'\t';
    }
    let count = |delimiter: u8| {
        let mut quoted = false;
        let outside = |byte: &&u8| {
            quoted ^= **byte == b'"';
            !quoted && **byte == delimiter
        };
        first.iter().filter(outside).count()
    };
    // `max_by_key` keeps the last of equals, so the comma stands last.
    let most = [b'|', b';', b'\t', b','].into_iter().max_by_key(|&delimiter| count(delimiter)).unwrap_or(b',');
    if count(most) == 0 && count(b' ') > 0 { b' ' } else { most }
}
