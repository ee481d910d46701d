//! What the MovieLens readers share: side files of users and items.

use super::lines::Lines;
use crate::builder::Builder;
use crate::columns::{ColumnSet, FeatureKind};
use crate::parse::{integer, shown, title_year};
use crate::{Error, Result};

/// Item features of every MovieLens format.
pub(crate) const ITEM_FEATURES: [(&str, FeatureKind); 2] =
    [("genres", FeatureKind::Bag('|')), ("year", FeatureKind::Category)];

/// Separator that no file can hold: genre names of ml-100k are joined with `|`, which they cannot contain.
pub(crate) const GENRE_JOIN: &str = "|";

/// An integer id of a side file.
pub(crate) fn side_id(lines: &Lines, column: &str, field: &[u8]) -> Result<u64> {
    integer(field).ok_or_else(|| lines.error(Some(column), format!("{} is not an integer id", shown(field))))
}

/// Enters a user's row; `values` in the order of `builder.user_columns`.
pub(crate) fn add_user(
    builder: &mut Builder,
    id: u64,
    values: &[&str],
    fail: impl Fn(&str, String) -> Error,
) -> Result<()> {
    let row = builder.users.integer(id);
    if !builder.user_columns.first(row) {
        return Err(fail("user", format!("the user {id} has a row already")));
    }
    fill(&mut builder.user_columns, row, values, fail)
}

/// Enters an item's row: title, genres, and the year out of the title.
pub(crate) fn add_item(
    builder: &mut Builder,
    id: u64,
    title: &str,
    genres: &str,
    fail: impl Fn(&str, String) -> Error,
) -> Result<()> {
    let row = builder.items.integer(id);
    if !builder.item_columns.first(row) {
        return Err(fail("item", format!("the item {id} has a row already")));
    }
    builder.set_title(row, title);
    let year = title_year(title).unwrap_or_default();
    fill(&mut builder.item_columns, row, &[genres, year], fail)
}

fn fill(columns: &mut ColumnSet, row: u32, values: &[&str], fail: impl Fn(&str, String) -> Error) -> Result<()> {
    for ((name, column), value) in columns.columns.iter_mut().zip(values) {
        column.set(row as usize, value).map_err(|what| fail(name, what))?;
    }
    Ok(())
}
