//! MovieLens as CSV (`ml-latest*`, `ml-20m`, `ml-25m`, `ml-32m`): `ratings.csv` and `movies.csv`.

use std::path::Path;

use super::movielens::{ITEM_FEATURES, add_item};
use super::options::ReadOptions;
use super::roles::Verdict;
use super::table::Table;
use crate::Result;
use crate::builder::Builder;
use crate::columns::ColumnSet;
use crate::parse::{finite, integer, seconds};

pub(crate) fn read(folder: &Path, options: &ReadOptions, builder: &mut Builder) -> Result<()> {
    read_ratings(&folder.join("ratings.csv"), options, builder)?;
    read_items(&folder.join("movies.csv"), builder)
}

fn id(table: &Table, field: usize) -> Result<u64> {
    integer(table.bytes(field)).ok_or_else(|| table.bad_field(field, "is not an integer id"))
}

fn read_ratings(path: &Path, options: &ReadOptions, builder: &mut Builder) -> Result<()> {
    options.without_header(path)?;
    let mut table = Table::open(path, Some(b','))?;
    let (user, item) = (table.column("userId")?, table.column("movieId")?);
    let (rating, time) = (table.column("rating")?, table.column("timestamp")?);
    while table.advance()? {
        let (user_id, item_id) = (id(&table, user)?, id(&table, item)?);
        let Some(stars) = finite(table.bytes(rating)) else {
            return Err(table.bad_field(rating, "is not a finite number"));
        };
        let seconds = match options.order_input {
            true => None,
            false => {
                let value = seconds(table.bytes(time));
                Some(value.ok_or_else(|| table.bad_field(time, "is not a whole number of seconds"))?)
            }
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
    Ok(())
}

fn read_items(path: &Path, builder: &mut Builder) -> Result<()> {
    builder.item_columns = ColumnSet::new(ITEM_FEATURES);
    let mut table = Table::open(path, Some(b','))?;
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
