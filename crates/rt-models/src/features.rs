//! Columns made of columns: numbers by quantile, crossed categories, hashed ids; and which items have an id of their own.

use crate::config::{Config, ModelKind, Norm, Numbers, Switch};
use crate::{Error, Result};
use rt_data::{Column, Dataset, Features, Split, Vocab};
use std::borrow::Cow;
use std::sync::Arc;

/// Columns of pretrained vectors are named so, and a number.
pub(crate) const VECTORS: &str = "item_vectors.";
/// The table of items' ids.
pub(crate) const ITEM_ID: &str = "item_id";
/// The category of users' ids.
pub(crate) const USER_ID: &str = "user_id";
/// Buckets of `numbers = quantile`.
const BUCKETS: usize = 10;

/// What the schema keeps of the settings that make columns.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Extra {
    numbers: Numbers,
    cross: Vec<Vec<String>>,
    /// Rows of the table that users' ids are hashed into; 0: none, every user has a row.
    pub hash_rows: usize,
    /// The same of items' ids.
    pub hash_items: usize,
    /// The same of each crossed category.
    hash_crosses: usize,
    /// Hash functions of all three.
    pub hash_functions: usize,
    /// By item: its row of the id table, 0 for those without an event in training. `None`: every item its own.
    pub item_ids: Option<Vec<u32>>,
}

impl Extra {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            numbers: config.numbers,
            cross: crosses(&config.cross),
            hash_rows: config.hash_rows,
            hash_items: config.hash_items,
            hash_crosses: config.hash_crosses,
            hash_functions: config.hash_functions,
            item_ids: None,
        }
    }

    /// The columns of one side, as the towers take them.
    pub(crate) fn derive<'a>(&self, features: &'a Features) -> Cow<'a, Features> {
        let mut derived = Cow::Borrowed(features);
        if self.numbers == Numbers::Quantile {
            for (name, column) in &mut derived.to_mut().columns {
                if let (Column::Number { values }, false) = (&*column, name.starts_with(VECTORS)) {
                    *column = quantiles(values);
                }
            }
        }
        for names in &self.cross {
            if let Some(column) = cross(&derived, names) {
                derived.to_mut().columns.push((names.join("*"), column));
            }
        }
        derived
    }

    /// The columns of `given`, whose categories are those of `own` already, as [`Extra::derive`] makes them of `own`: in the same
    /// deciles and with the same crossed categories.
    pub(crate) fn derive_like(&self, own: &Features, given: &Features) -> Features {
        let mut derived = given.clone();
        let numbers = |name: &String| {
            own.columns.iter().find_map(|(n, column)| match column {
                Column::Number { values } if n == name => Some(values),
                _ => None,
            })
        };
        if self.numbers == Numbers::Quantile {
            for (name, column) in &mut derived.columns {
                if let (Column::Number { values }, Some(all)) = (&*column, numbers(name)) {
                    *column = bucketed(values, &deciles(all));
                }
            }
        }
        for names in &self.cross {
            let Some(Column::Category { vocab, values }) = cross(&derived, names) else { continue };
            let name = names.join("*");
            // Hashed crosses go by their words; of the others those that the model has a row for.
            let column = match self.crossed(own, &name) {
                None => Column::Category { vocab, values },
                Some(known) => {
                    let values = values.iter().map(|value| known.get(vocab.raw(*value)).unwrap_or(0)).collect();
                    Column::Category { vocab: known, values }
                }
            };
            derived.columns.push((name, column));
        }
        derived
    }

    /// The rows that the categories of this column are hashed into, where they are.
    pub(crate) fn hashed_cross(&self, name: &str) -> Option<usize> {
        let crossed = self.hash_crosses > 0 && self.cross.iter().any(|names| names.join("*") == name);
        crossed.then_some(self.hash_crosses)
    }

    /// Rows of the table of item ids, the unknown one with them.
    pub(crate) fn item_table_rows(&self, items: usize) -> usize {
        if self.hash_items > 0 { self.hash_items + 1 } else { items }
    }

    /// Rows of the item table that each item, as an item, adds up where they are not its own number: `[items, functions]`.
    pub(crate) fn item_rows(&self, items: &Vocab) -> Option<Vec<u32>> {
        let functions = self.item_functions();
        let has_id = |item: u32| self.item_ids.as_ref().is_none_or(|ids| ids[item as usize] != 0);
        let rows = (0..items.rows() as u32)
            .flat_map(|item| (0..functions).map(move |f| if has_id(item) { self.item_row(items, item, f) } else { 0 }));
        (functions > 0).then(|| rows.collect())
    }

    /// The row of the item table that hash function `function` gives to an item of the history.
    pub(crate) fn item_row(&self, items: &Vocab, item: u32, function: usize) -> u32 {
        if item == 0 || self.hash_items == 0 {
            item
        } else {
            hashed_row(items.raw(item), self.hash_items, function as u64)
        }
    }

    /// Columns of [`Extra::item_rows`]; 0 where every item has its own row.
    pub(crate) fn item_functions(&self) -> usize {
        match self.hash_items {
            0 => usize::from(self.item_ids.is_some()),
            _ => self.hash_functions,
        }
    }

    /// The vocabulary of the crossed column of this name, where it is one with a row for each.
    pub(crate) fn crossed(&self, features: &Features, name: &str) -> Option<Vocab> {
        if self.hash_crosses > 0 {
            return None;
        }
        self.cross.iter().find(|names| names.join("*") == name)?;
        let derived = self.derive(features).into_owned();
        derived.columns.into_iter().find_map(|(own, column)| match column {
            Column::Category { vocab, .. } if own == name => Some(vocab),
            _ => None,
        })
    }

    /// Mean and deviation that a number column is standardised by.
    pub(crate) fn moments(&self, known: &[f32]) -> (f32, f32) {
        if self.numbers == Numbers::Raw {
            return (0.0, 1.0);
        }
        let known = || known.iter().filter(|x| !x.is_nan()).map(|x| f64::from(*x));
        let n = known().count().max(1) as f64;
        let mean = known().sum::<f64>() / n;
        let square = known().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        (mean as f32, square.sqrt().max(1e-6) as f32)
    }
}

