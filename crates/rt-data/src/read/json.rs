//! JSON Lines: one object a line, its keys the columns.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::lines::Lines;
use super::rows::{RawId, Rows};
use crate::clock::{Moment, WANTED};
use crate::parse::{finite, shown};
use crate::{Error, Result};

/// Objects whose keys are the columns; keys that later ones have beside them are no columns.
const SAMPLE: usize = 1000;

/// A file of objects read row by row. A key that an object does not have is an empty field.
pub(crate) struct JsonRows {
    lines: Lines,
    header: Vec<String>,
    /// By field.
    row: Vec<Value>,
}

impl JsonRows {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut lines = Lines::open(path)?;
        let mut known = HashSet::new();
        let mut header = Vec::new();
        let mut count = 0;
        while count < SAMPLE && lines.advance_filled()? {
            let new = object(&lines)?.into_iter().map(|(key, _)| key);
            header.extend(new.filter(|key| known.insert(key.clone())));
            count += 1;
        }
        Ok(Self { lines: Lines::open(path)?, row: vec![Value::Null; header.len()], header })
    }

    fn bad(&self, field: usize, what: &str) -> Error {
        let value = self.row[field].to_string();
        self.error(Some(field), format!("{} {what}", shown(value.trim_matches('"').as_bytes())))
    }
}

fn object(lines: &Lines) -> Result<Map<String, Value>> {
    match serde_json::from_slice(lines.line()) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(lines.error(None, "is no JSON object; one a line is wanted")),
        Err(e) => Err(lines.error(None, format!("is no JSON object: {e}"))),
    }
}

impl Rows for JsonRows {
    fn header(&self) -> &[String] {
        &self.header
    }

    fn column(&self, name: &str) -> Result<usize> {
        self.header.iter().position(|column| column == name).ok_or_else(|| {
            let known: String = self.header.join(", ").chars().take(300).collect();
            self.header_error(format!("no key `{name}`; the objects have: {known}"))
        })
    }

    fn header_error(&self, what: String) -> Error {
        self.lines.format(what)
    }

    fn select(&mut self, _: &[usize]) -> Result<Option<usize>> {
        Ok(None)
    }

    fn advance(&mut self) -> Result<bool> {
        if !self.lines.advance_filled()? {
            return Ok(false);
        }
        let mut object = object(&self.lines)?;
        for (key, value) in self.header.iter().zip(&mut self.row) {
            *value = object.remove(key).unwrap_or_default();
        }
        Ok(true)
    }

    fn id(&self, field: usize) -> Result<RawId<'_>> {
        match &self.row[field] {
            Value::Null => Ok(RawId::Text(Cow::Borrowed(""))),
            Value::String(text) => Ok(RawId::Text(Cow::Borrowed(text.trim()))),
            Value::Number(number) => match number.as_u64() {
                Some(id) => Ok(RawId::Integer(id)),
                None => Ok(RawId::Text(Cow::Owned(number.to_string()))),
            },
            _ => Err(self.bad(field, "is no id; a number or a text is wanted")),
        }
    }

    fn time(&self, field: usize) -> Result<Moment> {
        let moment = match &self.row[field] {
            Value::Number(number) => match number.as_i64() {
                Some(whole) => Some(Moment::Number { whole, fraction: false }),
                None => number.as_f64().and_then(Moment::float),
            },
            Value::String(text) => Moment::parse(text.trim().as_bytes()),
            _ => None,
        };
        moment.ok_or_else(|| self.bad(field, WANTED))
    }

    fn number(&self, field: usize) -> Result<Option<f64>> {
        let value = match &self.row[field] {
            Value::Null => return Ok(None),
            Value::Bool(value) => Some(f64::from(u8::from(*value))),
            Value::Number(number) => number.as_f64(),
            Value::String(text) if text.trim().is_empty() => return Ok(None),
            Value::String(text) => finite(text.trim().as_bytes()),
            _ => None,
        };
        value.map(Some).ok_or_else(|| self.bad(field, "is not a finite number"))
    }

    /// A list is the texts of its values between `|`, as bags have them.
    fn text(&self, field: usize) -> Result<Cow<'_, str>> {
        let plain = |value: &'_ Value| match value {
            Value::Null => Some(String::new()),
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
            _ => None,
        };
        let text = match &self.row[field] {
            Value::String(text) => return Ok(Cow::Borrowed(text.trim())),
            Value::Array(list) => list.iter().map(plain).collect::<Option<Vec<_>>>().map(|list| list.join("|")),
            value => plain(value),
        };
        text.map(Cow::Owned).ok_or_else(|| self.bad(field, "is nested; a text, a number or a list of them is wanted"))
    }

    fn error(&self, field: Option<usize>, what: String) -> Error {
        self.lines.error(field.map(|field| self.header[field].as_str()), what)
    }
}
