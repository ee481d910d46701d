//! Feature columns while they are filled, row by row, in any order of rows.

use crate::{Column, Features, Vocab};

/// How a column of text becomes a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FeatureKind {
    /// Every distinct text is a category; an empty one is unknown.
    #[default]
    Category,
    /// Several categories, separated by this character (`|` by default).
    Bag(char),
    /// A finite number; an empty text is a missing one.
    Number,
}

/// A column being filled.
#[derive(Debug)]
pub(crate) enum ColumnBuilder {
    Category {
        vocab: Vocab,
        values: Vec<u32>,
    },
    Bag {
        separator: char,
        vocab: Vocab,
        spans: Vec<(u32, u32)>,
        flat: Vec<u32>,
    },
    /// A row that was not set holds NaN; no number that is read does. Row 0 is no user, item or missing one: 0.
    Number {
        values: Vec<f32>,
    },
}

fn slot<T: Clone>(values: &mut Vec<T>, row: usize, unset: T) -> &mut T {
    if row >= values.len() {
        values.resize(row + 1, unset);
    }
    &mut values[row]
}

impl ColumnBuilder {
    pub(crate) fn new(kind: FeatureKind) -> Self {
        match kind {
            FeatureKind::Category => Self::Category { vocab: Vocab::new(), values: Vec::new() },
            FeatureKind::Bag(separator) => {
                Self::Bag { separator, vocab: Vocab::new(), spans: Vec::new(), flat: Vec::new() }
            }
            FeatureKind::Number => Self::Number { values: Vec::new() },
        }
    }

    /// True if `row` has a value already.
    pub(crate) fn is_set(&self, row: usize) -> bool {
        match self {
            Self::Category { values, .. } => values.get(row).is_some_and(|&value| value != 0),
            Self::Bag { spans, .. } => spans.get(row).is_some_and(|span| span.1 != 0),
            Self::Number { values } => values.get(row).is_some_and(|value| !value.is_nan()),
        }
    }

    /// Sets `row` from the text of a file; the error says what is wrong with the text.
    pub(crate) fn set(&mut self, row: usize, text: &str) -> Result<(), String> {
        match self {
            Self::Category { vocab, values } => {
                *slot(values, row, 0) = if text.is_empty() { 0 } else { vocab.insert(text) };
            }
            Self::Bag { separator, vocab, spans, flat } => {
                let start = flat.len() as u32;
                for part in text.split(*separator).map(str::trim).filter(|part| !part.is_empty()) {
                    let id = vocab.insert(part);
                    if !flat[start as usize..].contains(&id) {
                        flat.push(id);
                    }
                }
                *slot(spans, row, (0, 0)) = (start, flat.len() as u32 - start);
            }
            Self::Number { .. } if text.is_empty() => {}
            Self::Number { values } => {
                let value = crate::parse::finite(text.as_bytes()).map(|value| value as f32);
                match value.filter(|value| value.is_finite()) {
                    Some(value) => *slot(values, row, f32::NAN) = value,
                    None => {
                        let shown = crate::parse::shown(text.as_bytes());
                        return Err(format!("{shown} is not a finite number"));
                    }
                }
            }
        }
        Ok(())
    }

    /// The column with `rows` rows; those never set are unknown.
    pub(crate) fn finish(self, rows: usize) -> Column {
        match self {
            Self::Category { vocab, mut values } => {
                values.resize(rows, 0);
                Column::Category { vocab, values }
            }
            Self::Bag { vocab, mut spans, flat, .. } => {
                spans.resize(rows, (0, 0));
                let mut offsets = Vec::with_capacity(rows + 1);
                let mut values = Vec::with_capacity(flat.len());
                offsets.push(0);
                for (start, length) in spans {
                    values.extend_from_slice(&flat[start as usize..(start + length) as usize]);
                    offsets.push(values.len() as u32);
                }
                Column::Bag { vocab, offsets, values }
            }
            Self::Number { mut values } => {
                values.resize(rows, f32::NAN);
                values.iter_mut().take(1).filter(|value| value.is_nan()).for_each(|value| *value = 0.0);
                Column::Number { values }
            }
        }
    }
}

/// Named columns of users or items while they are filled.
#[derive(Debug, Default)]
pub(crate) struct ColumnSet {
    pub(crate) columns: Vec<(String, ColumnBuilder)>,
    seen: Vec<bool>,
}

impl ColumnSet {
    pub(crate) fn new<'a>(columns: impl IntoIterator<Item = (&'a str, FeatureKind)>) -> Self {
        let builders = columns.into_iter().map(|(name, kind)| (name.to_owned(), ColumnBuilder::new(kind)));
        Self { columns: builders.collect(), seen: Vec::new() }
    }

    /// Marks the row of a side file as read; false if it had been read before.
    pub(crate) fn first(&mut self, row: u32) -> bool {
        let seen = slot(&mut self.seen, row as usize, false);
        !std::mem::replace(seen, true)
    }

    pub(crate) fn finish(self, rows: usize) -> Features {
        let columns = self.columns.into_iter().map(|(name, column)| (name, column.finish(rows)));
        Features { columns: columns.collect() }
    }
}

/// The rows of `column` in the order `order`.
pub(crate) fn permuted(column: Column, order: &[u32]) -> Column {
    match column {
        Column::Category { vocab, values } => {
            Column::Category { vocab, values: order.iter().map(|&row| values[row as usize]).collect() }
        }
        Column::Number { values } => Column::Number { values: order.iter().map(|&row| values[row as usize]).collect() },
        Column::Bag { vocab, offsets, values } => {
            let mut new_offsets = vec![0];
            let mut new_values = Vec::with_capacity(values.len());
            for &row in order {
                let (start, end) = (offsets[row as usize], offsets[row as usize + 1]);
                new_values.extend_from_slice(&values[start as usize..end as usize]);
                new_offsets.push(new_values.len() as u32);
            }
            Column::Bag { vocab, offsets: new_offsets, values: new_values }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_in_any_order_and_gaps() {
        let mut bag = ColumnBuilder::new(FeatureKind::Bag('|'));
        bag.set(3, "a|b|a").unwrap();
        bag.set(1, "b").unwrap();
        assert!(bag.is_set(3) && !bag.is_set(2));
        let Column::Bag { offsets, values, .. } = permuted(bag.finish(5), &[0, 1, 3, 4]) else { panic!("a bag") };
        assert_eq!((offsets, values), (vec![0, 0, 1, 3, 3], vec![2, 1, 2]));

        let mut number = ColumnBuilder::new(FeatureKind::Number);
        number.set(2, "-1.5").unwrap();
        number.set(3, "").unwrap();
        for bad in [" ", "x", "NaN", "inf", "1e39"] {
            assert!(number.set(1, bad).unwrap_err().ends_with("is not a finite number"), "{bad}");
        }
        let Column::Number { values } = number.finish(4) else { panic!("numbers") };
        assert_eq!((values[0], values[2]), (0.0, -1.5));
        assert!(values[1].is_nan() && values[3].is_nan(), "rows without a number");
    }
}
