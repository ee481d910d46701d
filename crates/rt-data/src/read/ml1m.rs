//! MovieLens 1M: `ratings.dat`, `users.dat`, `movies.dat`; `::` between fields, Latin-1, integer ids.

use std::path::Path;

use super::interactions::read_ratings;
use super::lines::{Lines, Separator, cut, latin1};
use super::movielens::{ITEM_FEATURES, add_item, add_user, side_id};
use super::options::ReadOptions;
use crate::Result;
use crate::builder::Builder;
use crate::columns::{ColumnSet, FeatureKind};
use crate::parse::{integer, shown};

pub(crate) fn read(folder: &Path, options: &ReadOptions, builder: &mut Builder) -> Result<()> {
    read_ratings(&folder.join("ratings.dat"), Separator::DoubleColon, options, builder)?;
    read_users(&folder.join("users.dat"), builder)?;
    read_items(&folder.join("movies.dat"), builder)
}

/// `user::gender::age::occupation::zip`; the age is a bucket's first year, the occupation a number.
fn read_users(path: &Path, builder: &mut Builder) -> Result<()> {
    let names = ["gender", "age", "occupation", "zip"];
    builder.user_columns = ColumnSet::new(names.map(|name| (name, FeatureKind::Category)));
    let mut lines = Lines::open(path)?;
    while lines.advance_filled()? {
        let mut fields = [b"".as_slice(); 5];
        let count = cut(lines.line(), Separator::DoubleColon, &mut fields);
        if count != 5 {
            let what = format!("{count} fields where 5 are wanted (user::gender::age::occupation::zip)");
            return Err(lines.error(None, what));
        }
        let id = side_id(&lines, "user", fields[0])?;
        for (field, column) in [(2, "age"), (3, "occupation")] {
            if integer(fields[field]).is_none() {
                return Err(lines.error(Some(column), format!("{} is not an integer", shown(fields[field]))));
            }
        }
        let texts = [1, 2, 3, 4].map(|field| latin1(fields[field]));
        let values = [0, 1, 2, 3].map(|field| texts[field].trim());
        add_user(builder, id, &values, |column, what| lines.error(Some(column), what))?;
    }
    Ok(())
}

/// `item::title::genre|genre`.
fn read_items(path: &Path, builder: &mut Builder) -> Result<()> {
    builder.item_columns = ColumnSet::new(ITEM_FEATURES);
    let mut lines = Lines::open(path)?;
    while lines.advance_filled()? {
        let mut fields = [b"".as_slice(); 3];
        let count = cut(lines.line(), Separator::DoubleColon, &mut fields);
        if count != 3 {
            return Err(lines.error(None, format!("{count} fields where 3 are wanted (item::title::genres)")));
        }
        let id = side_id(&lines, "item", fields[0])?;
        let (title, genres) = (latin1(fields[1]), latin1(fields[2]));
        let fail = |column: &str, what| lines.error(Some(column), what);
        add_item(builder, id, title.trim(), &genres, fail)?;
    }
    Ok(())
}
