//! Times of events at 4 bytes each where their span allows it.

use std::fmt;

/// Times in whole seconds, one an event. Kept as 32-bit seconds after the smallest where all of them lie within 2^32 s
/// (136 years) of each other, else as 64-bit numbers; which of the two changes nothing but memory.
#[derive(Clone, Default)]
pub struct Times {
    /// What `short` counts from.
    origin: i64,
    short: Vec<u32>,
    /// Filled instead of `short` where the span is too long.
    wide: Vec<i64>,
}

impl Times {
    /// Number of times.
    #[must_use]
    pub fn len(&self) -> usize {
        self.short.len() + self.wide.len()
    }

    /// True if there is none: the data has no times.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Seconds of all times since one origin; `None` where they do not lie within 2^32 s of each other.
    #[must_use]
    pub fn offsets(&self) -> Option<&[u32]> {
        self.wide.is_empty().then_some(&self.short)
    }

    /// Time number `index` in seconds.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<i64> {
        match self.short.get(index) {
            Some(&offset) => Some(self.origin + i64::from(offset)),
            None => self.wide.get(index).copied(),
        }
    }

    /// The same for an index below [`Times::len`].
    pub(crate) fn at(&self, index: usize) -> i64 {
        if self.wide.is_empty() { self.origin + i64::from(self.short[index]) } else { self.wide[index] }
    }

    /// All times in the order of the events.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = i64> + '_ {
        (0..self.len()).map(|index| self.at(index))
    }

    /// Bytes that they take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        4 * self.short.len() + 8 * self.wide.len()
    }

    pub(crate) fn reserve(&mut self, more: usize) {
        if self.wide.is_empty() { self.short.reserve_exact(more) } else { self.wide.reserve_exact(more) }
    }

    pub(crate) fn push(&mut self, time: i64) {
        if !self.wide.is_empty() {
            self.wide.push(time);
            return;
        }
        if self.short.is_empty() {
            // The first time stands in the middle of what 32 bits hold.
            self.origin = time.saturating_sub(1 << 31);
        }
        match u32::try_from(i128::from(time) - i128::from(self.origin)) {
            Ok(offset) => self.short.push(offset),
            Err(_) => {
                self.wide = self.iter().chain([time]).collect();
                self.short = Vec::new();
            }
        }
    }

    pub(crate) fn extend(&mut self, time: Option<i64>) {
        if let Some(time) = time {
            self.push(time);
        }
    }

    /// Replaces the times from number `from` on by what `seconds` gives.
    pub(crate) fn convert(&mut self, from: usize, seconds: impl Fn(i64) -> i64) {
        if !self.wide.is_empty() {
            self.wide[from..].iter_mut().for_each(|time| *time = seconds(*time));
            return;
        }
        let converted: Vec<i64> = (from..self.len()).map(|index| seconds(self.at(index))).collect();
        self.short.truncate(from);
        converted.into_iter().for_each(|time| self.push(time));
    }

    /// Without what is reserved; counted from the smallest, at 4 bytes each if they allow it.
    pub(crate) fn seal(&mut self) {
        if let (Some(&least), Some(&last)) = (self.wide.iter().min(), self.wide.iter().max())
            && u32::try_from(i128::from(last) - i128::from(least)).is_ok()
        {
            self.short = self.wide.iter().map(|time| (time - least) as u32).collect();
            (self.origin, self.wide) = (least, Vec::new());
        }
        let least = self.short.iter().copied().min().unwrap_or(0);
        self.short.iter_mut().for_each(|offset| *offset -= least);
        self.origin += i64::from(least);
        self.short.shrink_to_fit();
        self.wide.shrink_to_fit();
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The times in the order `order`.
    pub(crate) fn permuted(self, order: &[u32]) -> Self {
        Self {
            origin: self.origin,
            short: crate::builder::gather(self.short, order),
            wide: crate::builder::gather(self.wide, order),
        }
    }
}

impl FromIterator<i64> for Times {
    fn from_iter<T: IntoIterator<Item = i64>>(times: T) -> Self {
        let mut all = Self::default();
        times.into_iter().for_each(|time| all.push(time));
        all.seal();
        all
    }
}

impl PartialEq for Times {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Times {}

impl fmt::Debug for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_bytes_where_the_span_allows() {
        let (low, span) = (-5i64, i64::from(u32::MAX));
        for (what, times, bytes) in [
            ("none", vec![], 0),
            ("one", vec![978_300_760], 4),
            ("the longest span around the first", vec![0, -(1 << 31), (1 << 31) - 1], 12),
            ("from the smallest on", vec![low, low + 7, low + (1 << 31) - 1], 12),
            ("the longest span, from one end", vec![low, low + span, 0], 12),
            ("a second too long", vec![low, low + span + 1, 0], 24),
            ("milliseconds of a century, taken for seconds", vec![1_700_000_000_000, 0, 3_000_000_000_000], 24),
            ("the ends of the range", vec![i64::MIN, i64::MAX, 0, -1], 32),
            ("the smallest alone", vec![i64::MIN, i64::MIN + 3], 8),
        ] {
            let all: Times = times.iter().copied().collect();
            assert_eq!(all.iter().collect::<Vec<_>>(), times, "{what}");
            assert_eq!((all.len(), all.bytes()), (times.len(), bytes), "{what}");
            assert_eq!((all.get(0), all.get(times.len())), (times.first().copied(), None), "{what}");
            if let Some((first, rest)) = times.split_first() {
                let mut shifted = all.clone();
                shifted.convert(1, |time| time / 1000);
                shifted.seal();
                let wanted = std::iter::once(*first).chain(rest.iter().map(|time| time / 1000));
                assert_eq!(shifted.iter().collect::<Vec<_>>(), wanted.collect::<Vec<_>>(), "{what}");
            }
            let back: Vec<u32> = (0..times.len() as u32).rev().collect();
            let turned: Vec<i64> = times.iter().rev().copied().collect();
            assert_eq!(all.permuted(&back).iter().collect::<Vec<_>>(), turned, "{what}");
        }
    }
}
