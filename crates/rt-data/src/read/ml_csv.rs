//! MovieLens as CSV (`ml-latest*`, `ml-20m`, `ml-25m`, `ml-32m`): `ratings.csv` and `movies.csv`.

use std::path::Path;

use super::interactions::take_time;
use super::movielens::{ITEM_FEATURES, add_item};
use super::options::ReadOptions;
use super::roles::Verdict;
use super::table::{Cut, Form, Table};
use crate::Result;
use crate::builder::Builder;
use crate::clock::FileClock;
use crate::columns::ColumnSet;
use crate::parse::{finite, integer};

const COMMAS: Form = Form { cut: Some(Cut::Byte(b',')), no_header: false };

/// Is a `ratings.csv` that of MovieLens? Other data has files of that name too.
pub(crate) fn is_movielens(folder: &Path) -> bool {
    let header = |file: &str| Table::open(&folder.join(file), COMMAS).map(|table| table.header().to_vec());
    let has = |file: &str, columns: &[&str]| {
        header(file).is_ok_and(|header| columns.iter().all(|column| header.iter().any(|name| name == column)))
    };
    has("ratings.csv", &["userId", "movieId"]) && has("movies.csv", &["movieId", "title", "genres"])
}

pub(crate) fn read(folder: &Path, options: &ReadOptions, builder: &mut Builder) -> Result<()> {
    read_ratings(&folder.join("ratings.csv"), options, builder)?;
    read_items(&folder.join("movies.csv"), builder)
}

fn id(table: &Table, field: usize) -> Result<u64> {
    integer(table.bytes(field)).ok_or_else(|| table.bad_field(field, "is not an integer id"))
}

fn read_ratings(path: &Path, options: &ReadOptions, builder: &mut Builder) -> Result<()> {
    options.without_header(path)?;
    let mut table = Table::open(path, COMMAS)?;
    let (user, item) = (table.column("userId")?, table.column("movieId")?);
    let (rating, time) = (table.column("rating")?, table.column("timestamp")?);
    let mut clock = FileClock::new(options.time_unit);
    while table.advance()? {
        let (user_id, item_id) = (id(&table, user)?, id(&table, item)?);
        let Some(stars) = finite(table.bytes(rating)) else {
            return Err(table.bad_field(rating, "is not a finite number"));
        };
        let seconds = match options.order_input {
            true => None,
            false => Some(take_time(&table, time, &mut clock)?),
        };
        let (user_id, item_id) = (builder.users.integer(user_id), builder.items.integer(item_id));
        if options.min_rating.is_some_and(|least| stars < least) {
            builder.leave_out(Verdict::Rating, user_id, item_id, seconds, None);
            continue;
        }
        builder.time.extend(seconds);
        builder.user.push(user_id);
        builder.item.push(item_id);
    }
    builder.settle(path, &clock, 0, 0);
    Ok(())
}

fn read_items(path: &Path, builder: &mut Builder) -> Result<()> {
    builder.item_columns = ColumnSet::new(ITEM_FEATURES);
    let mut table = Table::open(path, COMMAS)?;
    let (item, title, genres) = (table.column("movieId")?, table.column("title")?, table.column("genres")?);
    while table.advance()? {
        let item_id = id(&table, item)?;
        let own = table.text(genres);
        let own = if own == "(no genres listed)" { "" } else { own.as_ref() };
        let place = |column: &str| match column {
            "item" => item,
            "genres" => genres,
            _ => title,
        };
        let fail = |column: &str, what| table.error(Some(place(column)), what);
        add_item(builder, item_id, &table.text(title), own, fail)?;
    }
    Ok(())
}
