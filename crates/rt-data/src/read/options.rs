//! What a caller may say about a table of interactions.

use std::path::PathBuf;

use crate::columns::FeatureKind;
use crate::{Error, Result, TimeUnit};

/// A column that becomes a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureSpec {
    /// The column's name in the header.
    pub column: String,
    /// What it holds.
    pub kind: FeatureKind,
}

impl FeatureSpec {
    /// Reads `country`, `country:category`, `age:number`, `genres:bag` (separated by `|`) or `genres:bag;`; also the types of
    /// RecBole's files: `country:token`, `age:float`, `genres:token_seq` (separated by blanks).
    ///
    /// # Errors
    ///
    /// [`Error::Request`] if the name is empty or the kind is none of these.
    pub fn parse(text: &str) -> Result<Self> {
        let (column, kind) = text.rsplit_once(':').unwrap_or((text, "category"));
        let kind = match kind {
            "category" | "token" => FeatureKind::Category,
            "number" | "float" => FeatureKind::Number,
            "bag" => FeatureKind::Bag('|'),
            "token_seq" => FeatureKind::Bag(' '),
            _ => {
                let mut separator = kind.strip_prefix("bag").unwrap_or_default().chars();
                match (separator.next(), separator.next()) {
                    (Some(separator), None) => FeatureKind::Bag(separator),
                    _ => {
                        return Err(Error::Request(format!(
                            "feature `{text}`: `{kind}` is no kind; name:category, name:number, name:bag or name:bag; \
                             (any one separator) is wanted"
                        )));
                    }
                }
            }
        };
        if column.is_empty() {
            return Err(Error::Request(format!("feature `{text}`: the column's name is missing")));
        }
        Ok(Self { column: column.to_owned(), kind })
    }
}

/// What becomes of rows whose user or item has no id: an empty field, `NA`, `NaN`, `NULL`, `None` and the like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingIds {
    /// They are left out and counted ([`crate::LeftOut::missing`]).
    #[default]
    Drop,
    /// The word is an id like others: all such rows are of one user or item.
    Keep,
}

/// How to read a table of interactions. The MovieLens folders need none of it; `min_rating`, `order_input` and
/// `time_unit` hold for them too. A column is named as in the header, or by its number, from 1, where no column is called so.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadOptions {
    /// Column of the user's id; without it `user`, `user_id`, `userId`, `uid`, `reviewerID` are tried (case, `_`, `-`
    /// and blanks do not count).
    pub user_col: Option<String>,
    /// Column of the item's id; without it `item`, `item_id`, `iid`, `movie`, `movieId`, `product`, `product_id`,
    /// `asin`, `parent_asin`.
    pub item_col: Option<String>,
    /// Column of the time; without it `time`, `timestamp`, `ts`, `unix_time`, `unixReviewTime`; the data has no time if none
    /// is there. Numbers are seconds, milliseconds, microseconds, nanoseconds or `YYYYMMDD`, by the size of a file's values; text
    /// is ISO-8601, of UTC where it names no zone. All become whole seconds, rounded down.
    pub time_col: Option<String>,
    /// What the numbers of the time column count, where their size does not say it.
    pub time_unit: Option<TimeUnit>,
    /// The files have no header: columns go by number. Without names given, the first is the user, the second the item, and the
    /// first one behind them whose values are times is the time.
    pub no_header: bool,
    /// What becomes of rows without a user's or an item's id.
    pub missing_ids: MissingIds,
    /// Column of the item's title; without it `title`, if there.
    pub title_col: Option<String>,
    /// Columns that describe the user; the first filled value of a user counts.
    pub user_features: Vec<FeatureSpec>,
    /// Columns that describe the item; the first filled value of an item counts.
    pub item_features: Vec<FeatureSpec>,
    /// Columns that describe the moment of the request (a device); one value an event.
    pub context: Vec<FeatureSpec>,
    /// What separates fields; without it the tab in `.tsv` and `.tab`, else the most frequent of `,` tab `;` `|` in
    /// the header, else a blank.
    pub delimiter: Option<u8>,
    /// The lines are in order: times are not read, an event's time is its place among the user's events.
    pub order_input: bool,
    /// Column of the label: 0 = shown and not clicked (no positive; kept as an explicit negative), above 0 = clicked.
    pub label_col: Option<String>,
    /// Column of the weight of an example in the loss, at least 0.
    pub weight_col: Option<String>,
    /// Column of the rating; without it, where [`ReadOptions::min_rating`] asks for one, `rating`, `stars`, `overall`.
    pub rating_col: Option<String>,
    /// Column of the dwell time; without it, where [`ReadOptions::min_dwell`] asks for one, `dwell`, `dwell_time`,
    /// `watch_time`, `duration`.
    pub dwell_col: Option<String>,
    /// Column that says where an interaction came from (a page, a shop).
    pub source_col: Option<String>,
    /// Column of the impression: rows of one user with the same one were shown together.
    pub impression_col: Option<String>,
    /// A table of items beside the log: their columns ([`ReadOptions::item_features`]; without any, all that say something), titles
    /// (`title`, `name`), times of release, and items without an interaction, which can be recommended.
    pub item_table: Option<PathBuf>,
    /// A table of users beside the log, with their columns.
    pub user_table: Option<PathBuf>,
    /// Rows rated lower are no positives. MovieLens formats know their rating.
    pub min_rating: Option<f64>,
    /// Rows with a shorter dwell time are no positives; in the column's own unit.
    pub min_dwell: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feature_specs() {
        let kind = |text: &str| FeatureSpec::parse(text).map(|spec| (spec.column, spec.kind));
        assert_eq!(kind("country").unwrap(), ("country".into(), FeatureKind::Category));
        assert_eq!(kind("a:b:number").unwrap(), ("a:b".into(), FeatureKind::Number));
        assert_eq!(kind("genres:bag").unwrap(), ("genres".into(), FeatureKind::Bag('|')));
        assert_eq!(kind("age:float").unwrap(), ("age".into(), FeatureKind::Number));
        assert_eq!(kind("genres:token_seq").unwrap(), ("genres".into(), FeatureKind::Bag(' ')));
        assert_eq!(kind("genres:bag;").unwrap(), ("genres".into(), FeatureKind::Bag(';')));
        for bad in ["age:numbr", "genres:bag;;", ":number", ""] {
            let text = FeatureSpec::parse(bad).unwrap_err().to_string();
            assert!(text.starts_with(&format!("feature `{bad}`: ")), "{text}");
        }
    }
}
