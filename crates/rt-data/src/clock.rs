//! Times as files write them: numbers in some unit, or dates; and the seconds that they are.

use std::fmt;

use crate::parse::{finite, integer};
use crate::{Error, Result, Times};

/// What a number in a column of times counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds since 1970, or since any other origin.
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
    /// Microseconds since 1970.
    Microseconds,
    /// Nanoseconds since 1970.
    Nanoseconds,
    /// `20200913`, or `20200913122640` with hour, minute and second.
    Calendar,
}

impl TimeUnit {
    /// Reads `s`, `ms`, `us`, `ns` or `yyyymmdd`.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "s" | "sec" | "seconds" => Self::Seconds,
            "ms" | "milliseconds" => Self::Milliseconds,
            "us" | "µs" | "microseconds" => Self::Microseconds,
            "ns" | "nanoseconds" => Self::Nanoseconds,
            "yyyymmdd" => Self::Calendar,
            _ => {
                let what = format!("time unit `{text}`: s, ms, us, ns or yyyymmdd is wanted");
                return Err(Error::Request(what));
            }
        })
    }

    /// The unit that a column's numbers are of. Dates where every number is one; else by the median: seconds reach the year
    /// 2603 before they are taken for milliseconds, which begin in August 1970 then.
    fn of(numbers: &mut [i64]) -> Self {
        if !numbers.is_empty() && numbers.iter().all(|&number| calendar(number).is_some()) {
            return Self::Calendar;
        }
        match median(numbers).unsigned_abs() {
            0..=20_000_000_000 => Self::Seconds,
            20_000_000_001..=20_000_000_000_000 => Self::Milliseconds,
            20_000_000_000_001..=20_000_000_000_000_000 => Self::Microseconds,
            _ => Self::Nanoseconds,
        }
    }

    /// Whole seconds of a number, rounded down; `None` for a number that is no date.
    pub(crate) fn seconds(self, number: i64) -> Option<i64> {
        Some(match self {
            Self::Seconds => number,
            Self::Milliseconds => number.div_euclid(1_000),
            Self::Microseconds => number.div_euclid(1_000_000),
            Self::Nanoseconds => number.div_euclid(1_000_000_000),
            Self::Calendar => return calendar(number),
        })
    }
}

impl fmt::Display for TimeUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Microseconds => "microseconds",
            Self::Nanoseconds => "nanoseconds",
            Self::Calendar => "calendar days (YYYYMMDD)",
        })
    }
}

/// A time as it stands in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Seconds since 1970, by the type of the column.
    #[cfg_attr(not(feature = "parquet"), allow(dead_code, reason = "text has no types"))]
    Seconds(i64),
    /// A number of some unit, rounded down.
    Number { whole: i64, fraction: bool },
    /// A date in words; seconds since 1970. Without a zone it is one of UTC.
    Date { seconds: i64, zone: bool },
}

/// What an error says is wanted.
pub(crate) const WANTED: &str = "is no time; a number (seconds, milliseconds, microseconds, YYYYMMDD) or ISO-8601 \
                                 (2020-09-13T12:26:40Z) is wanted";

impl Moment {
    /// Reads a number or a date.
    pub(crate) fn parse(field: &[u8]) -> Option<Self> {
        Self::number(field).or_else(|| date(field).map(|(seconds, zone)| Self::Date { seconds, zone }))
    }

    fn number(field: &[u8]) -> Option<Self> {
        let (negative, digits) = match field.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, field),
        };
        if let Some(value) = integer(digits) {
            let value = i64::try_from(value).ok()?;
            return Some(Self::Number { whole: if negative { -value } else { value }, fraction: false });
        }
        // Digits on both sides of a point are read exactly: past 2^53 an f64 no longer tells neighbours apart.
        if let Some(point) = digits.iter().position(|&byte| byte == b'.')
            && let Some(value) = integer(&digits[..point])
            && digits[point + 1..].iter().all(u8::is_ascii_digit)
        {
            let value = i64::try_from(value).ok()?;
            let fraction = digits[point + 1..].iter().any(|&digit| digit != b'0');
            return Some(Self::Number { whole: if negative { -value - i64::from(fraction) } else { value }, fraction });
        }
        finite(field).and_then(Self::float)
    }

    /// The same of a number in floating point.
    pub(crate) fn float(value: f64) -> Option<Self> {
        let whole = value.floor();
        (whole.abs() < 9.2e18).then_some(Self::Number { whole: whole as i64, fraction: whole < value })
    }
}

