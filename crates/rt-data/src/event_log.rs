//! Large made-up logs as Parquet: what loading and training are measured with.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding};
use parquet::data_type::{Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

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
        let groups = ((self.items as f64).sqrt() as u64).clamp(1, self.items);
        let size = self.items / groups;
        // Three multiplications and no library function: the same bits on every platform.
        let r = (place >> 11) as f64 / (1u64 << 53) as f64;
        let popular = |n: u64| ((n as f64 * (r * r * r)) as u64).min(n - 1);
        let item = match below(choice, 10) {
            0..=6 => below(mix(self.seed ^ mix(user ^ 0x5eed)), groups) * size + popular(size),
            _ => popular(self.items),
        };
        let time = (u128::from(row) * u128::from(LENGTH) / u128::from(self.rows)) as u64;
        (user + 1, item + 1, START + time)
    }

    /// Writes the log.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] for sizes out of range, [`Error::Io`] where the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
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
        let io = |source| Error::Io { path: path.to_owned(), source };
        // Written beside and then put in its place: a failure leaves what stands there.
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".new-{}", std::process::id()));
        let beside = std::path::PathBuf::from(beside);
        let file = File::create(&beside).map_err(io)?;
        let written = self.write_groups(file).map_err(|e| io(std::io::Error::other(e.to_string())));
        let placed = written.and_then(|()| std::fs::rename(&beside, path).map_err(io));
        if placed.is_err() {
            let _ = std::fs::remove_file(&beside);
        }
        placed
    }

    fn write_groups(&self, file: File) -> std::result::Result<(), ParquetError> {
        let schema = "message log { required int64 user; required int32 item; \
                      required int64 timestamp (TIMESTAMP_MILLIS); }";
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_dictionary_enabled(false)
            .set_encoding(Encoding::PLAIN)
            .build();
        let mut writer = SerializedFileWriter::new(file, Arc::new(parse_message_type(schema)?), Arc::new(properties))?;
        let mut first = 0;
        while first < self.rows {
            let end = (first + self.row_group).min(self.rows);
            let mut group = writer.next_row_group()?;
            for column in 0..3 {
                let Some(mut out) = group.next_column()? else { break };
                let mut at = first;
                while at < end {
                    let next = (at + (1 << 16)).min(end);
                    let rows = (at..next).map(|row| self.row(row));
                    match column {
                        0 => {
                            let users: Vec<i64> = rows.map(|row| row.0 as i64).collect();
                            out.typed::<Int64Type>().write_batch(&users, None, None)?;
                        }
                        1 => {
                            let items: Vec<i32> = rows.map(|row| row.1 as i32).collect();
                            out.typed::<Int32Type>().write_batch(&items, None, None)?;
                        }
                        _ => {
                            let times: Vec<i64> = rows.map(|row| row.2 as i64).collect();
                            out.typed::<Int64Type>().write_batch(&times, None, None)?;
                        }
                    }
                    at = next;
                }
                out.close()?;
            }
            group.close()?;
            first = end;
        }
        writer.close()?;
        Ok(())
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A number below `n` from 64 random bits.
fn below(draw: u64, n: u64) -> u64 {
    ((u128::from(draw) * u128::from(n)) >> 64) as u64
}
