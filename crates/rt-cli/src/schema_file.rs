//! `--schema FILE.toml`: what the columns of a table mean, in a file instead of flags.

use crate::fail::{Done, Fail};
use rt_data::{FeatureSpec, MissingIds, ReadOptions, SearchOptions, TimeUnit};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// What the file says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct SchemaFile {
    pub options: ReadOptions,
    pub searches: SearchOptions,
    pub eval_source: Option<String>,
}

/// Keys that name a column.
const COLUMNS: [&str; 13] = [
    "user",
    "item",
    "time",
    "title",
    "label",
    "weight",
    "rating",
    "dwell",
    "source",
    "impression",
    "search_user",
    "search_time",
    "search_query",
];
/// The other keys, and the tables of features.
const OTHERS: [&str; 13] = [
    "min_rating",
    "min_dwell",
    "eval_source",
    "order",
    "delimiter",
    "time_unit",
    "header",
    "missing_ids",
    "item_table",
    "user_table",
    "user_features",
    "item_features",
    "context",
];

impl SchemaFile {
    pub(crate) fn open(path: &Path) -> Done<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Fail::user(format!("{}: {e}", path.display())))?;
        Self::parse(&text).map_err(|what| Fail::user(format!("{}{what}", path.display())))
    }

    /// Reads the text; an error begins with `, line N, key ...: ` or `: `.
    fn parse(text: &str) -> Result<Self, String> {
        let table: BTreeMap<String, Value> = basic_toml::from_str(text).map_err(|e| format!(": {e}"))?;
        let mut schema = Self::default();
        for (key, value) in &table {
            schema.set(text, key, value)?;
        }
        let needs = |have: bool, key: &str, other: &str| match have {
            true => Err(at(text, None, key, format!("is of no use without `{other}`"))),
            false => Ok(()),
        };
        let o = &schema.options;
        needs(o.rating_col.is_some() && o.min_rating.is_none(), "rating", "min_rating")?;
        needs(o.dwell_col.is_some() && o.min_dwell.is_none(), "dwell", "min_dwell")?;
        needs(o.impression_col.is_some() && o.label_col.is_none(), "impression", "label")?;
        Ok(schema)
    }

    fn set(&mut self, text: &str, key: &str, value: &Value) -> Result<(), String> {
        let fail = |what: String| at(text, None, key, what);
        let name = || match value.as_str() {
            Some("") | None => Err(fail(format!("`{value}`: a text between quotes is wanted"))),
            Some(name) => Ok(Some(name.to_owned())),
        };
        let number = || match value.as_f64() {
            Some(number) => Ok(Some(number)),
            None => Err(fail(format!("`{value}`: a number is wanted"))),
        };
        let (o, s) = (&mut self.options, &mut self.searches);
        match key {
            "search_user" => s.user_col = name()?,
            "search_time" => s.time_col = name()?,
            "search_query" => s.query_col = name()?,
            "user" => o.user_col = name()?,
            "item" => o.item_col = name()?,
            "time" => o.time_col = name()?,
            "title" => o.title_col = name()?,
            "label" => o.label_col = name()?,
            "weight" => o.weight_col = name()?,
            "rating" => o.rating_col = name()?,
            "dwell" => o.dwell_col = name()?,
            "source" => o.source_col = name()?,
            "impression" => o.impression_col = name()?,
            "min_rating" => o.min_rating = number()?,
            "min_dwell" => o.min_dwell = number()?,
            "eval_source" => self.eval_source = name()?,
            "order" => match value.as_str() {
                Some("input") => o.order_input = true,
                _ => return Err(fail(format!("{value}: \"input\" is wanted, or leave it out"))),
            },
            "delimiter" => match value.as_str().map(str::as_bytes) {
                Some([byte]) => o.delimiter = Some(*byte),
                _ => return Err(fail(format!("{value}: one character is wanted"))),
            },
            "time_unit" => {
                let unit = name()?.unwrap_or_default();
                o.time_unit = Some(TimeUnit::parse(&unit).map_err(|e| fail(e.to_string()))?);
            }
            "item_table" => o.item_table = name()?.map(Into::into),
            "user_table" => o.user_table = name()?.map(Into::into),
            "header" => match value.as_bool() {
                Some(header) => o.no_header = !header,
                None => return Err(fail(format!("{value}: true or false is wanted"))),
            },
            "missing_ids" => match value.as_str() {
                Some("drop") => o.missing_ids = MissingIds::Drop,
                Some("keep") => o.missing_ids = MissingIds::Keep,
                _ => return Err(fail(format!("{value}: \"drop\" or \"keep\" is wanted"))),
            },
            "user_features" => o.user_features = features(text, key, value)?,
            "item_features" => o.item_features = features(text, key, value)?,
            "context" => o.context = features(text, key, value)?,
            _ => {
                let known = COLUMNS.iter().chain(&OTHERS);
                let near = known.min_by_key(|known| strsim::damerau_levenshtein(known, key)).unwrap_or(&"user");
                return Err(fail(format!("there is no such key; the nearest is `{near}`")));
            }
        }
        Ok(())
    }
}