/// Median of numbers; 0 of none.
fn median(numbers: &mut [i64]) -> i64 {
    match numbers.len() {
        0 => 0,
        count => *numbers.select_nth_unstable(count / 2).1,
    }
}

/// Are these the numbers of times by their size alone? `third`: above 1e8, which no rating is; else a clock between 1973 and 2100.
pub(crate) fn looks_timed(numbers: &mut [i64], third: bool) -> bool {
    if numbers.is_empty() {
        return false;
    }
    let unit = TimeUnit::of(numbers);
    let middle = median(numbers);
    if unit == TimeUnit::Calendar || third && middle > 100_000_000 {
        return true;
    }
    unit.seconds(middle).is_some_and(|seconds| (100_000_000..4_102_444_800).contains(&seconds))
}

/// Days since 1970 of a date of the Gregorian calendar (Hinnant's `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// `2020-09-13` of seconds since 1970.
pub(crate) fn day(seconds: i64) -> String {
    let days = seconds.div_euclid(86_400) + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Seconds of `YYYYMMDD` or `YYYYMMDDhhmmss` of the years 1900 to 2199.
fn calendar(number: i64) -> Option<i64> {
    let (date, clock) = match number {
        19_000_101..=21_991_231 => (number, 0),
        19_000_101_000_000..=21_991_231_235_959 => (number / 1_000_000, number % 1_000_000),
        _ => return None,
    };
    let (hour, minute, second) = (clock / 10_000, clock / 100 % 100, clock % 100);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(days(date / 10_000, date / 100 % 100, date % 100)? * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Seconds of an ISO-8601 date, perhaps with a time behind `T` or a blank, with a fraction of a second, and with a zone; and
/// whether there is a zone. `/` may stand for `-`.
fn date(field: &[u8]) -> Option<(i64, bool)> {
    let number = |from: usize, count: usize| -> Option<i64> {
        integer(field.get(from..from + count)?).and_then(|value| i64::try_from(value).ok())
    };
    let separator = *field.get(4).filter(|byte| matches!(byte, b'-' | b'/'))?;
    if *field.get(7)? != separator {
        return None;
    }
    let midnight = 86_400 * days(number(0, 4)?, number(5, 2)?, number(8, 2)?)?;
    let Some((mark, _)) = field.get(10..).and_then(<[u8]>::split_first) else {
        return Some((midnight, false));
    };
    if !matches!(mark, b'T' | b't' | b' ') || field.get(13) != Some(&b':') {
        return None;
    }
    let (hour, minute) = (number(11, 2)?, number(14, 2)?);
    let mut rest = field.get(16..)?;
    let mut second = 0;
    if rest.first() == Some(&b':') {
        second = number(17, 2)?;
        rest = &field[19..];
        if let Some((b'.' | b',', digits)) = rest.split_first() {
            let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if count == 0 {
                return None;
            }
            rest = &digits[count..];
        }
    }
    // A leap second is the last second of its minute once more.
    if hour > 24 || minute > 59 || second > 60 || hour == 24 && (minute, second) != (0, 0) {
        return None;
    }
    let zone = zone(rest.trim_ascii())?;
    let local = midnight + hour * 3_600 + minute * 60 + second.min(59);
    Some((local - zone.unwrap_or(0), zone.is_some()))
}

/// Seconds that a zone is ahead of UTC; `Some(None)` where none is written.
fn zone(text: &[u8]) -> Option<Option<i64>> {
    let digits: Vec<u8> = match text {
        b"" => return Some(None),
        b"Z" | b"z" | b"UTC" | b"GMT" => return Some(Some(0)),
        [b'+' | b'-', rest @ ..] => rest.iter().copied().filter(|&byte| byte != b':').collect(),
        _ => return None,
    };
    let value = integer(&digits)? as i64;
    let (hours, minutes) = match digits.len() {
        2 => (value, 0),
        4 => (value / 100, value % 100),
        _ => return None,
    };
    if hours > 18 || minutes > 59 {
        return None;
    }
    let ahead = hours * 3_600 + minutes * 60;
    Some(Some(if text[0] == b'-' { -ahead } else { ahead }))
}

/// The times of one file while it is read. Numbers are kept as they are until the file ends and their unit shows, unless the
/// unit is given.
#[derive(Debug, Default)]
pub(crate) struct FileClock {
    given: Option<TimeUnit>,
    seconds: u64,
    numbers: u64,
    fractions: u64,
    dates: u64,
    without_zone: u64,
}

impl FileClock {
    pub(crate) fn new(given: Option<TimeUnit>) -> Self {
        Self { given, ..Self::default() }
    }

    /// Seconds of a time, or its number where the unit is not known yet; an error says what is wrong with it.
    pub(crate) fn take(&mut self, moment: Moment) -> std::result::Result<i64, String> {
        match moment {
            Moment::Seconds(seconds) => {
                self.seconds += 1;
                Ok(seconds)
            }
            Moment::Number { whole, fraction } => {
                if self.dates > 0 {
                    return Err("is a number, and the times before it are dates: one of both is wanted".into());
                }
                self.numbers += 1;
                self.fractions += u64::from(fraction);
                match self.given {
                    Some(unit) => unit.seconds(whole).ok_or_else(|| "is no date in the form YYYYMMDD".into()),
                    None => Ok(whole),
                }
            }
            Moment::Date { seconds, zone } => {
                if self.numbers > 0 {
                    return Err("is a date, and the times before it are numbers: one of both is wanted".into());
                }
                self.dates += 1;
                self.without_zone += u64::from(!zone);
                Ok(seconds)
            }
        }
    }

    /// At the end of the file: the unit of the numbers from `from` on is found and they become seconds, `more` of the same file
    /// with them. Gives what was read, where it is not plain seconds.
    pub(crate) fn settle(&self, times: &mut Times, from: usize, more: (&mut Times, usize)) -> Option<Told> {
        if times.len() == from && more.0.len() == more.1 {
            return None;
        }
        let mut unit = self.given.unwrap_or(TimeUnit::Seconds);
        if self.given.is_none() && self.numbers > 0 {
            let numbers = |times: &Times, from: usize| (from..times.len()).map(|i| times.at(i)).collect::<Vec<_>>();
            let mut all = numbers(times, from);
            if all.is_empty() {
                all = numbers(more.0, more.1);
            }
            unit = TimeUnit::of(&mut all);
            if unit != TimeUnit::Seconds {
                for (times, from) in [(&mut *times, from), more] {
                    times.convert(from, |number| unit.seconds(number).unwrap_or(number));
                }
            }
        }
        let kind = match (self.dates > 0, unit) {
            (true, _) => Written::Dates { without_zone: self.without_zone > 0 },
            (false, TimeUnit::Seconds) if self.fractions > 0 => Written::Fractions,
            (false, TimeUnit::Seconds) => return None,
            (false, _) if self.numbers == 0 => return None,
            (false, unit) => Written::Unit { unit, given: self.given.is_some() },
        };
        let span = (from..times.len()).map(|i| times.at(i));
        Some(Told { kind, first: span.clone().min()?, last: span.max()? })
    }
}

/// How a file's times are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    Unit {
        unit: TimeUnit,
        /// By an option, and not by the size of the numbers.
        given: bool,
    },
    Dates {
        without_zone: bool,
    },
    Fractions,
}

/// What is to be said of the times of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    pub(crate) kind: Written,
    first: i64,
    last: i64,
}

