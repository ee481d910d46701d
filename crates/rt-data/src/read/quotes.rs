//! Quotes of tables: where a quoted field ends, which lines an open quote should not have taken in, and the fields of one line.

use super::table::Shape;
use crate::clock::Moment;
use crate::{Error, Result};

/// Where a quoted field ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    /// On this line, before a delimiter or its end: the place of the quote.
    Here(usize),
    /// Not on this line.
    Later,
    /// Text stands behind a closing quote.
    Never,
}

impl Close {
    /// Looks at `line` from `place`, which lies inside of a quoted field.
    pub(crate) fn find(line: &[u8], mut place: usize, delimiter: u8, backslash: bool) -> Self {
        loop {
            match line.get(place..).unwrap_or_default() {
                [b'\\', b'"' | b'\\', ..] if backslash => place += 2,
                [b'"', b'"', ..] => place += 2,
                [b'"', next, ..] if *next != delimiter => return Self::Never,
                [b'"', ..] => return Self::Here(place),
                [_, ..] => place += 1,
                [] => return Self::Later,
            }
        }
    }
}

/// Number of fields of a line without regard to quotes.
pub(crate) fn fields_of(line: &[u8], delimiter: u8) -> usize {
    1 + line.iter().filter(|&&byte| byte == delimiter).count()
}

/// Does a line that an open quote takes in end the quoted field before its first delimiter? Then it says nothing: what stands behind
/// the quote is the rest of the row.
pub(crate) fn only_ends(line: &[u8], delimiter: u8, backslash: bool) -> bool {
    match Close::find(line, 0, delimiter, backslash) {
        Close::Here(place) => !line[..place].contains(&delimiter),
        _ => false,
    }
}

/// Are `fields`, read without regard to quotes, those of the columns of `shapes`? `Some(true)`: as many, and numbers where all rows
/// have them. `Some(false)`: as many, and no column that would say more. `None`: no.
pub(crate) fn look_like<'a>(fields: impl Iterator<Item = &'a [u8]>, shapes: &[Shape], rows: u64) -> Option<bool> {
    let known = rows > 0 && shapes.iter().any(|shape| shape.numbers);
    let mut count = 0;
    for field in fields {
        let shape = shapes.get(count)?;
        let value = field.trim_ascii();
        let number = value.is_empty() || Moment::parse(value).is_some();
        if rows > 0 && (shape.flush && field.starts_with(b" ") || shape.numbers && !number) {
            return None;
        }
        count += 1;
    }
    (count == shapes.len() && count > 0).then_some(known)
}

/// The fields of one line of CSV: between commas, quoted where they hold commas or quotes themselves.
///
/// ```
/// assert_eq!(rt_data::csv_fields(r#"5, "a,b" ,-9"#)?, ["5", "a,b", "-9"]);
/// # Ok::<(), rt_data::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Request`] for a quote that is not closed, or has text behind it.
pub fn csv_fields(line: &str) -> Result<Vec<String>> {
    let fail = |what: &str| Error::Request(format!("`{line}`: {what}; a quote inside a quoted field is doubled"));
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let start = rest.trim_start();
        let Some(mut quoted) = start.strip_prefix('"') else {
            let (field, behind) = rest.split_once(',').map_or((rest, None), |(field, behind)| (field, Some(behind)));
            fields.push(field.trim().to_owned());
            match behind {
                Some(behind) => rest = behind,
                None => return Ok(fields),
            }
            continue;
        };
        let mut field = String::new();
        loop {
            let (text, behind) = quoted.split_once('"').ok_or_else(|| fail("a quote is opened and never closed"))?;
            field += text;
            match behind.strip_prefix('"') {
                Some(more) => {
                    field.push('"');
                    quoted = more;
                }
                None => {
                    quoted = behind;
                    break;
                }
            }
        }
        fields.push(field);
        match quoted.trim_start() {
            "" => return Ok(fields),
            behind => rest = behind.strip_prefix(',').ok_or_else(|| fail("text after a closing quote"))?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_line() {
        for (line, wanted) in [
            ("", &[""][..]),
            ("5,9", &["5", "9"]),
            (" 5 ,, \"\"", &["5", "", ""]),
            ("\"a \"\"b\"\", c\",d e", &["a \"b\", c", "d e"]),
            ("a\"b,c", &["a\"b", "c"]),
        ] {
            assert_eq!(csv_fields(line).unwrap(), wanted, "{line}");
        }
        for (line, wanted) in [("\"a", "never closed"), ("\"a\"b,c", "text after a closing quote")] {
            assert!(csv_fields(line).unwrap_err().to_string().contains(wanted), "{line}");
        }
    }

    #[test]
    fn lines_that_are_rows() {
        let shape = |numbers, flush| Shape { numbers, flush };
        let shapes = [shape(true, true), shape(false, true), shape(true, true)];
        let look = |line: &str, rows| look_like(line.as_bytes().split(|byte| *byte == b','), &shapes, rows);
        assert_eq!(
            (look("1,x,2", 9), look("1,x,", 9), look("1,x,2020-01-01", 9)),
            (Some(true), Some(true), Some(true))
        );
        assert_eq!((look("fine,x,2", 9), look("1, x,2", 9), look("1,2", 9)), (None, None, None));
        assert_eq!(look("well, good, nice", 0), Some(false), "nothing is known yet");
        let texts = [shape(false, true); 2];
        assert_eq!(look_like([&b"a"[..], b"b"].into_iter(), &texts, 3), Some(false));
        assert!(
            only_ends(b"a \"\"b\"\"\",c", b',', false)
                && !only_ends(b"a, b\",c", b',', false)
                && !only_ends(b"a", b',', false)
        );
    }
}
