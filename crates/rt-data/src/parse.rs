//! Fields of files as numbers. Everything works on bytes: no `String` a field.

/// A non-negative integer of at most 19 digits; no sign, no blanks.
pub(crate) fn integer(field: &[u8]) -> Option<u64> {
    if field.is_empty() || field.len() > 19 {
        return None;
    }
    let mut value = 0u64;
    for &byte in field {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value)
}

/// A finite number.
pub(crate) fn finite(field: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(field).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

/// The year of a title such as `Toy Story (1995)`: the last four digits that stand alone in brackets.
pub(crate) fn title_year(title: &str) -> Option<&str> {
    let bytes = title.as_bytes();
    let mut end = bytes.len();
    while end >= 6 {
        let place = end - 6;
        let window = &bytes[place..end];
        if window[0] == b'(' && window[5] == b')' && window[1..5].iter().all(u8::is_ascii_digit) {
            return title.get(place + 1..place + 5);
        }
        end -= 1;
    }
    None
}

/// What an error shows of a field: at most 40 characters of it, between back-ticks.
pub(crate) fn shown(field: &[u8]) -> String {
    let text = String::from_utf8_lossy(field);
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("`{}`", short.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_digits_only() {
        assert_eq!(integer(b"0"), Some(0));
        assert_eq!(integer(b"9999999999999999999"), Some(9_999_999_999_999_999_999));
        for bad in ["", "-1", "+1", "1 ", "1x", "99999999999999999999"] {
            assert_eq!(integer(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn years_of_titles() {
        assert_eq!(title_year("Toy Story (1995)"), Some("1995"));
        assert_eq!(title_year("Giving, The (1995) (V)"), Some("1995"));
        assert_eq!(title_year("2001 (1968) (2001 cut)"), Some("1968"));
        assert_eq!(title_year("Misérables, Les (1995)"), Some("1995"));
        assert_eq!(title_year("é(1995)é"), Some("1995"));
        assert_eq!(title_year("unknown"), None);
        assert_eq!(title_year("(95)"), None);
    }
}
