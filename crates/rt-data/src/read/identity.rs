//! The column of users' or items' ids: words for none, and integers that were written as floats.

use super::options::MissingIds;
use super::rows::{RawId, Rows};
use crate::Result;
use crate::ids::Ids;
use crate::notes::Notes;
use std::path::Path;

/// The ids of one column of a file while it is read.
pub(crate) struct IdColumn {
    side: &'static str,
    pub(crate) field: usize,
    missing: MissingIds,
    /// Is every id of the column of the form `5.0`? Not known before the first one.
    whole: Option<bool>,
    /// Ids of that form that stay, and all others.
    floats: u64,
    others: u64,
}

impl IdColumn {
    pub(crate) fn new(side: &'static str, field: usize, missing: MissingIds) -> Self {
        Self { side, field, missing, whole: None, floats: 0, others: 0 }
    }

    /// Has the row read last no id here, so that it is to be left out?
    pub(crate) fn skips(&self, rows: &dyn Rows, notes: &mut Notes) -> Result<bool> {
        match rows.id(self.field)? {
            RawId::Text(text) if is_missing(&text) => {
                let kept = self.missing == MissingIds::Keep;
                notes.missing(self.side, &text, kept);
                Ok(!kept)
            }
            _ => Ok(false),
        }
    }

    /// The dense id of the row read last. `open` opens the table anew.
    pub(crate) fn read(
        &mut self,
        rows: &dyn Rows,
        ids: &mut Ids,
        open: &dyn Fn() -> Result<Box<dyn Rows>>,
    ) -> Result<u32> {
        let text = match rows.id(self.field)? {
            RawId::Integer(id) => {
                self.others += 1;
                return Ok(ids.integer(id));
            }
            RawId::Text(text) if is_missing(&text) => return Ok(ids.text(&text)),
            RawId::Text(text) => text,
        };
        let Some(integer) = whole_float(&text) else {
            self.others += 1;
            return Ok(ids.text(&text));
        };
        let whole = match self.whole {
            Some(whole) => whole,
            None => self.others == 0 && all_whole(open()?.as_mut(), self.field)?,
        };
        self.whole = Some(whole);
        if !whole {
            self.floats += 1;
        }
        Ok(ids.text(if whole { integer } else { &text }))
    }

    /// At the end of the file: what it did with ids that look like floats.
    pub(crate) fn finish(&self, file: &Path, notes: &mut Notes) {
        let side = self.side;
        if self.whole == Some(true) {
            notes
                .about(file, format!("{{}}: all ids of the column {side} are floats such as 5.0: read as integers, 5"));
        } else if self.floats > 0 {
            notes.about(
                file,
                format!("{{}}: some ids of the column {side} are floats such as 5.0 and others are not: all stay, 5.0 is not 5"),
            );
        }
    }
}

/// Words that programs write for a missing value.
pub(crate) fn is_missing(text: &str) -> bool {
    text.len() <= 4
        && (matches!(text, "" | "NA" | "N/A" | "#N/A" | "<NA>" | "None" | "\\N")
            || ["nan", "null"].iter().any(|word| text.eq_ignore_ascii_case(word)))
}

/// `5` of `5.0`.
fn whole_float(text: &str) -> Option<&str> {
    let integer = text.strip_suffix(".0")?;
    let digits = integer.strip_prefix('-').unwrap_or(integer);
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(integer)
}

/// Are all ids of a column, but for the missing ones, of the form `5.0`?
fn all_whole(rows: &mut dyn Rows, field: usize) -> Result<bool> {
    rows.select(&[field])?;
    while rows.advance()? {
        match rows.id(field)? {
            RawId::Text(text) if is_missing(&text) || whole_float(&text).is_some() => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_forms() {
        for word in ["", "NA", "nan", "NaN", "NULL", "null", "None", "N/A", "<NA>", "\\N"] {
            assert!(is_missing(word), "{word}");
        }
        for id in ["na", "none", "Nan A", "0", "nancy"] {
            assert!(!is_missing(id), "{id}");
        }
        assert_eq!((whole_float("5.0"), whole_float("-12.0")), (Some("5"), Some("-12")));
        for id in ["5", "5.00", ".0", "-.0", "a.0", "5.5", "1e3.0"] {
            assert_eq!(whole_float(id), None, "{id}");
        }
    }
}
