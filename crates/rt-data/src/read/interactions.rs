//! One file of interactions: a table with named columns, or lines `user item rating time` without a header.

use std::path::Path;

use super::lines::{Lines, Separator, cut};
use super::options::{FeatureSpec, ReadOptions};
use super::roles::{Roles, Verdict};
use super::rows::{RawId, Rows};
use super::table::Table;
use crate::builder::Builder;
use crate::columns::{ColumnBuilder, ColumnSet};
use crate::ids::Ids;
use crate::parse::{finite, integer, seconds, shown};
use crate::{Error, Result};

/// Appends the events of `path` to `builder`; `part` where three files are given. Formats are told apart by the first
/// line: integers between blanks (and no `.csv` or `.tsv`) or `::`, else a table with a header.
pub(crate) fn read_interactions(
    path: &Path,
    options: &ReadOptions,
    part: Option<u8>,
    builder: &mut Builder,
) -> Result<()> {
    let (before, times_before) = (builder.user.len(), builder.time.len());
    let left_out = builder.left_out.total();
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet")) {
        read_parquet(path, options, builder)?;
    } else {
        match sniff(path)? {
            Some((separator, columns)) => read_plain(path, separator, columns, options, builder)?,
            None => read_rows(&mut Table::open(path, options.delimiter)?, options, builder)?,
        }
    }
    if builder.user.len() == before {
        let what = match builder.left_out.total() - left_out {
            0 => "no interaction in the file".into(),
            rows => {
                format!("no positive in the file: all {rows} rows are below the label, rating or dwell time asked for")
            }
        };
        return Err(Error::Format { path: path.to_owned(), what });
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
        builder.shown.part.resize(builder.shown.user.len(), part);
    }
    Ok(())
}

#[cfg(feature = "parquet")]
fn read_parquet(path: &Path, options: &ReadOptions, builder: &mut Builder) -> Result<()> {
    read_rows(&mut super::parquet::ParquetRows::open(path)?, options, builder)
}

#[cfg(not(feature = "parquet"))]
fn read_parquet(path: &Path, _: &ReadOptions, _: &mut Builder) -> Result<()> {
    Err(super::without_parquet(path))
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
    options.without_header(path)?;
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
        // A rating that is no number says that the file is damaged.
        let rating = match columns > 2 {
            true => Some(finite(fields[2]).ok_or_else(|| bad(2, "is not a finite number"))?),
            false => None,
        };
        let time = match columns > 3 && !options.order_input {
            true => Some(seconds(fields[3]).ok_or_else(|| bad(3, "is not a whole number of seconds"))?),
            false => None,
        };
        let (user, item) = (builder.users.integer(user), builder.items.integer(item));
        match (options.min_rating, rating) {
            (Some(_), None) => {
                return Err(lines.error(None, "min_rating: the lines have no rating (user item rating time)"));
            }
            (Some(least), Some(rating)) if rating < least => {
                builder.leave_out(Verdict::Rating, user, item, time, None);
                continue;
            }
            _ => {}
        }
        builder.time.extend(time);
        builder.user.push(user);
        builder.item.push(item);
    }
    Ok(())
}

/// Most rows, positives or not: dense ids and places of events have 32 bits.
const MOST_ROWS: u64 = u32::MAX as u64 - 1;

