//! Tables without a header: which column is what.

use std::path::Path;

use super::lines::{Lines, Separator, each};
use super::options::ReadOptions;
use super::rows::{Rows, numbered};
use super::table::{Cut, Form, Table};
use crate::clock::{Moment, looks_timed};
use crate::notes::Notes;
use crate::parse::{finite, integer};
use crate::{Error, Result};

/// Lines by which columns are told apart.
const SAMPLE: usize = 100_000;

/// Places of the columns of lines `user item [rating] [time]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain {
    pub(crate) separator: Separator,
    pub(crate) count: usize,
    pub(crate) rating: Option<usize>,
    pub(crate) time: Option<usize>,
}

impl Plain {
    /// `user item rating time`, or the first of these.
    pub(crate) fn new(separator: Separator, count: usize) -> Self {
        Self { separator, count, rating: (count > 2).then_some(2), time: (count > 3).then_some(3) }
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        let name = |place| match place {
            0 => "user",
            1 => "item",
            place if self.time == Some(place) => "time",
            _ => "rating",
        };
        (0..self.count).map(name).collect()
    }

    /// Looks whether a third column holds times, and says so.
    pub(crate) fn sniffed(mut self, path: &Path, notes: &mut Notes) -> Result<Self> {
        if self.count < 3 {
            return Ok(self);
        }
        let timed = timed(path, self.separator, self.count)?;
        match (timed[2], self.count) {
            (true, 3) => {
                (self.rating, self.time) = (None, Some(2));
                notes.about(path, "{}: the third column is taken for the time, its values are too large for ratings");
            }
            (true, _) if !timed[3] => {
                (self.rating, self.time) = (Some(3), Some(2));
                notes.about(path, "{}: the third column is taken for the time and the fourth for the rating");
            }
            _ => {}
        }
        Ok(self)
    }
}

/// Separator and number of fields of a text file without a header; `None` for a table.
pub(crate) fn sniff(path: &Path) -> Result<Option<Plain>> {
    let extension = super::paths::extension(path);
    let mut lines = Lines::open(path)?;
    if ["csv", "tsv", "tab", "inter"].contains(&extension.as_str()) || !lines.advance_filled()? {
        return Ok(None);
    }
    for separator in [Separator::DoubleColon, Separator::White] {
        let mut fields = Vec::new();
        each(lines.line(), separator, |field| fields.push(field));
        let ids = fields.iter().take(2).all(|field| integer(field).is_some());
        if (2..=4).contains(&fields.len()) && (ids || separator == Separator::DoubleColon) {
            return Ok(Some(Plain::new(separator, fields.len())));
        }
    }
    Ok(None)
}

/// Which columns of lines hold times, by their first values.
fn timed(path: &Path, separator: Separator, count: usize) -> Result<Vec<bool>> {
    let mut columns = vec![Sample::default(); count];
    let mut lines = Lines::open(path)?;
    let mut read = 0;
    while read < SAMPLE && lines.advance_filled()? {
        let mut place = 0;
        each(lines.line(), separator, |field| {
            if let Some(column) = columns.get_mut(place) {
                column.add(field);
            }
            place += 1;
        });
        read += 1;
    }
    Ok(columns.iter_mut().enumerate().map(|(place, column)| column.timed(place == 2)).collect())
}

/// The first values of a column.
#[derive(Debug, Clone, Default)]
struct Sample {
    numbers: Vec<i64>,
    dates: usize,
    others: usize,
}

impl Sample {
    fn add(&mut self, field: &[u8]) {
        match Moment::parse(field) {
            Some(Moment::Number { whole, .. }) => self.numbers.push(whole),
            Some(_) => self.dates += 1,
            None => self.others += 1,
        }
    }

    fn timed(&mut self, third: bool) -> bool {
        match (self.others, self.dates) {
            (0, 0) => looks_timed(&mut self.numbers, third),
            (0, _) => self.numbers.is_empty(),
            _ => false,
        }
    }
}

/// How a table is to be opened, and what its columns are where it has no header.
pub(crate) struct Opening {
    pub(crate) form: Form,
    pub(crate) options: ReadOptions,
}