/// Has a column of numbers a missing indicator, an input of its own? NaN in row 0, which is nobody's, says so.
pub(crate) fn has_indicator(values: &[f32]) -> bool {
    values.first().is_some_and(|x| x.is_nan())
}

/// The data with its columns of numbers settled: where rows that train have a missing number and others have one, row 0 says that
/// there is a missing indicator (its weights learn from both). Elsewhere they become the mean: an indicator that training never
/// saw set would add its random weights to whom it is set for. Columns that have one already keep it.
pub(crate) fn settle_missing(data: Arc<Dataset>, split: &Split) -> Arc<Dataset> {
    let open = |features: &Features| {
        let missing = |values: &[f32]| !has_indicator(values) && values.iter().any(|x| x.is_nan());
        features.columns.iter().any(|(_, c)| matches!(c, Column::Number { values } if missing(values)))
    };
    if !open(&data.user_features) && !open(&data.item_features) {
        return data;
    }
    let mut users = vec![false; data.users.rows()];
    split.examples.iter().for_each(|event| users[data.user_of(event as usize) as usize] = true);
    let items: Vec<bool> = split.item_counts(&data).iter().map(|n| *n > 0).collect();
    let mut settled = Dataset::clone(&data);
    for (features, trains) in [(&mut settled.user_features, users), (&mut settled.item_features, items)] {
        for (_, column) in &mut features.columns {
            let Column::Number { values } = column else { continue };
            if has_indicator(values) || !values.iter().any(|x| x.is_nan()) {
                continue;
            }
            let seen = |missing: bool| values.iter().zip(&trains).any(|(x, trains)| *trains && x.is_nan() == missing);
            let unset = if seen(true) && seen(false) { f32::NAN } else { mean(values) };
            values[0] = unset;
            values.iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = unset);
        }
    }
    Arc::new(settled)
}

