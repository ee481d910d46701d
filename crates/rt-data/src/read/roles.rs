//! What the columns of a table of interactions mean, and which of its rows are positives.

use super::headless;
use super::options::ReadOptions;
use super::rows::Rows;
use crate::{Error, Result};

pub(crate) const USER_NAMES: &[&str] = &["user", "userid", "uid", "reviewerid"];
pub(crate) const ITEM_NAMES: &[&str] =
    &["item", "itemid", "iid", "movie", "movieid", "product", "productid", "asin", "parentasin"];
pub(crate) const TIME_NAMES: &[&str] = &["time", "timestamp", "ts", "unixtime", "unixreviewtime"];
pub(crate) const TITLE_NAMES: &[&str] = &["title"];
const RATING_NAMES: &[&str] = &["rating", "stars", "overall"];
const DWELL_NAMES: &[&str] = &["dwell", "dwelltime", "watchtime", "duration"];

/// Places of the columns.
#[derive(Debug)]
pub(crate) struct Roles {
    pub(crate) user: usize,
    pub(crate) item: usize,
    pub(crate) time: Option<usize>,
    pub(crate) title: Option<usize>,
    pub(crate) weight: Option<usize>,
    pub(crate) source: Option<usize>,
    pub(crate) impression: Option<usize>,
    label: Option<usize>,
    /// The column and the least value of a positive.
    rating: Option<(usize, f64)>,
    dwell: Option<(usize, f64)>,
}

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// An interaction.
    Positive,
    /// Shown and not clicked.
    Shown,
    /// Rated too low.
    Rating,
    /// Looked at for too short a time.
    Dwell,
}

impl Roles {
    pub(crate) fn find(rows: &dyn Rows, options: &ReadOptions) -> Result<Self> {
        let named = |name: &Option<String>| name.as_deref().map(|name| rows.column(name)).transpose();
        let least = |least: Option<f64>, name: &Option<String>, names, what: &str, option: &str| match least {
            Some(least) => Ok(Some((required(rows, name.as_deref(), names, what, option)?, least))),
            None => Ok(None),
        };
        Ok(Self {
            user: required(rows, options.user_col.as_deref(), USER_NAMES, "user", "--user-col")?,
            item: required(rows, options.item_col.as_deref(), ITEM_NAMES, "item", "--item-col")?,
            time: match options.order_input {
                true => None,
                false => optional(rows, options.time_col.as_deref(), TIME_NAMES)?,
            },
            title: optional(rows, options.title_col.as_deref(), TITLE_NAMES)?,
            weight: named(&options.weight_col)?,
            source: named(&options.source_col)?,
            impression: named(&options.impression_col)?,
            label: named(&options.label_col)?,
            rating: least(options.min_rating, &options.rating_col, RATING_NAMES, "rating", "--rating-col")?,
            dwell: least(options.min_dwell, &options.dwell_col, DWELL_NAMES, "dwell time", "--dwell-col")?,
        })
    }

    /// All places.
    pub(crate) fn fields(&self) -> Vec<usize> {
        let least = |column: Option<(usize, f64)>| column.map(|(field, _)| field);
        let others = [self.time, self.title, self.weight, self.source, self.impression, self.label];
        let others = others.into_iter().chain([least(self.rating), least(self.dwell)]).flatten();
        [self.user, self.item].into_iter().chain(others).collect()
    }

    /// Is the row read last a positive? A label of 0 says that the item was shown and not clicked, whatever else.
    pub(crate) fn judge(&self, rows: &dyn Rows) -> Result<Verdict> {
        let value = |field: usize, what: &str| -> Result<f64> {
            rows.number(field)?.ok_or_else(|| rows.error(Some(field), format!("the {what} is missing")))
        };
        if let Some(field) = self.label {
            match value(field, "label")? {
                0.0 => return Ok(Verdict::Shown),
                label if label > 0.0 => {}
                label => {
                    let what = format!("`{label}` is no label; 0 (shown, not clicked) or above 0 is wanted");
                    return Err(rows.error(Some(field), what));
                }
            }
        }
        // Both are looked at in every row: one that is no number says that the file is damaged.
        let low = |column: Option<(usize, f64)>, what: &str| match column {
            Some((field, least)) => value(field, what).map(|value| value < least),
            None => Ok(false),
        };
        let (rating, dwell) = (low(self.rating, "rating")?, low(self.dwell, "dwell time")?);
        Ok(match (rating, dwell) {
            (true, _) => Verdict::Rating,
            (_, true) => Verdict::Dwell,
            _ => Verdict::Positive,
        })
    }

    /// The row's weight; 1 where there is no such column.
    pub(crate) fn weight(&self, rows: &dyn Rows) -> Result<f32> {
        let Some(field) = self.weight else { return Ok(1.0) };
        let bad = |what: String| rows.error(Some(field), format!("{what}; a number of at least 0 is wanted"));
        match rows.number(field)? {
            Some(weight) if weight >= 0.0 && weight <= f64::from(f32::MAX) => Ok(weight as f32),
            Some(weight) => Err(bad(format!("`{weight}` is no weight"))),
            None => Err(bad("the weight is missing".into())),
        }
    }
}

/// A name without what does not count in it: case, `_`, `-`, blanks.
pub(crate) fn bare(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

fn optional(rows: &dyn Rows, given: Option<&str>, names: &[&str]) -> Result<Option<usize>> {
    if let Some(name) = given {
        return rows.column(name).map(Some);
    }
    let header: Vec<String> = rows.header().iter().map(|name| bare(name)).collect();
    let found = names.iter().find_map(|&name| header.iter().position(|column| column == name));
    // By its full name again, so that one that stands there twice is an error.
    found.map(|place| rows.column(&rows.header()[place])).transpose()
}

pub(crate) fn required(
    rows: &dyn Rows,
    given: Option<&str>,
    names: &[&str],
    what: &str,
    option: &str,
) -> Result<usize> {
    optional(rows, given, names)?.ok_or_else(|| {
        if let Some(error) = headless::hint(rows, what) {
            return error;
        }
        let known: String = rows.header().join(", ").chars().take(300).collect();
        let name = names[0];
        rows.header_error(format!(
            "no column for the {what}: the header has {known}; rename one to `{name}` or name it (`{option}`)"
        ))
    })
}

impl ReadOptions {
    /// Is a column named, or a feature asked for, so that lines without a header are read as a table?
    pub(crate) fn names_columns(&self) -> bool {
        let columns = [
            &self.user_col,
            &self.item_col,
            &self.time_col,
            &self.title_col,
            &self.label_col,
            &self.weight_col,
            &self.rating_col,
            &self.dwell_col,
            &self.source_col,
            &self.impression_col,
        ];
        let features = [&self.user_features, &self.item_features, &self.context];
        columns.iter().any(|column| column.is_some()) || features.iter().any(|specs| !specs.is_empty())
    }

    /// Formats without named columns know the rating alone.
    pub(crate) fn without_header(&self, path: &std::path::Path) -> Result<()> {
        let named = [
            ("--label-col", &self.label_col),
            ("--weight-col", &self.weight_col),
            ("--rating-col", &self.rating_col),
            ("--dwell-col", &self.dwell_col),
            ("--source-col", &self.source_col),
            ("--impression-col", &self.impression_col),
        ];
        let given = named.iter().find(|(_, name)| name.is_some()).map(|(option, _)| *option);
        match given.or(self.min_dwell.map(|_| "--min-dwell")) {
            Some(option) => Err(Error::Format {
                path: path.to_owned(),
                what: format!("{option}: the format has no such column; a table with a header is wanted"),
            }),
            None => Ok(()),
        }
    }
}
