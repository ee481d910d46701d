//! One file of interactions: a table with named columns, or lines `user item rating time` without a header.

use std::path::Path;

use super::lines::{Lines, Separator, cut};
use super::options::{FeatureSpec, ReadOptions};
use super::table::Table;
use crate::builder::Builder;
use crate::columns::{ColumnBuilder, ColumnSet};
use crate::parse::{finite, integer, seconds, shown};
use crate::{Error, Result};

const USER_NAMES: &[&str] = &["user", "userid", "uid", "reviewerid"];
const ITEM_NAMES: &[&str] =
    &["item", "itemid", "iid", "movie", "movieid", "product", "productid", "asin", "parentasin"];
const TIME_NAMES: &[&str] = &["time", "timestamp", "ts", "unixtime", "unixreviewtime"];
const TITLE_NAMES: &[&str] = &["title"];

/// Appends the events of `path` to `builder`; `part` where three files are given. Formats are told apart by the first
/// line: integers between blanks (and no `.csv` or `.tsv`) or `::`, else a table with a header.
pub(crate) fn read_interactions(
    path: &Path,
    options: &ReadOptions,
    part: Option<u8>,
    builder: &mut Builder,
) -> Result<()> {
    let (before, times_before) = (builder.user.len(), builder.time.len());
    match sniff(path)? {
        Some((separator, columns)) => read_plain(path, separator, columns, options, builder)?,
        None => read_table(path, options, builder)?,
    }
    if builder.user.len() == before {
        return Err(Error::Format { path: path.to_owned(), what: "no interaction in the file".into() });
    }
    if u32::try_from(builder.user.len()).is_err() {
        return Err(Error::Format { path: path.to_owned(), what: "more than 2^32 - 1 interactions".into() });
    }
    let timed = builder.time.len() > times_before;
    if before > 0 && timed != (times_before > 0) {
        let what =
            if timed { "has times, the files before it have none" } else { "has no times, the files before it have" };
        return Err(Error::Format { path: path.to_owned(), what: what.into() });
    }
    if let Some(part) = part {
        builder.part.resize(builder.user.len(), part);
    }
    Ok(())
}

/// Separator and number of fields of a file without a header; `None` for a table.
fn sniff(path: &Path) -> Result<Option<(Separator, usize)>> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let mut lines = Lines::open(path)?;
    if ["csv", "tsv", "tab"].iter().any(|known| extension.eq_ignore_ascii_case(known)) || !lines.advance_filled()? {
        return Ok(None);
    }
    for separator in [Separator::DoubleColon, Separator::White] {
        let mut fields = [b"".as_slice(); 4];
        let count = cut(lines.line(), separator, &mut fields);
        let ids = fields[..2].iter().all(|field| integer(field).is_some());
        if (2..=4).contains(&count) && (ids || separator == Separator::DoubleColon) {
            return Ok(Some((separator, count)));
        }
    }
    Ok(None)
}

/// Lines `user item [rating [time]]` with integer ids: `u.data`, `ratings.dat` and files like them.
pub(crate) fn read_plain(
    path: &Path,
    separator: Separator,
    columns: usize,
    options: &ReadOptions,
    builder: &mut Builder,
) -> Result<()> {
    const NAMES: [&str; 4] = ["user", "item", "rating", "time"];
    let mut lines = Lines::open(path)?;
    while lines.advance_filled()? {
        let mut fields = [b"".as_slice(); 4];
        let count = cut(lines.line(), separator, &mut fields);
        let bad =
            |column: usize, what: &str| lines.error(Some(NAMES[column]), format!("{} {what}", shown(fields[column])));
        if count != columns {
            let names = NAMES[..columns].join(match separator {
                Separator::DoubleColon => "::",
                Separator::White => " ",
                Separator::Pipe => "|",
            });
            return Err(lines.error(None, format!("{count} fields where {columns} are wanted ({names})")));
        }
        let user = integer(fields[0]).ok_or_else(|| bad(0, "is not an integer id"))?;
        let item = integer(fields[1]).ok_or_else(|| bad(1, "is not an integer id"))?;
        // Every rating counts as one positive, but one that is no number says that the file is damaged.
        if columns > 2 && integer(fields[2]).is_none() && finite(fields[2]).is_none() {
            return Err(bad(2, "is not a finite number"));
        }
        if columns > 3 && !options.order_input {
            builder.time.push(seconds(fields[3]).ok_or_else(|| bad(3, "is not a whole number of seconds"))?);
        }
        builder.user.push(builder.users.integer(user));
        builder.item.push(builder.items.integer(item));
    }
    Ok(())
}

