//! Large made-up logs as Parquet: what loading and training are measured with.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

use crate::splitmix::{SplitMix64, below};
use crate::{Error, Result};

/// The start of 2022 and three years, in milliseconds.
const START: u64 = 1_640_995_200_000;
const LENGTH: u64 = 3 * 365 * 86_400_000;

/// A log of interactions in the order of time: columns `user` (int64), `item` (int32) and `timestamp` (milliseconds).
/// Users are equally active; each has one of about sqrt(items) groups of items, from which seven of ten of its items
/// come, the rest from anywhere; within both, few items get most of the interactions (place = n r^3, r uniform). It is
/// made row by row from the row's number alone, so any length takes the same small memory, and a seed gives the same
/// file everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLog {
    /// Rows, at least 1.
    pub rows: u64,
    /// Users, 1 to 2^32 - 2; raw ids from 1.
    pub users: u64,
    /// Items, 1 to 2^31 - 1; raw ids from 1.
    pub items: u64,
    /// Rows of a row group, at least 1.
    pub row_group: u64,
    /// Seed of all draws.
    pub seed: u64,
}

impl EventLog {
    /// User, item and time in milliseconds of a row.
    fn row(&self, row: u64) -> (u64, u64, u64) {
        let at = mix(self.seed ^ mix(row));
        let (user, choice, place) = (mix(at ^ 1), mix(at ^ 2), mix(at ^ 3));
        let user = below(user, self.users);
        let groups = self.groups();
        let size = self.items / groups;
        // Three multiplications and no library function: the same bits on every platform.
        let r = (place >> 11) as f64 / (1u64 << 53) as f64;
        let popular = |n: u64| ((n as f64 * (r * r * r)) as u64).min(n - 1);
        let item = match below(choice, 10) {
            0..=6 => self.group(user) * size + popular(size),
            _ => popular(self.items),
        };
        let time = (u128::from(row) * u128::from(LENGTH) / u128::from(self.rows)) as u64;
        (user + 1, item + 1, START + time)
    }

    fn groups(&self) -> u64 {
        ((self.items as f64).sqrt() as u64).clamp(1, self.items)
    }

    /// The group of a user, from 0.
    fn group(&self, user: u64) -> u64 {
        below(mix(self.seed ^ mix(user ^ 0x5eed)), self.groups())
    }

    /// User, query and time in milliseconds of a search: a word for a group, seven times of ten the user's own, and half the time
    /// one of a hundred words that say nothing.
    fn search(&self, row: u64, rows: u64) -> (u64, String, u64) {
        let at = mix(self.seed ^ mix(row) ^ 0x5ea6c4);
        let user = below(mix(at ^ 1), self.users);
        let group = match below(mix(at ^ 2), 10) {
            0..=6 => self.group(user),
            _ => below(mix(at ^ 3), self.groups()),
        };
        let query = match below(mix(at ^ 4), 200) {
            word @ 0..100 => format!("topic{group} word{word}"),
            _ => format!("topic{group}"),
        };
        (user + 1, query, START + (u128::from(row) * u128::from(LENGTH) / u128::from(rows)) as u64)
    }