/// `[user_features]` with `column = "category"`, `"number"`, `"bag"` or `"bag;"` (any one separator), in the order of names.
fn features(text: &str, section: &str, value: &Value) -> Result<Vec<FeatureSpec>, String> {
    let Some(columns) = value.as_object() else {
        return Err(at(
            text,
            None,
            section,
            format!("`{value}`: a table is wanted: [{section}], then column = \"kind\""),
        ));
    };
    let spec = |(column, kind): (&String, &Value)| {
        let Some(kind) = kind.as_str() else {
            return Err(at(
                text,
                Some(section),
                column,
                format!("`{kind}`: \"category\", \"number\" or \"bag\" is wanted"),
            ));
        };
        FeatureSpec::parse(&format!("{column}:{kind}")).map_err(|e| at(text, Some(section), column, e.to_string()))
    };
    columns.iter().map(spec).collect()
}

/// `, line N, key `k`: what`; the line is found again, because a parsed table does not know it.
fn at(text: &str, section: Option<&str>, key: &str, what: String) -> String {
    let mut inside: Option<String> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.split(']').next()) {
            inside = Some(name.trim().to_owned());
            if section.is_none() && name.trim() == key {
                return format!(", line {}, key `{key}`: {what}", number + 1);
            }
        }
        let own = line.split('=').next().unwrap_or_default().trim().trim_matches(['"', '\'']);
        if inside.as_deref() == section && line.contains('=') && own == key {
            return format!(", line {}, key `{key}`: {what}", number + 1);
        }
    }
    format!(", key `{key}`: {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_sets_its_option() {
        let text = "user = \"u\" # who\nitem = 'i'\ntime = \"t\"\ntitle = \"n\"\nlabel = \"l\"\nweight = \"w\"\nrating = \"r\"\n\
                    dwell = \"d\"\nsource = \"s\"\nimpression = \"m\"\nmin_rating = 4\nmin_dwell = 2.5\neval_source = \"home\"\n\
                    order = \"input\"\ndelimiter = \";\"\ntime_unit = \"ms\"\nheader = false\nmissing_ids = \"keep\"\nitem_table = \"it\"\nuser_table = \"ut\"\n[user_features]\nage = \"number\"\n\"a b\" = \"category\"\n\
                    [item_features]\ngenres = \"bag,\"\n[context]\ndevice = \"category\"\n";
        let text = &format!("search_user = \"su\"\nsearch_time = \"st\"\nsearch_query = \"sq\"\n{text}");
        let schema = SchemaFile::parse(text).unwrap();
        let spec = |text: &str| FeatureSpec::parse(text).unwrap();
        let col = |name: &str| Some(name.to_owned());
        let want = ReadOptions {
            user_col: col("u"),
            item_col: col("i"),
            time_col: col("t"),
            title_col: col("n"),
            label_col: col("l"),
            weight_col: col("w"),
            rating_col: col("r"),
            dwell_col: col("d"),
            source_col: col("s"),
            impression_col: col("m"),
            min_rating: Some(4.0),
            min_dwell: Some(2.5),
            order_input: true,
            delimiter: Some(b';'),
            time_unit: Some(TimeUnit::Milliseconds),
            no_header: true,
            missing_ids: MissingIds::Keep,
            item_table: Some("it".into()),
            user_table: Some("ut".into()),
            user_features: vec![spec("a b"), spec("age:number")],
            item_features: vec![spec("genres:bag,")],
            context: vec![spec("device")],
        };
        let searches = SearchOptions {
            user_col: col("su"),
            time_col: col("st"),
            query_col: col("sq"),
            ..SearchOptions::default()
        };
        assert_eq!(schema, SchemaFile { options: want, searches, eval_source: col("home") });
        for key in COLUMNS.iter().chain(&OTHERS) {
            assert!(text.lines().any(|line| line.starts_with(key) || line == format!("[{key}]")), "{key} is not tried");
        }
    }

    #[test]
    fn errors_name_line_and_key() {
        let error = |text: &str| SchemaFile::parse(text).unwrap_err();
        assert_eq!(
            error("user = \"u\"\n\nitme = \"i\"\n"),
            ", line 3, key `itme`: there is no such key; the nearest is `item`"
        );
        assert_eq!(error("user = 3\n"), ", line 1, key `user`: `3`: a text between quotes is wanted");
        assert_eq!(
            error("label = \"l\"\nmin_rating = \"four\""),
            ", line 2, key `min_rating`: `\"four\"`: a number is wanted"
        );
        assert_eq!(
            error("time = \"t\"\n[context]\ntime = \"categry\"\n"),
            ", line 3, key `time`: feature `time:categry`: `categry` is no kind; name:category, name:number, name:bag or \
             name:bag; (any one separator) is wanted"
        );
        assert_eq!(
            error("context = [\"device\"]"),
            ", line 1, key `context`: `[\"device\"]`: a table is wanted: [context], then column = \"kind\""
        );
        assert_eq!(error("\nrating = \"r\""), ", line 2, key `rating`: is of no use without `min_rating`");
        assert_eq!(error("impression = \"r\""), ", line 1, key `impression`: is of no use without `label`");
        assert!(error("user = = 4").contains("line 1"), "{}", error("user = = 4"));
    }
}
