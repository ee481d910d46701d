//! Raw id <-> dense id. Dense id 0 is "unknown", and the padding.

use std::hash::{DefaultHasher, Hasher};

/// A two-way map between raw ids (strings as they stand in the files) and dense ids from 1. All raw ids lie in one
/// buffer: an id takes its own bytes, 8 bytes for their end and 5 to 11 of the hash table.
#[derive(Debug, Clone, Default)]
pub struct Vocab {
    text: String,
    /// Raw id d is `text[ends[d - 1] .. ends[d]]`; row 0 is empty. Empty before the first insertion.
    ends: Vec<usize>,
    /// Open addressing over dense ids; 0 = free. Its length is a power of two, or 0.
    table: Vec<u32>,
}

impl Vocab {
    /// An empty vocabulary: it has the unknown row 0 alone.
    #[must_use]
    pub fn new() -> Self {
        Self { text: String::new(), ends: vec![0], table: Vec::new() }
    }

    /// Place of `raw` in the table: that of its dense id, or the free one where it would stand.
    fn place(&self, raw: &str) -> usize {
        let mask = self.table.len() - 1;
        // Fixed keys: the table, and with it the memory, is the same in every run.
        let mut hasher = DefaultHasher::new();
        hasher.write(raw.as_bytes());
        let mut place = hasher.finish() as usize & mask;
        while self.table[place] != 0 && self.raw(self.table[place]) != raw {
            place = (place + 1) & mask;
        }
        place
    }

    /// Dense id of `raw`, given a new one if it has none.
    pub fn insert(&mut self, raw: &str) -> u32 {
        if self.ends.is_empty() {
            self.ends.push(0);
        }
        // At most three quarters full.
        if 4 * self.ends.len() > 3 * self.table.len() {
            self.table = vec![0; (2 * self.table.len()).max(16)];
            for id in 1..self.ends.len() as u32 {
                let place = self.place(self.raw(id));
                self.table[place] = id;
            }
        }
        let place = self.place(raw);
        if self.table[place] != 0 {
            return self.table[place];
        }
        let id = u32::try_from(self.ends.len()).expect("fewer than 2^32 distinct texts: readers end before 2^32 rows");
        self.text.push_str(raw);
        self.ends.push(self.text.len());
        self.table[place] = id;
        id
    }

    /// Dense id of `raw`, if it is known.
    #[must_use]
    pub fn get(&self, raw: &str) -> Option<u32> {
        if self.table.is_empty() {
            return None;
        }
        Some(self.table[self.place(raw)]).filter(|id| *id != 0)
    }

    /// Raw id of a dense id; the empty string for 0 and for ids beyond the end.
    #[must_use]
    pub fn raw(&self, dense: u32) -> &str {
        match (dense.checked_sub(1), self.ends.get(dense as usize)) {
            (Some(before), Some(&end)) => &self.text[self.ends[before as usize]..end],
            _ => "",
        }
    }

    /// Rows that a table over this vocabulary needs: known ids + 1 (the unknown row 0).
    #[must_use]
    pub fn rows(&self) -> usize {
        self.ends.len().max(1)
    }

    /// Known ids in dense order, from dense id 1.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (1..self.rows() as u32).map(|id| self.raw(id))
    }
}

impl PartialEq for Vocab {
    fn eq(&self, other: &Self) -> bool {
        self.rows() == other.rows() && self.text == other.text && self.iter().eq(other.iter())
    }
}

impl Eq for Vocab {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_kept_while_the_table_grows() {
        let mut vocab = Vocab::default();
        assert_eq!((vocab.rows(), vocab.get("x"), vocab.raw(0), vocab.raw(9)), (1, None, "", ""));
        assert_eq!(vocab, Vocab::new());
        for round in 0..2 {
            for id in 1..5000u32 {
                assert_eq!(vocab.insert(&format!("é{id}")), id, "round {round}");
            }
        }
        assert_eq!(vocab.rows(), 5000);
        assert!((1..5000).all(|id| vocab.get(vocab.raw(id)) == Some(id)));
        assert_eq!((vocab.get("é"), vocab.get(""), vocab.get("é5000")), (None, None, None));
        // The empty text is an id like others, once it is given one.
        assert_eq!((vocab.insert(""), vocab.get("")), (5000, Some(5000)));
        // One buffer does not mean one text: `ab`, `c` are not `a`, `bc`.
        let of = |raws: [&str; 2]| {
            raws.iter().fold(Vocab::new(), |mut v, raw| {
                v.insert(raw);
                v
            })
        };
        assert_ne!(of(["ab", "c"]), of(["a", "bc"]));
    }
}
