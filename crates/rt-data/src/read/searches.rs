//! Files of searches: tables with the columns user, time and query.

use std::collections::HashSet;
use std::path::Path;

use super::interactions::take_time;
use super::paths::{self, TableFile};
use super::roles::{TIME_NAMES, USER_NAMES, required};
use super::rows::{self, RawId};
use super::table::{Cut, Form};
use crate::clock::FileClock;
use crate::searches::SearchBuilder;
use crate::{Dataset, Error, Result, Searches, TimeUnit};

const QUERY_NAMES: &[&str] = &["query", "search", "searchquery", "searchterm", "searchtext", "keywords", "q"];

/// How to read a table of searches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchOptions {
    /// Column of the user's id; without it the names that [`crate::ReadOptions::user_col`] tries.
    pub user_col: Option<String>,
    /// Column of the time; without it the names that [`crate::ReadOptions::time_col`] tries. Its unit is found as there.
    pub time_col: Option<String>,
    /// What the numbers of the time column count, where their size does not say it.
    pub time_unit: Option<TimeUnit>,
    /// Column of the query; without it `query`, `search`, `search_query`, `search_term`, `search_text`, `keywords`, `q`.
    pub query_col: Option<String>,
    /// What separates fields; without it as [`crate::ReadOptions::delimiter`].
    pub delimiter: Option<u8>,
}

/// Reads what the users of `data` searched for: a CSV, TSV or Parquet file (or several between commas, or a folder of them) with
/// a header, in any order of rows. Rows of users that the data does not know, and queries without a letter or digit, are counted in
/// [`Searches::left_out`].
///
/// # Errors
///
/// [`Error::Request`] where the data has no clock times, so that nobody can say which search came before an interaction; else as
/// [`crate::read`], with file and line for an empty id or query and a time that is none.
pub fn read_searches(path: &Path, options: &SearchOptions, data: &Dataset) -> Result<Searches> {
    if !data.has_clock() {
        let why = if data.event_time.is_empty() { "has no times" } else { "has times that are only an order" };
        return Err(Error::Request(format!(
            "searches {}: {} {why}, so nobody can say which search came before an interaction; clock times in both are \
             wanted",
            path.display(),
            data.name
        )));
    }
    let mut all = SearchBuilder::default();
    let mut strangers = HashSet::new();
    for path in paths::between_commas(path) {
        let meta = std::fs::metadata(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
        let tables = if meta.is_dir() { paths::tables_of(&path)? } else { vec![TableFile::alone(&path)] };
        if tables.is_empty() {
            let what = "the folder has no table of searches: .csv, .tsv, .tab, .jsonl or .parquet".into();
            return Err(Error::Format { path, what });
        }
        for table in &tables {
            read_rows(table, options, data, &mut all, &mut strangers)?;
        }
    }
    all.left_out.strangers = strangers.len() as u64;
    Ok(all.finish(data.users.rows()))
}

fn read_rows(
    file: &TableFile,
    options: &SearchOptions,
    data: &Dataset,
    all: &mut SearchBuilder,
    strangers: &mut HashSet<String>,
) -> Result<()> {
    let form = Form { cut: options.delimiter.map(Cut::Byte), no_header: false };
    let mut rows = rows::open(file, form)?;
    let rows = rows.as_mut();
    let user = required(rows, options.user_col.as_deref(), USER_NAMES, "user", "--search-user-col")?;
    let time = required(rows, options.time_col.as_deref(), TIME_NAMES, "time", "--search-time-col")?;
    let query = required(rows, options.query_col.as_deref(), QUERY_NAMES, "query", "--search-query-col")?;
    rows.select(&[user, time, query])?;
    let mut clock = FileClock::new(options.time_unit);
    let before = all.rows();
    while rows.advance()? {
        let raw = match rows.id(user)? {
            RawId::Integer(id) => id.to_string(),
            RawId::Text(text) if text.is_empty() => {
                return Err(rows.error(Some(user), "the user's id is empty".into()));
            }
            RawId::Text(text) => text.into_owned(),
        };
        let seconds = take_time(rows, time, &mut clock)?;
        let text = rows.text(query)?;
        if text.is_empty() {
            return Err(rows.error(Some(query), "the query is empty".into()));
        }
        match data.users.get(&raw) {
            Some(id) => all.add(id, seconds, &text),
            None => {
                all.left_out.of_strangers += 1;
                strangers.insert(raw);
            }
        }
        if u32::try_from(all.tokens() + Searches::MOST_TOKENS).is_err() {
            return Err(rows.error(None, "more than 2^32 - 1 words in all searches".into()));
        }
    }
    all.settle(&clock, before);
    Ok(())
}