impl Told {
    /// One line for the files, `of`, whose times are written alike.
    pub(crate) fn note(kind: Written, of: &str, files: &[Self]) -> String {
        let first = files.iter().map(|told| told.first).min().unwrap_or(0);
        let last = files.iter().map(|told| told.last).max().unwrap_or(0);
        let span = format!("events from {} to {}", day(first), day(last));
        match kind {
            Written::Unit { unit, given: true } => format!("times of {of} are {unit}: {span}"),
            Written::Unit { unit, given: false } => {
                format!("times of {of} are {unit}: {span} (--time-unit if they are not)")
            }
            Written::Dates { without_zone: true } => {
                format!("times of {of} are dates, without a zone taken as UTC: {span}")
            }
            Written::Dates { without_zone: false } => format!("times of {of} are dates: {span}"),
            Written::Fractions => format!("times of {of} have fractions of seconds, which are rounded down: {span}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_dates() {
        let number = |whole, fraction| Some(Moment::Number { whole, fraction });
        for (text, wanted) in [
            ("978300760", number(978_300_760, false)),
            ("978300760.0", number(978_300_760, false)),
            ("1600000000.438", number(1_600_000_000, true)),
            ("-1.5", number(-2, true)),
            ("9.7e8", number(970_000_000, false)),
            ("1600000000123456789", number(1_600_000_000_123_456_789, false)),
            ("1600000000123456789.5", number(1_600_000_000_123_456_789, true)),
        ] {
            assert_eq!(Moment::parse(text.as_bytes()), wanted, "{text}");
        }
        for (text, seconds, zone) in [
            ("1970-01-01", 0, false),
            ("2020-09-13T12:26:40Z", 1_600_000_000, true),
            ("2020-09-13 12:26:40", 1_600_000_000, false),
            ("2020-09-13 12:26", 1_599_999_960, false),
            ("2020/09/13 12:26:40", 1_600_000_000, false),
            ("2020-09-13T14:26:40.999+02:00", 1_600_000_000, true),
            ("2020-09-13T07:56:40,5-0430", 1_600_000_000, true),
            ("2020-09-13 12:26:40 UTC", 1_600_000_000, true),
            ("2020-09-13t13:26:40+01", 1_600_000_000, true),
            ("1969-12-31T23:59:59.5Z", -1, true),
            ("2000-02-29", 951_782_400, false),
            ("2016-12-31T23:59:60Z", 1_483_228_799, true),
            ("2020-09-12T24:00:00Z", 1_599_955_200, true),
        ] {
            assert_eq!(Moment::parse(text.as_bytes()), Some(Moment::Date { seconds, zone }), "{text}");
        }
        for bad in [
            "",
            "-",
            "NaN",
            "inf",
            "1e300",
            "x",
            "2020-13-01",
            "2021-02-29",
            "1900-02-29",
            "2020-09-13T",
            "2020-09-13T25:00",
            "2020-09-13T12:26:40.Z",
            "2020-09-13T12:26:40+99:00",
            "13.09.2020",
            "2020-09/13",
            "2020-09-13Tx2:26:40",
            "9999999999999999999",
        ] {
            assert_eq!(Moment::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn units_by_the_whole_column() {
        let of = |numbers: &[i64]| TimeUnit::of(&mut numbers.to_vec());
        for (numbers, unit) in [
            (&[][..], TimeUnit::Seconds),
            (&[1, 2, 3], TimeUnit::Seconds),
            (&[1_600_000_000, 0, 1_600_000_007], TimeUnit::Seconds),
            (&[1_600_000_000_123, 0, 1_600_000_007_000], TimeUnit::Milliseconds),
            (&[1_600_000_000_123_456], TimeUnit::Microseconds),
            (&[1_600_000_000_123_456_789], TimeUnit::Nanoseconds),
            (&[20_200_913, 20_191_231], TimeUnit::Calendar),
            (&[20_200_913_122_640], TimeUnit::Calendar),
            // The 32nd of a month is none: seconds of August 1970.
            (&[20_200_913, 20_191_232], TimeUnit::Seconds),
        ] {
            assert_eq!(of(numbers), unit, "{numbers:?}");
        }
        assert_eq!(TimeUnit::Calendar.seconds(20_200_913_122_640), Some(1_600_000_000));
        assert_eq!(TimeUnit::Milliseconds.seconds(-1), Some(-1));
        assert_eq!(
            (day(1_600_000_000), day(-1), day(951_782_400)),
            ("2020-09-13".into(), "1969-12-31".into(), "2000-02-29".into())
        );
        assert!(TimeUnit::parse("MS").is_ok() && TimeUnit::parse("weeks").is_err());
    }
}
