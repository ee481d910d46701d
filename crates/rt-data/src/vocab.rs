//! Raw id <-> dense id. Dense id 0 is "unknown", and the padding.

use std::collections::HashMap;

/// A two-way map between raw ids (strings as they stand in the files) and dense ids from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vocab {
    raw: Vec<String>,
    dense: HashMap<String, u32>,
}

impl Vocab {
    /// An empty vocabulary: it has the unknown row 0 alone.
    #[must_use]
    pub fn new() -> Self {
        Self { raw: vec![String::new()], dense: HashMap::new() }
    }

    /// Dense id of `raw`, given a new one if it has none.
    pub fn insert(&mut self, raw: &str) -> u32 {
        if let Some(&id) = self.dense.get(raw) {
            return id;
        }
        if self.raw.is_empty() {
            self.raw.push(String::new());
        }
        let id = u32::try_from(self.raw.len()).expect("fewer than 2^32 ids");
        self.raw.push(raw.to_owned());
        self.dense.insert(raw.to_owned(), id);
        id
    }

    /// Dense id of `raw`, if it is known.
    #[must_use]
    pub fn get(&self, raw: &str) -> Option<u32> {
        self.dense.get(raw).copied()
    }

    /// Raw id of a dense id; the empty string for 0 and for ids beyond the end.
    #[must_use]
    pub fn raw(&self, dense: u32) -> &str {
        self.raw.get(dense as usize).map_or("", String::as_str)
    }

    /// Rows that a table over this vocabulary needs: known ids + 1 (the unknown row 0).
    #[must_use]
    pub fn rows(&self) -> usize {
        self.raw.len().max(1)
    }

    /// Known ids in dense order, from dense id 1.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.raw.iter().skip(1).map(String::as_str)
    }
}
