//! Raw id -> dense id while a file is read: small integers by table, anything else through the vocabulary.

use crate::Vocab;

/// Integers below this go by table (at most 8 MiB of it); larger ones are hashed as text.
const SMALL: u64 = 1 << 21;

/// A vocabulary being filled.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    pub(crate) vocab: Vocab,
    /// Dense id of each small integer; 0 = not seen yet.
    small: Vec<u32>,
}

impl Ids {
    /// Dense id of an integer id; its raw form is the plain decimal number.
    pub(crate) fn integer(&mut self, id: u64) -> u32 {
        if id >= SMALL {
            return self.vocab.insert(decimal(id, &mut [0; 20]));
        }
        let place = id as usize;
        if let Some(&dense) = self.small.get(place)
            && dense != 0
        {
            return dense;
        }
        if place >= self.small.len() {
            self.small.resize((place + 1).next_power_of_two(), 0);
        }
        let dense = self.vocab.insert(decimal(id, &mut [0; 20]));
        self.small[place] = dense;
        dense
    }

    /// Dense id of a text id. `7` and `007` are different ids.
    pub(crate) fn text(&mut self, raw: &str) -> u32 {
        let bytes = raw.as_bytes();
        let plain = bytes.len() <= 7 && (bytes.len() == 1 || bytes.first() != Some(&b'0'));
        match crate::parse::integer(bytes) {
            Some(value) if plain => self.integer(value),
            _ => self.vocab.insert(raw),
        }
    }
}

/// A number as text, without a `String` for each of many rows.
fn decimal(mut id: u64, digits: &mut [u8; 20]) -> &str {
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (id % 10) as u8;
        id /= 10;
        if id == 0 {
            return std::str::from_utf8(&digits[first..]).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_and_hash_agree() {
        let mut ids = Ids::default();
        let raws = ["7", "007", "7", "2097151", "2097152", "9999999", "99999999", "x", "0", "00"];
        let dense: Vec<u32> = raws.iter().map(|raw| ids.text(raw)).collect();
        assert_eq!(dense, [1, 2, 1, 3, 4, 5, 6, 7, 8, 9]);
        for (raw, &id) in raws.iter().zip(&dense) {
            assert_eq!(ids.vocab.raw(id), *raw);
            assert_eq!(ids.vocab.get(raw), Some(id));
        }
        assert_eq!(ids.integer(2_097_152), 4);
        let most = ids.integer(u64::MAX);
        assert_eq!(ids.vocab.raw(most), u64::MAX.to_string());
        assert_eq!(ids.vocab.rows(), 11);
    }
}
