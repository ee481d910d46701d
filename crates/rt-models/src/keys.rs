//! What configurations of flat keys share.

use crate::{Error, Result};
use std::collections::BTreeMap;

/// A TOML file's keys with their values as `--set` takes them.
pub(crate) fn toml_pairs(text: &str) -> Result<Vec<(String, String)>> {
    type Table = BTreeMap<String, serde_json::Value>;
    let table: Table = basic_toml::from_str(text).map_err(|e| Error::Config(e.to_string()))?;
    let show = |v: &serde_json::Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let pair = |(key, value): (String, serde_json::Value)| {
        let text = match value.as_array() {
            Some(list) => list.iter().map(show).collect::<Vec<_>>().join(","),
            None => show(&value),
        };
        (key, text)
    };
    Ok(table.into_iter().map(pair).collect())
}

/// The error for an unknown key.
pub(crate) fn unknown(key: &str, keys: &[(&str, &str)]) -> Error {
    let near = nearest(key, keys.iter().map(|(k, _)| *k));
    Error::Config(format!("unknown key `{key}`; the nearest is `{near}`"))
}

/// The name that is nearest to a word.
pub(crate) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> &'a str {
    names.min_by_key(|name| strsim::damerau_levenshtein(name, word)).unwrap_or("")
}
