//! Users whom a model does not know, or of whom it knows less than a request says: served from the columns that come with it.

use crate::model::Model;
use crate::query::{Query, user_tape};
use crate::schema::SideRows;
use crate::serve::Programs;
use crate::{Error, Result};
use rt_data::{Column, Features, Vocab};
use rt_tensor::Program;
use std::sync::Arc;

/// Columns of users in a model's own categories and numbers.
#[derive(Debug, Clone)]
pub struct UserRows {
    rows: SideRows,
    /// Categories, bags and numbers of a row.
    widths: [usize; 3],
}

/// One user of [`UserRows`].
#[derive(Debug, Clone, Copy)]
pub struct UserRow<'a> {
    all: &'a UserRows,
    row: usize,
}

impl UserRows {
    /// A row, as it stood in the columns.
    #[must_use]
    pub fn row(&self, row: usize) -> UserRow<'_> {
        UserRow { all: self, row }
    }
}

impl UserRow<'_> {
    fn categories(&self) -> &[u32] {
        let width = self.all.widths[0];
        self.all.rows.categories.get(self.row * width..(self.row + 1) * width).unwrap_or_default()
    }

    fn numbers(&self) -> &[f32] {
        let width = self.all.widths[2];
        self.all.rows.numbers.get(self.row * width..(self.row + 1) * width).unwrap_or_default()
    }

    fn bag(&self, bag: usize) -> &[u32] {
        let (slices, values) = &self.all.rows.bags[bag];
        let slice = slices.get(2 * self.row..2 * self.row + 2).unwrap_or(&[0, 0]);
        values.get(slice[0] as usize..(slice[0] + slice[1]) as usize).unwrap_or_default()
    }
}

impl Model {
    /// Columns of users as the model takes them, for [`Query::features`]. They are matched by name and kind, their categories by
    /// their words; what the model does not know is unknown, and so is a column that is not there. `known` has the model's dense
    /// user of each row, whose id counts; 0 for one whom it does not know.
    #[must_use]
    pub fn user_rows(&self, features: &Features, known: &[u32]) -> UserRows {
        let (side, extra) = (&self.schema.user, &self.schema.extra);
        let own = &self.data.user_features;
        let given = in_words_of(own, features, known.len());
        let derived = extra.derive_like(own, &given);
        let id =
            |function, row: usize| self.schema.user_id(&self.data, &self.trained.users, function, known[row] as usize);
        let widths = [side.categories.len(), side.bags.len(), side.numbers.len()];
        UserRows { rows: side.rows(extra, &derived, known.len(), false, id), widths }
    }

    /// The row of one user, by column and value as text, bags with `|` between their parts; of a known `user` (dense id, else 0)
    /// the columns that are not named are as the model has them. Also gives the values that the model does not know, in words.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] for a column that the model does not have, and a number that is none.
    pub fn user_row(&self, user: u32, values: &[(String, String)]) -> Result<(UserRows, Vec<String>)> {
        let own = &self.data.user_features;
        let mut features = own.rows_of(&[user]);
        let mut unknown = Vec::new();
        for (name, value) in values {
            let Some((_, column)) = features.columns.iter_mut().find(|(n, _)| n == name) else {
                let names: Vec<&str> = own.columns.iter().map(|(name, _)| name.as_str()).collect();
                let list = if names.is_empty() { "none".into() } else { names.join(", ") };
                return Err(Error::Request(format!("the model has no user column `{name}`; it has: {list}")));
            };
            let mut id = |vocab: &Vocab, raw: &str| {
                let id = vocab.get(raw);
                if id.is_none() && !raw.is_empty() {
                    unknown.push(format!("{name} `{raw}` is none that the model knows: it counts as unknown"));
                }
                id
            };
            match column {
                Column::Category { vocab, values } => *values = vec![id(vocab, value).unwrap_or(0)],
                Column::Bag { vocab, offsets, values } => {
                    *values = value.split('|').map(str::trim).filter_map(|part| id(vocab, part)).collect();
                    *offsets = vec![0, values.len() as u32];
                }
                Column::Number { values } => {
                    let number = value.parse::<f32>().ok().filter(|number| number.is_finite());
                    let bad = || Error::Request(format!("user column {name}: `{value}` is not a finite number"));
                    *values = vec![if value.is_empty() { f32::NAN } else { number.ok_or_else(bad)? }];
                }
            }
        }
        Ok((self.user_rows(&features, &[user]), unknown))
    }