/// Mean of a column's numbers from row 1 on.
pub(crate) fn mean(values: &[f32]) -> f32 {
    Extra::default().moments(values.get(1..).unwrap_or(&[])).0
}

/// `a*b,c*d` as lists of columns.
fn crosses(text: &str) -> Vec<Vec<String>> {
    let names = |cross: &str| cross.split('*').map(|name| name.trim().to_owned()).collect();
    text.split(',').map(str::trim).filter(|cross| !cross.is_empty()).map(names).collect()
}

/// Bucket 1 + (how many of the nine deciles lie at or below the value). Equal values share a bucket, so columns of few
/// values fill fewer. Row 0 is unknown.
fn quantiles(values: &[f32]) -> Column {
    let mut column = bucketed(values, &deciles(values));
    if let Column::Category { values, .. } = &mut column {
        values.iter_mut().take(1).for_each(|v| *v = 0);
    }
    column
}

/// The nine deciles of a column from row 1 on; none of an empty one.
fn deciles(values: &[f32]) -> Vec<f32> {
    let mut sorted: Vec<f32> = values.iter().skip(1).copied().filter(|x| !x.is_nan()).collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let decile = |k: usize| sorted[(sorted.len() * k / BUCKETS).min(sorted.len() - 1)];
    if sorted.is_empty() { Vec::new() } else { (1..BUCKETS).map(decile).collect() }
}

/// The bucket of every value between these deciles.
fn bucketed(values: &[f32], deciles: &[f32]) -> Column {
    let mut vocab = Vocab::new();
    for k in 1..=BUCKETS {
        vocab.insert(&format!("decile {k}"));
    }
    let bucket = |x: &f32| if x.is_nan() { 0 } else { 1 + deciles.iter().filter(|d| *d <= x).count() as u32 };
    Column::Category { vocab, values: values.iter().map(bucket).collect() }
}

/// The categories of several columns as one; every pair that occurs has a row. `None` where a column is not there.
fn cross(features: &Features, names: &[String]) -> Option<Column> {
    let mut columns = Vec::new();
    for name in names {
        match features.columns.iter().find(|(n, _)| n == name) {
            Some((_, Column::Category { vocab, values })) => columns.push((vocab, values)),
            _ => return None,
        }
    }
    let mut crossed = Vocab::new();
    let rows = columns.iter().map(|(_, values)| values.len()).min()?;
    let row = |row: usize| {
        let ids: Vec<u32> = columns.iter().map(|(_, values)| values[row]).collect();
        if ids.contains(&0) {
            return 0;
        }
        let raw: Vec<&str> = columns.iter().zip(&ids).map(|((vocab, _), id)| vocab.raw(*id)).collect();
        crossed.insert(&raw.join("\u{1f}"))
    };
    let values = (0..rows).map(row).collect();
    Some(Column::Category { vocab: crossed, values })
}