impl Opening {
    /// `plain`: lines that were taken for `user item rating time`, before columns were named.
    pub(crate) fn new(path: &Path, options: &ReadOptions, plain: Option<Plain>, notes: &mut Notes) -> Result<Self> {
        let cut = options.delimiter.map(Cut::Byte).or_else(|| match plain?.separator {
            Separator::DoubleColon => Some(Cut::DoubleColon),
            _ => Some(Cut::White),
        });
        let mut form = Form { cut, no_header: options.no_header || plain.is_some() };
        if !form.no_header && names_numbers(&Table::open(path, form)?, options) {
            form.no_header = true;
            notes.about(path, "{}: the first line looks like data, so it is read as a row (--no-header)");
        }
        let mut options = options.clone();
        if form.no_header {
            name_columns(&mut Table::open(path, form)?, &mut options, notes)?;
        }
        Ok(Self { form, options })
    }
}

/// Are user and item given by number, and is what the first line has there no header? It is none where the time's place holds a
/// time, or those of user and item hold numbers.
fn names_numbers(table: &Table, options: &ReadOptions) -> bool {
    let header = table.header();
    let at = |name: &Option<String>| Some(header[numbered(name.as_deref()?, header.len())?].as_str());
    let (Some(user), Some(item)) = (at(&options.user_col), at(&options.item_col)) else { return false };
    at(&options.time_col).is_some_and(is_timed) || is_value(user) && is_value(item)
}

/// A date, or a number of a clock's size.
fn is_timed(name: &str) -> bool {
    match Moment::parse(name.as_bytes()) {
        Some(Moment::Number { whole, .. }) => looks_timed(&mut [whole], false),
        moment => moment.is_some(),
    }
}

/// A number or a date, which is no column's name.
fn is_value(name: &str) -> bool {
    Moment::parse(name.as_bytes()).is_some() || finite(name.as_bytes()).is_some()
}

/// Gives the columns that no option names their numbers: user 1, item 2, and the first of the others that holds times.
fn name_columns(table: &mut Table, options: &mut ReadOptions, notes: &mut Notes) -> Result<()> {
    let path = table.path().to_owned();
    let user = table.column(options.user_col.get_or_insert_with(|| "1".into()))?;
    if table.header().len() < 2 && options.item_col.is_none() {
        return Err(table.header_error("has one column; at least those of user and item are wanted".into()));
    }
    let item = table.column(options.item_col.get_or_insert_with(|| if user == 1 { "1".into() } else { "2".into() }))?;
    let named = [&options.label_col, &options.weight_col, &options.rating_col, &options.dwell_col, &options.title_col];
    let named: Vec<usize> = named.into_iter().flatten().filter_map(|name| table.column(name).ok()).collect();
    if options.time_col.is_none() && !options.order_input {
        let mut columns = vec![Sample::default(); table.header().len()];
        let mut read = 0;
        while read < SAMPLE && table.advance()? {
            columns.iter_mut().enumerate().for_each(|(field, column)| column.add(table.bytes(field)));
            read += 1;
        }
        let mut places = 0..columns.len();
        let time = places.find(|place| {
            ![user, item].contains(place) && !named.contains(place) && columns[*place].timed(*place == 2)
        });
        options.time_col = time.map(|place| (place + 1).to_string());
    }
    let time = match &options.time_col {
        Some(time) => format!("the time column {time}"),
        None => "there is no time".into(),
    };
    let what = format!("{{}} has no header: the user is column {}, the item column {}, {time}", user + 1, item + 1);
    notes.about(&path, what);
    Ok(())
}

/// Says that a file without a header is read as if it had one, where its first line looks like that.
pub(crate) fn hint(rows: &dyn Rows, what: &str) -> Option<Error> {
    let header = rows.header();
    if !rows.has_header() || !header.iter().any(|name| is_value(name)) {
        return None;
    }
    let known: String = header.join(", ").chars().take(300).collect();
    let time = header
        .iter()
        .position(|name| is_timed(name))
        .map_or_else(String::new, |place| format!(" --time-col {}", place + 1));
    Some(rows.header_error(format!(
        "no column for the {what}: the first line ({known}) looks like data. If the file has no header, give --no-header and \
         name columns by number, such as --user-col 1 --item-col 2{time}"
    )))
}
