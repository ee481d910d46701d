//! How the bytes of a text file are characters.

use std::borrow::Cow;
use std::path::Path;

use super::lines::Lines;
use crate::Result;

/// UTF-8, or what Windows calls ANSI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    /// Latin-1, with letters and signs in place of its second block of controls.
    Windows1252,
}

/// Characters of the bytes 0x80 to 0x9f; U+FFFD for those that stand for nothing.
const HIGH: [char; 32] = [
    '€', '\u{fffd}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{fffd}', 'Ž', '\u{fffd}', '\u{fffd}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{fffd}', 'ž', 'Ÿ',
];

fn character(byte: u8) -> char {
    match byte {
        0x80..=0x9f => HIGH[usize::from(byte) - 0x80],
        _ => char::from(byte),
    }
}

impl Encoding {
    pub(crate) fn text(self, bytes: &[u8]) -> Cow<'_, str> {
        match std::str::from_utf8(bytes) {
            Ok(text) if self == Self::Utf8 || bytes.is_ascii() => Cow::Borrowed(text),
            _ => Cow::Owned(bytes.iter().copied().map(character).collect()),
        }
    }
}

/// The encoding of a file, which is read once for it. An error names the first byte that is no text, or the first line that is not
/// UTF-8 in a file that otherwise is.
pub(crate) fn encoding(path: &Path) -> Result<Encoding> {
    let mut lines = Lines::open(path)?;
    let mut not_utf8 = None;
    let (mut without_meaning, mut utf8, mut others) = (false, 0u64, 0u64);
    while lines.advance()? {
        let line = lines.line();
        if let Some(&byte) = line.iter().find(|&&byte| byte == 127 || (byte < 32 && byte != b'\t' && byte != b'\r')) {
            let hint = if byte == 0 { " (UTF-16 has to be saved as UTF-8)" } else { "" };
            let what = format!("the byte 0x{byte:02x} is no text; UTF-8 or Windows-1252 (Latin-1) is wanted{hint}");
            return Err(lines.error(None, what));
        }
        if line.is_ascii() {
            continue;
        }
        without_meaning |= line.iter().any(|&byte| character(byte) == '\u{fffd}');
        if std::str::from_utf8(line).is_ok() {
            utf8 += 1;
        } else {
            others += 1;
            not_utf8.get_or_insert_with(|| {
                (lines.error(None, "neither UTF-8 nor Windows-1252 (Latin-1) text"), lines.number())
            });
        }
    }
    match not_utf8 {
        None => Ok(Encoding::Utf8),
        Some((error, _)) if without_meaning => Err(error),
        // Text of Windows-1252 is next to never UTF-8 by chance: such a file is UTF-8 with damage.
        Some((_, line)) if utf8 > others => {
            let what = format!("line {line} is not UTF-8, as {utf8} other lines are; one encoding is wanted");
            Err(lines.format(what))
        }
        Some(_) => Ok(Encoding::Windows1252),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_windows() {
        let text = |bytes: &[u8]| Encoding::Windows1252.text(bytes).into_owned();
        assert_eq!(text(b"\x80 \x93caf\xe9\x94 \x96 \xa9\xff"), "€ “café” – ©ÿ");
        // Bytes that would be UTF-8 too are not.
        assert_eq!(text("é".as_bytes()), "Ã©");
        assert_eq!(Encoding::Utf8.text("é".as_bytes()), "é");
    }
}
