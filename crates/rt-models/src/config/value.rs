//! Values of settings as text.

use super::choices::Hidden;
use crate::select::Select;
use crate::{Error, Result};

pub(crate) trait Value: Sized {
    fn parse(key: &str, text: &str) -> Result<Self>;
    fn show(&self) -> String;
    /// Fails for what no text gives, such as NaN in a field.
    fn check(&self, key: &str) -> Result<()> {
        let _ = key;
        Ok(())
    }
}

pub(crate) fn bad(key: &str, text: &str, want: &str) -> Error {
    Error::Config(format!("`{key} = {text}`: has to be {want}"))
}

/// The widest embedding, and the widest vector.
pub(super) const MOST_WIDE: usize = 4096;

/// Counts that follow from the data where they are 0, which is written `auto`: none of them can be 0.
const BY_DATA: [&str; 3] = ["epochs", "batch", "patience"];

/// The text of a value to be read: 0 for `auto` of [`BY_DATA`], whose own 0 is refused.
pub(super) fn without_auto<'a>(key: &str, text: &'a str) -> Result<&'a str> {
    match text {
        _ if !BY_DATA.contains(&key) => Ok(text),
        "auto" => Ok("0"),
        text if text.parse() == Ok(0) => Err(bad(key, text, "at least 1, or auto")),
        text => Ok(text),
    }
}

/// The other way round.
pub(super) fn with_auto(key: &str, shown: String) -> String {
    if shown == "0" && BY_DATA.contains(&key) { "\"auto\"".into() } else { shown }
}

impl Value for usize {
    fn parse(key: &str, text: &str) -> Result<Self> {
        text.parse().map_err(|_| bad(key, text, "a whole number"))
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for f32 {
    fn parse(key: &str, text: &str) -> Result<Self> {
        let value: Option<f32> = text.parse().ok().filter(|x: &f32| x.is_finite());
        value.ok_or_else(|| bad(key, text, "a number"))
    }
    fn show(&self) -> String {
        format!("{self:?}")
    }
    fn check(&self, key: &str) -> Result<()> {
        if self.is_finite() { Ok(()) } else { Err(bad(key, &self.show(), "a number")) }
    }
}

/// A number, or `auto`: by the rule that the key's documentation states.
impl Value for Option<f32> {
    fn parse(key: &str, text: &str) -> Result<Self> {
        if text == "auto" { Ok(None) } else { f32::parse(key, text).map(Some) }
    }
    fn check(&self, key: &str) -> Result<()> {
        self.map_or(Ok(()), |x| x.check(key))
    }
    fn show(&self) -> String {
        self.map_or_else(|| "\"auto\"".into(), |x| x.show())
    }
}

/// A whole number, or `auto`: by the rule that the key's documentation states.
impl Value for Option<usize> {
    fn parse(key: &str, text: &str) -> Result<Self> {
        if text == "auto" { Ok(None) } else { usize::parse(key, text).map(Some) }
    }
    fn show(&self) -> String {
        self.map_or_else(|| "\"auto\"".into(), |x| x.show())
    }
}

/// Yes or no, or `auto`: by the rule that the key's documentation states.
impl Value for Option<bool> {
    fn parse(key: &str, text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(None),
            text => bool::parse(key, text).map(Some).map_err(|_| bad(key, text, "true, false or auto")),
        }
    }
    fn show(&self) -> String {
        self.map_or_else(|| "\"auto\"".into(), |x| x.show())
    }
}

/// A list of whole numbers, or `auto`: by the rule that the key's documentation states.
impl Value for Option<Vec<usize>> {
    fn parse(key: &str, text: &str) -> Result<Self> {
        if text == "auto" { Ok(None) } else { Vec::parse(key, text).map(Some) }
    }
    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "\"auto\"".into(), Value::show)
    }
}

/// An activation, or `none`.
impl Value for Option<Hidden> {
    fn parse(key: &str, text: &str) -> Result<Self> {
        match text {
            "none" => Ok(None),
            text => Hidden::parse(key, text).map(Some).map_err(|e| match e {
                Error::Config(what) => Error::Config(what.replace("one of", "one of none")),
                e => e,
            }),
        }
    }
    fn show(&self) -> String {
        self.map_or_else(|| "\"none\"".into(), |hidden| hidden.show())
    }
}

/// Columns with their widths, such as `item_id=16,genre=8`.
impl Value for Vec<(String, usize)> {
    fn parse(key: &str, text: &str) -> Result<Self> {
        let pair = |part: &str| {
            // A name may hold `=`, a width may not.
            let (name, width) = part.rsplit_once('=')?;
            Some((name.trim().to_owned(), width.trim().parse().ok()?))
        };
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let want = "columns and widths between commas, such as item_id=16,genre=8";
        let all: Self = parts.map(pair).collect::<Option<_>>().ok_or_else(|| bad(key, text, want))?;
        all.check(key)?;
        Ok(all)
    }
    fn check(&self, key: &str) -> Result<()> {
        for (i, (name, width)) in self.iter().enumerate() {
            if name.is_empty() || name.contains(',') || !(1..=MOST_WIDE).contains(width) {
                let want = format!("a column's name without commas, `=` and a width from 1 to {MOST_WIDE}");
                return Err(bad(key, &format!("{name}={width}"), &want));
            }
            if self[..i].iter().any(|(before, _)| before == name) {
                return Err(bad(key, &format!("{name}={width}"), "given once for each column"));
            }
        }
        Ok(())
    }
    fn show(&self) -> String {
        let all: Vec<String> = self.iter().map(|(name, width)| format!("{name}={width}")).collect();
        all.join(",").show()
    }
}

impl Value for Select {
    fn parse(key: &str, text: &str) -> Result<Self> {
        Self::parse(text).ok_or_else(|| bad(key, text, &Self::wanted()))
    }
    fn show(&self) -> String {
        format!("\"{}\"", self.name())
    }
}

impl Value for bool {
    fn parse(key: &str, text: &str) -> Result<Self> {
        match text {
            "true" | "on" | "1" => Ok(true),
            "false" | "off" | "0" => Ok(false),
            _ => Err(bad(key, text, "true or false")),
        }
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for String {
    fn parse(_: &str, text: &str) -> Result<Self> {
        Ok(text.to_owned())
    }
    fn show(&self) -> String {
        format!("{self:?}")
    }
}

impl Value for Vec<usize> {
    fn parse(key: &str, text: &str) -> Result<Self> {
        let inner = text.trim().trim_start_matches('[').trim_end_matches(']').trim();
        if inner.is_empty() {
            return Ok(Vec::new());
        }
        let number = |part: &str| match part.trim() {
            "all" => Ok(usize::MAX),
            part => part.parse().map_err(|_| bad(key, text, "whole numbers between commas, such as 1,5,50")),
        };
        inner.split(',').map(number).collect()
    }
    fn show(&self) -> String {
        let all: Vec<String> =
            self.iter().map(|n| if *n == usize::MAX { "\"all\"".into() } else { n.to_string() }).collect();
        format!("[{}]", all.join(", "))
    }
}
