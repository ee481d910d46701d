//! Lines of a file with their numbers, one reused buffer, and errors that name file, line and column.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::bytes;
use crate::{Error, Result};

const BUFFER: usize = 1 << 18;

/// A file read line by line. Blank lines are passed over, `\r\n` counts as `\n`.
pub(crate) struct Lines {
    path: PathBuf,
    reader: BufReader<Box<dyn Read>>,
    buffer: Vec<u8>,
    number: u64,
    /// Lines that were read ahead and come again.
    again: VecDeque<Vec<u8>>,
}

impl Lines {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::with_capacity(BUFFER, bytes::open(path)?),
            buffer: Vec::new(),
            number: 0,
            again: VecDeque::new(),
        })
    }

    /// Goes back to an earlier line: `lines` are that one and those behind it, up to the line read last.
    pub(crate) fn rewind(&mut self, mut lines: Vec<Vec<u8>>) {
        self.number -= lines.len() as u64 - 1;
        let behind = lines.split_off(1);
        self.buffer = lines.remove(0);
        behind.into_iter().rev().for_each(|line| self.again.push_front(line));
    }

    /// Reads the next line, blank or not; false at the end of the file.
    pub(crate) fn advance(&mut self) -> Result<bool> {
        if let Some(line) = self.again.pop_front() {
            self.buffer = line;
            self.number += 1;
            return Ok(true);
        }
        self.buffer.clear();
        let read = self
            .reader
            .read_until(b'\n', &mut self.buffer)
            .map_err(|source| Error::Io { path: self.path.clone(), source })?;
        if read == 0 {
            return Ok(false);
        }
        self.number += 1;
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
            if self.buffer.last() == Some(&b'\r') {
                self.buffer.pop();
            }
        }
        if self.number == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") {
            self.buffer.drain(..3);
        }
        Ok(true)
    }

    /// Reads the next line that is not blank; false at the end of the file.
    pub(crate) fn advance_filled(&mut self) -> Result<bool> {
        while self.advance()? {
            if !self.line().is_empty() && !self.line().trim_ascii().is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The line read last, without its end.
    pub(crate) fn line(&self) -> &[u8] {
        &self.buffer
    }

    /// Its number, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// An error about the line read last.
    pub(crate) fn error(&self, column: Option<&str>, what: impl Into<String>) -> Error {
        Error::Line { path: self.path.clone(), line: self.number, column: column.map(str::to_owned), what: what.into() }
    }

    /// An error about the file.
    pub(crate) fn format(&self, what: impl Into<String>) -> Error {
        Error::Format { path: self.path.clone(), what: what.into() }
    }
}

/// How a side file or a list of ratings separates its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Separator {
    /// Any run of blanks and tabs (`u.data`, whose first line has blanks).
    White,
    /// `::` (`ratings.dat`).
    DoubleColon,
    /// `|` (`u.user`, `u.item`).
    Pipe,
}

/// Cuts `line` into at most `N` fields; returns how many there are (counting those past `N`).
pub(crate) fn cut<'a, const N: usize>(line: &'a [u8], separator: Separator, fields: &mut [&'a [u8]; N]) -> usize {
    let mut count = 0;
    each(line, separator, |field| {
        if let Some(slot) = fields.get_mut(count) {
            *slot = field;
        }
        count += 1;
    });
    count
}

/// Gives every field of `line`.
pub(crate) fn each<'a>(line: &'a [u8], separator: Separator, mut put: impl FnMut(&'a [u8])) {
    match separator {
        Separator::White => {
            line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r')).filter(|field| !field.is_empty()).for_each(put)
        }
        Separator::Pipe => line.split(|&byte| byte == b'|').for_each(put),
        Separator::DoubleColon => {
            let (mut start, mut place) = (0, 0);
            while place + 1 < line.len() {
                if line[place] == b':' && line[place + 1] == b':' {
                    put(&line[start..place]);
                    start = place + 2;
                    place = start;
                } else {
                    place += 1;
                }
            }
            put(&line[start..]);
        }
    }
}

/// Latin-1 as text: every byte is the code point of the same number.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_separator() {
        let mut fields = [b"".as_slice(); 3];
        assert_eq!(cut(b"1::2::::x::9", Separator::DoubleColon, &mut fields), 5);
        assert_eq!(fields, [b"1".as_slice(), b"2", b""]);
        assert_eq!(cut(b"a:b::c:", Separator::DoubleColon, &mut fields), 2);
        assert_eq!(fields[..2], [b"a:b".as_slice(), b"c:"]);
        assert_eq!(cut(b" 1 \t 2\t3 ", Separator::White, &mut fields), 3);
        assert_eq!(fields, [b"1".as_slice(), b"2", b"3"]);
        assert_eq!(cut(b"1||3", Separator::Pipe, &mut fields), 3);
        assert_eq!(fields, [b"1".as_slice(), b"", b"3"]);
        assert_eq!(latin1(b"Mis\xe9rables"), "Misérables");
    }
}