/// Appends the events of a table with named columns: CSV or Parquet.
pub(crate) fn read_rows(rows: &mut impl Rows, options: &ReadOptions, builder: &mut Builder) -> Result<()> {
    let roles = Roles::find(rows, options)?;
    let places = |rows: &dyn Rows, specs: &[FeatureSpec]| -> Result<Vec<usize>> {
        specs.iter().map(|spec| rows.column(&spec.column)).collect()
    };
    let user_places = places(rows, &options.user_features)?;
    let item_places = places(rows, &options.item_features)?;
    let context_places = places(rows, &options.context)?;
    if builder.is_empty() {
        builder.user_columns = column_set(&options.user_features);
        builder.item_columns = column_set(&options.item_features);
        let context = options.context.iter();
        builder.event_columns = context.map(|spec| (spec.column.clone(), ColumnBuilder::new(spec.kind))).collect();
    }
    let mut fields = roles.fields();
    fields.extend(user_places.iter().chain(&item_places).chain(&context_places));
    if let Some(count) = rows.select(&fields)? {
        if (count as u64).saturating_add(builder.rows()) > MOST_ROWS {
            return Err(rows.header_error(format!("{count} rows: together at most {MOST_ROWS} are read")));
        }
        builder.reserve(count, roles.time.is_some());
    }

    while rows.advance()? {
        if builder.rows() >= MOST_ROWS {
            return Err(rows.error(None, format!("more than {MOST_ROWS} rows")));
        }
        let id = |ids: &mut Ids, field: usize, what: &str| match rows.id(field)? {
            RawId::Integer(id) => Ok(ids.integer(id)),
            RawId::Text(text) if text.is_empty() => Err(rows.error(Some(field), format!("the {what}'s id is empty"))),
            RawId::Text(text) => Ok(ids.text(&text)),
        };
        let verdict = roles.judge(rows)?;
        let weight = roles.weight(rows)?;
        let time = roles.time.map(|field| rows.seconds(field)).transpose()?;
        let (user_id, item_id) =
            (id(&mut builder.users, roles.user, "user")?, id(&mut builder.items, roles.item, "item")?);
        if let Some(field) = roles.title
            && builder.titles.get(item_id as usize).is_none_or(String::is_empty)
        {
            let title = rows.text(field)?;
            builder.set_title(item_id, &title);
        }
        fill(rows, &mut builder.user_columns.columns, &user_places, user_id)?;
        fill(rows, &mut builder.item_columns.columns, &item_places, item_id)?;
        let impression = match roles.impression {
            // A row without one belongs to no list.
            Some(field) => match rows.id(field)? {
                RawId::Integer(list) => Some(builder.impressions.integer(list)),
                RawId::Text(text) if text.is_empty() => Some(0),
                RawId::Text(text) => Some(builder.impressions.text(&text)),
            },
            None => None,
        };
        if verdict != Verdict::Positive {
            builder.leave_out(verdict, user_id, item_id, time, impression);
            continue;
        }
        fill(rows, &mut builder.event_columns, &context_places, builder.user.len() as u32)?;
        if roles.weight.is_some() {
            builder.weight.push(weight);
        }
        if let Some(field) = roles.source {
            let source = rows.text(field)?;
            if source.is_empty() {
                return Err(rows.error(Some(field), "the source is missing".into()));
            }
            builder.source.push(builder.sources.insert(&source));
        }
        if let Some(impression) = impression {
            builder.impression.push(impression);
        }
        if let Some(time) = time {
            builder.time.push(time);
        }
        builder.user.push(user_id);
        builder.item.push(item_id);
    }
    Ok(())
}

fn column_set(specs: &[FeatureSpec]) -> ColumnSet {
    ColumnSet::new(specs.iter().map(|spec| (spec.column.as_str(), spec.kind)))
}

/// Sets those columns of a row that have no value yet; a number is checked in every row.
fn fill(rows: &dyn Rows, columns: &mut [(String, ColumnBuilder)], places: &[usize], row: u32) -> Result<()> {
    for ((_, column), &field) in columns.iter_mut().zip(places) {
        let set = column.is_set(row as usize);
        if set && !matches!(column, ColumnBuilder::Number { .. }) {
            continue;
        }
        if matches!(column, ColumnBuilder::Number { .. }) {
            if let (Some(number), false) = (rows.number(field)?, set) {
                column.set(row as usize, &number.to_string()).map_err(|what| rows.error(Some(field), what))?;
            }
            continue;
        }
        let text = rows.text(field)?;
        column.set(row as usize, &text).map_err(|what| rows.error(Some(field), what))?;
    }
    Ok(())
}