fn read_table(path: &Path, options: &ReadOptions, builder: &mut Builder) -> Result<()> {
    let mut table = Table::open(path, options.delimiter)?;
    let user = required(&table, options.user_col.as_deref(), USER_NAMES, "user", "user_col")?;
    let item = required(&table, options.item_col.as_deref(), ITEM_NAMES, "item", "item_col")?;
    let time = match options.order_input {
        true => None,
        false => optional(&table, options.time_col.as_deref(), TIME_NAMES)?,
    };
    let title = optional(&table, options.title_col.as_deref(), TITLE_NAMES)?;
    let places =
        |specs: &[FeatureSpec]| -> Result<Vec<usize>> { specs.iter().map(|spec| table.column(&spec.column)).collect() };
    let user_places = places(&options.user_features)?;
    let item_places = places(&options.item_features)?;
    let context_places = places(&options.context)?;
    if builder.user.is_empty() {
        builder.user_columns = column_set(&options.user_features);
        builder.item_columns = column_set(&options.item_features);
        let context = options.context.iter();
        builder.event_columns = context.map(|spec| (spec.column.clone(), ColumnBuilder::new(spec.kind))).collect();
    }

    while table.advance()? {
        for (field, what) in [(user, "user"), (item, "item")] {
            if table.bytes(field).is_empty() {
                return Err(table.error(Some(field), format!("the {what}'s id is empty")));
            }
        }
        if let Some(field) = time {
            let value = seconds(table.bytes(field));
            builder.time.push(value.ok_or_else(|| table.bad_field(field, "is not a whole number of seconds"))?);
        }
        let user_id = builder.users.text(&table.text(user));
        let item_id = builder.items.text(&table.text(item));
        if let Some(field) = title
            && builder.titles.get(item_id as usize).is_none_or(String::is_empty)
        {
            builder.set_title(item_id, &table.text(field));
        }
        fill(&table, &mut builder.user_columns.columns, &user_places, user_id)?;
        fill(&table, &mut builder.item_columns.columns, &item_places, item_id)?;
        fill(&table, &mut builder.event_columns, &context_places, builder.user.len() as u32)?;
        builder.user.push(user_id);
        builder.item.push(item_id);
    }
    Ok(())
}

fn column_set(specs: &[FeatureSpec]) -> ColumnSet {
    ColumnSet::new(specs.iter().map(|spec| (spec.column.as_str(), spec.kind)))
}

/// Sets those columns of a row that have no value yet; a number is checked in every row.
fn fill(table: &Table, columns: &mut [(String, ColumnBuilder)], places: &[usize], row: u32) -> Result<()> {
    for ((_, column), &field) in columns.iter_mut().zip(places) {
        let set = column.is_set(row as usize);
        if set && !matches!(column, ColumnBuilder::Number { .. }) {
            continue;
        }
        if set && finite(table.bytes(field)).is_some() {
            continue;
        }
        column.set(row as usize, &table.text(field)).map_err(|what| table.error(Some(field), what))?;
    }
    Ok(())
}

/// A name without what does not count in it: case, `_`, `-`, blanks.
fn bare(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

fn optional(table: &Table, given: Option<&str>, names: &[&str]) -> Result<Option<usize>> {
    if let Some(name) = given {
        return table.column(name).map(Some);
    }
    let header: Vec<String> = table.header().iter().map(|name| bare(name)).collect();
    let found = names.iter().find_map(|&name| header.iter().position(|column| column == name));
    // By its full name again, so that one that stands there twice is an error.
    found.map(|place| table.column(&table.header()[place])).transpose()
}

fn required(table: &Table, given: Option<&str>, names: &[&str], what: &str, option: &str) -> Result<usize> {
    optional(table, given, names)?.ok_or_else(|| {
        let known: String = table.header().join(", ").chars().take(300).collect();
        table.header_error(format!(
            "no column for the {what}: the header has {known}; rename one to `{what}` or name it (`{option}`)"
        ))
    })
}
