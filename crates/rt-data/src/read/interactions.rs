//! One file of interactions: a table with named columns, or lines `user item rating time` without a header.

use std::path::Path;

use super::bytes::{Content, content};
use super::headless::{Opening, Plain, sniff};
use super::identity::IdColumn;
use super::lines::{Lines, Separator, cut};
use super::options::{FeatureSpec, ReadOptions};
use super::paths::TableFile;
use super::roles::{Roles, Verdict};
use super::rows::{self, RawId, Rows};
use super::table::Form;
use crate::builder::Builder;
use crate::clock::{FileClock, Moment, WANTED};
use crate::columns::{ColumnBuilder, ColumnSet};
use crate::parse::{finite, integer, shown};
use crate::{Error, Result};

/// Appends the events of a file to `builder`; `part` where three files are given. Formats are told apart by the first bytes and, of
/// text, by the first line: integers between blanks (and no `.csv` or `.tsv`) or `::`, else a table.
pub(crate) fn read_interactions(
    file: &TableFile,
    options: &ReadOptions,
    part: Option<u8>,
    builder: &mut Builder,
) -> Result<()> {
    let path = &file.path;
    let (before, times_before, shown_before) = (builder.user.len(), builder.time.len(), builder.shown.time.len());
    let left_out = builder.left_out.total();
    let mut clock = FileClock::new(options.time_unit);
    let text = content(path)? == Content::Text;
    let plain = if text { sniff(path)? } else { None };
    match plain {
        Some(plain) if file.partition.is_empty() && !options.names_columns() => {
            let plain = plain.sniffed(path, &mut builder.notes)?;
            read_plain(path, plain, options, &mut clock, builder)?;
        }
        _ if text => {
            let opening = Opening::new(path, options, plain, &mut builder.notes)?;
            read_rows(file, &opening, &mut clock, builder)?;
        }
        _ => read_rows(file, &Opening { form: Form::default(), options: options.clone() }, &mut clock, builder)?,
    }
    builder.settle(path, &clock, times_before, shown_before);
    if builder.user.len() == before {
        let what = match builder.left_out.total() - left_out {
            0 => "no interaction in the file".into(),
            rows => format!(
                "no positive in the file: all {rows} rows are below the label, rating or dwell time asked for, or have no id"
            ),
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

/// The lines `user item rating time` of a MovieLens file.
pub(crate) fn read_ratings(
    path: &Path,
    separator: Separator,
    options: &ReadOptions,
    builder: &mut Builder,
) -> Result<()> {
    let mut clock = FileClock::new(options.time_unit);
    let (times, shown) = (builder.time.len(), builder.shown.time.len());
    read_plain(path, Plain::new(separator, 4), options, &mut clock, builder)?;
    builder.settle(path, &clock, times, shown);
    Ok(())
}

/// Lines `user item`, perhaps with rating and time, with integer ids: `u.data`, `ratings.dat` and files like them.
fn read_plain(
    path: &Path,
    plain: Plain,
    options: &ReadOptions,
    clock: &mut FileClock,
    builder: &mut Builder,
) -> Result<()> {
    options.without_header(path)?;
    let names = plain.names();
    let mut lines = Lines::open(path)?;
    while lines.advance_filled()? {
        let mut fields = [b"".as_slice(); 4];
        let count = cut(lines.line(), plain.separator, &mut fields);
        let bad =
            |column: usize, what: &str| lines.error(Some(names[column]), format!("{} {what}", shown(fields[column])));
        if count != plain.count {
            let names = names.join(match plain.separator {
                Separator::DoubleColon => "::",
                Separator::White => " ",
                Separator::Pipe => "|",
            });
            return Err(lines.error(None, format!("{count} fields where {} are wanted ({names})", plain.count)));
        }
        let user = integer(fields[0]).ok_or_else(|| bad(0, "is not an integer id"))?;
        let item = integer(fields[1]).ok_or_else(|| bad(1, "is not an integer id"))?;
        // A rating that is no number says that the file is damaged.
        let rating = match plain.rating {
            Some(place) => Some(finite(fields[place]).ok_or_else(|| bad(place, "is not a finite number"))?),
            None => None,
        };
        let time = match plain.time.filter(|_| !options.order_input) {
            Some(place) => {
                let moment = Moment::parse(fields[place]).ok_or_else(|| bad(place, WANTED))?;
                Some(clock.take(moment).map_err(|what| bad(place, &what))?)
            }
            None => None,
        };
        let (user, item) = (builder.users.integer(user), builder.items.integer(item));
        match (options.min_rating, rating) {
            (Some(_), None) => {
                return Err(lines.error(None, "--min-rating: the lines have no rating (user item rating time)"));
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

/// Appends the events of a table with named columns.
fn read_rows(file: &TableFile, opening: &Opening, clock: &mut FileClock, builder: &mut Builder) -> Result<()> {
    let Opening { form, options } = opening;
    let open = || rows::open(file, *form);
    let mut rows = open()?;
    let rows = rows.as_mut();
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
    if let Some(note) = rows.note() {
        builder.notes.about(&file.path, note);
    }
    let mut users = IdColumn::new("user", roles.user, options.missing_ids);
    let mut items = IdColumn::new("item", roles.item, options.missing_ids);

    while rows.advance()? {
        if builder.rows() >= MOST_ROWS {
            return Err(rows.error(None, format!("more than {MOST_ROWS} rows")));
        }
        if users.skips(rows, &mut builder.notes)? || items.skips(rows, &mut builder.notes)? {
            builder.left_out.missing += 1;
            continue;
        }
        let verdict = roles.judge(rows)?;
        let weight = roles.weight(rows)?;
        let time = roles.time.map(|field| take_time(rows, field, clock)).transpose()?;
        let (user_id, item_id) =
            (users.read(rows, &mut builder.users, &open)?, items.read(rows, &mut builder.items, &open)?);
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
    users.finish(&file.path, &mut builder.notes);
    items.finish(&file.path, &mut builder.notes);
    Ok(())
}

/// The time of the row read last.
pub(crate) fn take_time(rows: &dyn Rows, field: usize, clock: &mut FileClock) -> Result<i64> {
    let moment = rows.time(field)?;
    clock.take(moment).map_err(|what| {
        let text = rows.text(field).unwrap_or_default();
        rows.error(Some(field), format!("{} {what}", shown(text.as_bytes())))
    })
}

pub(crate) fn column_set(specs: &[FeatureSpec]) -> ColumnSet {
    ColumnSet::new(specs.iter().map(|spec| (spec.column.as_str(), spec.kind)))
}

/// Sets those columns of a row that have no value yet; a number is checked in every row.
pub(crate) fn fill(rows: &dyn Rows, columns: &mut [(String, ColumnBuilder)], places: &[usize], row: u32) -> Result<()> {
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