    /// Writes the log.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] for sizes out of range, [`Error::Io`] where the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.check()?;
        let schema = "message log { required int64 user; required int32 item; \
                      required int64 timestamp (TIMESTAMP_MILLIS); }";
        self.write_table(path, schema, self.rows, |out, column, rows| {
            let rows = rows.map(|row| self.row(row));
            match column {
                0 => {
                    let users: Vec<i64> = rows.map(|row| row.0 as i64).collect();
                    out.typed::<Int64Type>().write_batch(&users, None, None)
                }
                1 => {
                    let items: Vec<i32> = rows.map(|row| row.1 as i32).collect();
                    out.typed::<Int32Type>().write_batch(&items, None, None)
                }
                _ => {
                    let times: Vec<i64> = rows.map(|row| row.2 as i64).collect();
                    out.typed::<Int64Type>().write_batch(&times, None, None)
                }
            }
        })
    }

    /// Writes `rows` searches of the same users over the same years: columns `user` (int64), `query` (UTF-8) and `timestamp`
    /// (milliseconds). Their words say which group of items a user likes, seven times of ten.
    ///
    /// # Errors
    ///
    /// As [`EventLog::write`].
    pub fn write_searches(&self, path: &Path, rows: u64) -> Result<()> {
        self.check()?;
        if rows == 0 || rows > u64::from(u32::MAX) {
            return Err(Error::Request(format!("searches = {rows}: has to be from 1 to {}", u32::MAX)));
        }
        let schema = "message searches { required int64 user; required binary query (UTF8); \
                      required int64 timestamp (TIMESTAMP_MILLIS); }";
        self.write_table(path, schema, rows, |out, column, some| {
            let some = some.map(|row| self.search(row, rows));
            match column {
                0 => {
                    let users: Vec<i64> = some.map(|row| row.0 as i64).collect();
                    out.typed::<Int64Type>().write_batch(&users, None, None)
                }
                1 => {
                    let queries: Vec<ByteArray> = some.map(|row| ByteArray::from(row.1.into_bytes())).collect();
                    out.typed::<ByteArrayType>().write_batch(&queries, None, None)
                }
                _ => {
                    let times: Vec<i64> = some.map(|row| row.2 as i64).collect();
                    out.typed::<Int64Type>().write_batch(&times, None, None)
                }
            }
        })
    }

    fn check(&self) -> Result<()> {
        let ranges = [
            ("rows", self.rows, u64::from(u32::MAX)),
            ("users", self.users, u64::from(u32::MAX) - 1),
            ("items", self.items, i32::MAX as u64),
            ("row_group", self.row_group, u64::from(u32::MAX)),
        ];
        for (what, value, most) in ranges {
            if value == 0 || value > most {
                return Err(Error::Request(format!("{what} = {value}: has to be from 1 to {most}")));
            }
        }
        Ok(())
    }

    /// Writes a table of `rows` rows; `write` gives a column's values for a range of rows.
    fn write_table(
        &self,
        path: &Path,
        schema: &str,
        rows: u64,
        write: impl Fn(&mut SerializedColumnWriter<'_>, usize, Range<u64>) -> std::result::Result<usize, ParquetError>,
    ) -> Result<()> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        // Written beside and then put in its place: a failure leaves what stands there.
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".new-{}", std::process::id()));
        let beside = std::path::PathBuf::from(beside);
        let file = File::create(&beside).map_err(io)?;
        let groups = || -> std::result::Result<(), ParquetError> {
            let properties = WriterProperties::builder()
                .set_compression(Compression::SNAPPY)
                .set_dictionary_enabled(false)
                .set_encoding(Encoding::PLAIN)
                .build();
            let mut writer =
                SerializedFileWriter::new(file, Arc::new(parse_message_type(schema)?), Arc::new(properties))?;
            let mut first = 0;
            while first < rows {
                let end = (first + self.row_group).min(rows);
                let mut group = writer.next_row_group()?;
                let mut column = 0;
                while let Some(mut out) = group.next_column()? {
                    let mut at = first;
                    while at < end {
                        let next = (at + (1 << 16)).min(end);
                        write(&mut out, column, at..next)?;
                        at = next;
                    }
                    out.close()?;
                    column += 1;
                }
                group.close()?;
                first = end;
            }
            writer.close()?;
            Ok(())
        };
        let written = groups().map_err(|e| io(std::io::Error::other(e.to_string())));
        let placed = written.and_then(|()| std::fs::rename(&beside, path).map_err(io));
        if placed.is_err() {
            let _ = std::fs::remove_file(&beside);
        }
        placed
    }
}

/// 64 random bits from a number.
fn mix(x: u64) -> u64 {
    SplitMix64::new(x).word()
}