    /// The programs of users whose columns come with the request.
    pub(crate) fn given_users(&self) -> Result<Arc<Programs>> {
        self.given_users.get(|| {
            let tape = user_tape(&self.config, &self.schema, self.store.params(), true)?;
            Programs::new(tape, &self.store)
        })
    }

    /// Writes the columns of the queries' users; there are `chunk` of them, the last ones padding.
    pub(crate) fn write_given(&self, program: &mut Program, queries: &[&Query<'_>], chunk: usize) -> Result<()> {
        let side = &self.schema.user;
        let users = || queries.iter().filter_map(|q| q.features);
        if !side.categories.is_empty() {
            let mut categories: Vec<u32> = users().flat_map(|user| user.categories().to_vec()).collect();
            categories.resize(chunk * side.categories.len(), 0);
            program.write_u32("query.user.categories", &categories)?;
        }
        for (b, bag) in side.bags.iter().enumerate() {
            let (mut slices, mut values) = (vec![0u32; 2 * chunk], vec![0u32; chunk * bag.max_len]);
            for (i, user) in users().enumerate() {
                // Longer lists than training had are cut.
                let list = user.bag(b);
                let list = &list[..list.len().min(bag.max_len)];
                slices[2 * i..][..2].copy_from_slice(&[(i * bag.max_len) as u32, list.len() as u32]);
                values[i * bag.max_len..][..list.len()].copy_from_slice(list);
            }
            program.write_u32(&format!("query.user.{}.slices", bag.name), &slices)?;
            program.write_u32(&format!("query.user.{}.values", bag.name), &values)?;
        }
        if !side.numbers.is_empty() {
            let mut numbers: Vec<f32> = users().flat_map(|user| user.numbers().to_vec()).collect();
            numbers.resize(chunk * side.numbers.len(), 0.0);
            program.write_f32("query.user.numbers", &numbers)?;
        }
        Ok(())
    }
}

/// The columns of `own` with `rows` rows of `given`, in the categories of `own`.
fn in_words_of(own: &Features, given: &Features, rows: usize) -> Features {
    let column = |(name, column): &(String, Column)| {
        let found = given.columns.iter().find(|(n, _)| n == name).map(|(_, column)| column);
        let column = match (column, found) {
            (Column::Category { vocab, .. }, Some(Column::Category { vocab: theirs, values })) => {
                let value = |row: usize| values.get(row).map_or(0, |value| vocab.get(theirs.raw(*value)).unwrap_or(0));
                Column::Category { vocab: vocab.clone(), values: (0..rows).map(value).collect() }
            }
            (Column::Category { vocab, .. }, _) => Column::Category { vocab: vocab.clone(), values: vec![0; rows] },
            (Column::Bag { vocab, .. }, found) => {
                let (mut offsets, mut values) = (vec![0], Vec::new());
                for row in 0..rows {
                    if let Some(Column::Bag { vocab: theirs, offsets: starts, values: list }) = found
                        && row + 1 < starts.len()
                    {
                        let own = &list[starts[row] as usize..starts[row + 1] as usize];
                        values.extend(own.iter().filter_map(|value| vocab.get(theirs.raw(*value))));
                    }
                    offsets.push(values.len() as u32);
                }
                Column::Bag { vocab: vocab.clone(), offsets, values }
            }
            (Column::Number { .. }, found) => {
                let values = match found {
                    Some(Column::Number { values }) => values.as_slice(),
                    _ => &[],
                };
                Column::Number { values: (0..rows).map(|row| values.get(row).copied().unwrap_or(f32::NAN)).collect() }
            }
        };
        (name.clone(), column)
    };
    Features { columns: own.columns.iter().map(column).collect() }
}
