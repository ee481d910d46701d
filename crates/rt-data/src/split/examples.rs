//! The list of training examples, as runs: those of a user follow each other, so a user costs 8 bytes and not 4 an event.

use std::ops::Range;

/// Numbers of target events, in the order in which they were given, as runs of consecutive ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examples {
    runs: Vec<(u32, u32)>,
    len: usize,
}

impl Examples {
    /// Number of examples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a run of events.
    pub fn push(&mut self, run: Range<u32>) {
        if run.is_empty() {
            return;
        }
        self.len += run.len();
        match self.runs.last_mut() {
            Some(last) if last.1 == run.start => last.1 = run.end,
            _ => self.runs.push((run.start, run.end)),
        }
    }

    /// The events.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.runs.iter().flat_map(|&(start, end)| start..end)
    }

    /// All of them in a vector: 4 bytes an example.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u32> {
        let mut all = Vec::with_capacity(self.len);
        all.extend(self.iter());
        all
    }

    /// Keeps those that `keep` says.
    pub fn retain(&mut self, mut keep: impl FnMut(&u32) -> bool) {
        *self = self.iter().filter(|event| keep(event)).collect();
    }

    /// Keeps the first `len`.
    pub fn truncate(&mut self, len: usize) {
        *self = self.iter().take(len).collect();
    }
}

impl FromIterator<u32> for Examples {
    fn from_iter<T: IntoIterator<Item = u32>>(events: T) -> Self {
        let mut all = Self::default();
        // u32::MAX is no event: there are fewer than 2^32 of them.
        events.into_iter().for_each(|event| all.push(event..event.saturating_add(1)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_the_list() {
        let list = [3, 4, 5, 9, 2, 3, 10];
        let mut all: Examples = list.into_iter().collect();
        assert_eq!((all.to_vec(), all.len(), all.runs.len()), (list.to_vec(), 7, 4));
        all.push(11..14);
        all.push(7..7);
        assert_eq!((all.len(), all.runs.len()), (10, 4));
        all.retain(|event| event % 2 == 1);
        assert_eq!(all.to_vec(), [3, 5, 9, 3, 11, 13]);
        all.truncate(2);
        assert_eq!((all.to_vec(), all.len(), all.is_empty()), (vec![3, 5], 2, false));
        all.truncate(0);
        assert!(all.is_empty() && all.iter().next().is_none());
    }
}