/// Row 1 to `rows` for a raw id: FNV-1a of its bytes (Fowler, Noll, Vo), mixed, for hash function `function` (0 or 1): where
/// `hash_rows`, `hash_items` and `hash_crosses` put a user, an item or a cross.
#[must_use]
pub fn hashed_row(raw: &str, rows: usize, function: u64) -> u32 {
    let mut h = 0xcbf2_9ce4_8422_2325u64 ^ function.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in raw.bytes() {
        h = (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    // FNV's low bits follow from the low bits of the text; this is the finaliser of SplitMix64.
    h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    1 + ((h ^ (h >> 31)) % rows.max(1) as u64) as u32
}

/// The row of each item in the table of ids, where it is not the item's own. Where item ids are dropped out it is 0 for items without an
/// event in training; where there is a table of items with columns, for those without any interaction, which nothing can train.
pub(crate) fn item_ids(config: &Config, data: &Dataset, split: &Split) -> Option<Vec<u32>> {
    let rows = data.items.rows();
    let own = |has: Vec<bool>| has.iter().enumerate().map(|(item, has)| if *has { item as u32 } else { 0 }).collect();
    if config.item_id_dropout > 0.0 {
        return Some(own(split.item_counts(data).iter().map(|n| *n > 0).collect()));
    }
    let with_items = config.model == ModelKind::Dssm && config.item_features && !data.item_features.columns.is_empty();
    if !with_items || data.offered().len() == data.catalogue.len() {
        return None;
    }
    let mut has = vec![true; rows];
    data.offered().iter().for_each(|item| has[*item as usize] = false);
    data.catalogue.iter().for_each(|item| has[*item as usize] = true);
    Some(own(has))
}

/// What does not go together, by the configuration alone.
pub(crate) fn check(config: &Config) -> Result<()> {
    let bad = |what: String| Err(Error::Config(what));
    for (key, p) in [("user_id_dropout", config.user_id_dropout), ("item_id_dropout", config.item_id_dropout)] {
        if !(0.0..1.0).contains(&p) {
            return bad(format!("`{key} = {p}`: has to be at least 0 and below 1"));
        }
    }
    if !(-0.1..=1.0).contains(&config.example_age_serving) {
        return bad(format!("`example_age_serving = {}`: has to be from -0.1 to 1", config.example_age_serving));
    }
    if config.example_age_serving != 0.0 && !config.example_age {
        return bad("example_age_serving: only with example_age = true".into());
    }
    if !(1..=2).contains(&config.hash_functions) {
        return bad(format!("`hash_functions = {}`: has to be 1 or 2", config.hash_functions));
    }
    let hashes =
        [("hash_rows", config.hash_rows), ("hash_items", config.hash_items), ("hash_crosses", config.hash_crosses)];
    if config.hash_functions == 2 && hashes.iter().all(|(_, rows)| *rows == 0) {
        return bad(
            "hash_functions: only with hash_rows, hash_items or hash_crosses, the rows that are hashed into".into()
        );
    }
    if let Some((key, rows)) = hashes.iter().find(|(_, rows)| *rows > 1 << 28) {
        return bad(format!("`{key} = {rows}`: has to be at most {}", 1 << 28));
    }
    if config.hash_crosses > 0 && config.cross.is_empty() {
        return bad("hash_crosses: only with cross, the categories that are hashed".into());
    }
    if config.hash_items > 0 && config.item_vectors_tune {
        return bad("item_vectors_tune: vectors start rows of one item each, with hash_items several share one".into());
    }
    if config.item_vectors_tune && config.item_vectors.is_empty() {
        return bad("item_vectors_tune: only with item_vectors, the file of the vectors".into());
    }
    let user = config.user_hidden.as_ref().is_none_or(|widths| !widths.is_empty());
    let hidden = user || !config.item_hidden.is_empty() || config.last_activation.is_some();
    if config.norm != Norm::None && !hidden {
        return bad(
            "norm: neither tower has a layer with an activation; give user_hidden, item_hidden or last_activation"
                .into(),
        );
    }
    for names in crosses(&config.cross) {
        if names.len() < 2 || names.iter().any(String::is_empty) {
            return bad(format!("`cross = {}`: has to be columns such as gender*age,occupation*gender", config.cross));
        }
    }
    Ok(())
}

/// What does not go with the data; ids that a setting needs are switched on.
pub(crate) fn resolve(config: &mut Config, data: &Dataset) -> Result<()> {
    let bad = |what: String| Err(Error::Config(what));
    for (key, used) in [("user_id_dropout", config.user_id_dropout > 0.0), ("hash_rows", config.hash_rows > 0)] {
        if used && config.user_id == Switch::Off {
            return bad(format!("{key}: with user_id = off no user has an id"));
        }
        if used {
            config.user_id = Switch::On;
        }
    }
    let with_items = config.model == ModelKind::Dssm && config.item_features;
    if config.item_id_dropout > 0.0 && (!with_items || data.item_features.columns.is_empty()) {
        let what = "item_id_dropout: without its id an item has only its features: it needs model dssm, item_features = \
                    true and data with item columns";
        return bad(what.into());
    }
    if config.example_age && !data.has_clock() {
        return bad("example_age: the data has no clock times".into());
    }
    if !config.item_vectors.is_empty() && !config.item_vectors_tune && !with_items {
        let what = "item_vectors: frozen vectors are features of the item tower, so they need model dssm and \
                    item_features = true; or item_vectors_tune = true, which starts the item table from them";
        return bad(what.into());
    }
    let extra = Extra::new(config);
    for names in &extra.cross {
        let sides = [("user", &data.user_features, config.user_features), ("item", &data.item_features, with_items)];
        let numbers = |column: &Column| config.numbers == Numbers::Quantile && matches!(column, Column::Number { .. });
        let fits = |features: &Features| {
            names.iter().all(|name| {
                let mut with_name = features.columns.iter().filter(|(n, _)| n == name);
                with_name.any(|(_, c)| matches!(c, Column::Category { .. }) || numbers(c))
            })
        };
        if !sides.iter().any(|(_, features, used)| *used && fits(features)) {
            let known = sides.iter().filter(|(_, _, used)| *used).flat_map(|(side, features, _)| {
                let usable = |(_, c): &&(String, Column)| matches!(c, Column::Category { .. }) || numbers(c);
                features.columns.iter().filter(usable).map(move |(name, _)| format!("{name} ({side})"))
            });
            let known: Vec<String> = known.collect();
            let cross = names.join("*");
            let list = if known.is_empty() { "none".into() } else { known.join(", ") };
            return bad(format!("cross `{cross}`: its columns have to be categories of one side; there are: {list}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_split_evenly_and_keep_ties_together() {
        let Column::Category { values, vocab } = quantiles(&(0..=100).map(|x| x as f32).collect::<Vec<_>>()) else {
            panic!("a category")
        };
        assert_eq!((vocab.rows(), values[0]), (11, 0));
        for bucket in 1..=10 {
            assert_eq!(values.iter().filter(|v| **v == bucket).count(), 10, "bucket {bucket}");
        }
        assert!(values.windows(2).all(|w| w[0] <= w[1]));
        let Column::Category { values, .. } = quantiles(&[0.0, 5.0, 5.0, 5.0, 7.0]) else { panic!("a category") };
        assert_eq!((values[1], values[1] == values[3], values[4] > values[3]), (values[2], true, true));
        assert!(matches!(quantiles(&[0.0]), Column::Category { values, .. } if values == [0]));
    }

    #[test]
    fn crosses_have_a_row_for_every_pair_that_occurs() {
        let category = |list: &[&str]| {
            let mut vocab = Vocab::new();
            let ids = list.iter().map(|raw| if raw.is_empty() { 0 } else { vocab.insert(raw) }).collect();
            Column::Category { vocab, values: ids }
        };
        let columns = vec![
            ("a".to_owned(), category(&["", "x", "y", "x", ""])),
            ("b".to_owned(), category(&["", "1", "1", "1", "2"])),
        ];
        let extra = Extra { cross: crosses(" a*b , b*a*a"), ..Extra::default() };
        let features = Features { columns };
        let derived = extra.derive(&features);
        assert_eq!(derived.columns.len(), 4);
        let Column::Category { vocab, values } = &derived.columns[2].1 else { panic!("a category") };
        assert_eq!((derived.columns[2].0.as_str(), vocab.rows()), ("a*b", 3));
        assert_eq!(*values, [0, 1, 2, 1, 0]);
        assert_eq!(derived.columns[3].0, "b*a*a");
    }

    #[test]
    fn hashes_fill_the_rows_evenly_and_functions_differ() {
        let mut counts = [0; 9];
        let mut same = 0;
        for i in 0..8000 {
            let raw = i.to_string();
            counts[hashed_row(&raw, 8, 0) as usize] += 1;
            same += u32::from(hashed_row(&raw, 8, 0) == hashed_row(&raw, 8, 1));
        }
        assert_eq!(counts[0], 0, "row 0 is unknown");
        // Binomial(8000, 1/8): 1000 +- 5 deviations of 30.
        assert!(counts[1..].iter().all(|n| (850..=1150).contains(n)), "{counts:?}");
        assert!((850..=1150).contains(&same), "{same}");
    }
}
