//! Widths of embeddings that settings name: `column_dims`, over the rules of the schema.

use crate::config::{Config, ItemTable, ModelKind, Switch};
use crate::features::{ITEM_ID, USER_ID};
use crate::schema::{BagColumn, Category, Schema};
use crate::{Error, Result, keys};
use rt_data::Dataset;

/// Stands in `column_dims` for all columns that it does not name, but for the two ids.
const OTHERS: &str = "*";

impl Config {
    /// The width that the settings name for a column's embedding; `None` where the rule of the schema holds.
    pub(crate) fn column_dim(&self, name: &str) -> Option<usize> {
        let of = |name: &str| self.column_dims.iter().find(|(own, _)| own == name).map(|(_, width)| *width);
        of(name).or_else(|| of(OTHERS).filter(|_| name != ITEM_ID && name != USER_ID))
    }

    /// Width of the item table; 0 where it follows from the data that is still to come.
    pub(crate) fn item_dim(&self) -> usize {
        self.column_dim(ITEM_ID).unwrap_or(self.dim)
    }

    /// Gives columns the widths that the settings name for them.
    pub(crate) fn set_widths(&self, categories: &mut [Category], bags: &mut [BagColumn]) {
        let categories = categories.iter_mut().map(|category| (&category.name, &mut category.dim));
        for (name, dim) in categories.chain(bags.iter_mut().map(|bag| (&bag.name, &mut bag.dim))) {
            *dim = self.column_dim(name).unwrap_or(*dim);
        }
    }

    /// Holds the widths of a resolved configuration against the columns that there are.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a column that the model does not embed, and for a width that the table of YoutubeDNN's items cannot
    /// have.
    pub(crate) fn check_widths(&self, data: &Dataset, history_is_set: bool) -> Result<()> {
        if self.column_dims.is_empty() {
            return Ok(());
        }
        let bad = |what: String| Err(Error::Config(format!("column_dims: {what}")));
        let known = Schema::new(self, data, history_is_set, 1).embedded();
        let mut named = self.column_dims.iter().map(|(name, _)| name).filter(|name| *name != OTHERS);
        if let Some(name) = named.find(|name| !known.contains(name)) {
            if name == USER_ID && self.user_id == Switch::Off {
                return bad("with user_id = off no user has an id: leave user_id out".into());
            }
            let near = keys::nearest(name, known.iter().map(String::as_str));
            return bad(format!(
                "the model embeds no column `{name}`; the nearest is `{near}`; there are: {}{}",
                known.join(", "),
                if is_number(data, name) { " (numbers are embedded with numbers = quantile alone)" } else { "" }
            ));
        }
        let (width, dim) = (self.item_dim(), self.dim);
        if self.model == ModelKind::YoutubeDnn && self.item_table == ItemTable::Shared && width != dim {
            return bad(format!(
                "item_id={width}: with item_table = shared the table that the history pools is scored against users too, so it \
                 is as wide as their vectors, dim = {dim}; set dim = {width}, or item_table = separate, where the history's \
                 table has the width that you name and the one that is scored has dim"
            ));
        }
        Ok(())
    }
}

impl Schema {
    /// Names of all that is embedded by id or category, each once.
    fn embedded(&self) -> Vec<String> {
        let categories = self.user.categories.iter().chain(&self.item.categories).chain(&self.context);
        let bags = self.user.bags.iter().chain(&self.item.bags).map(|bag| &bag.name);
        let mut names = vec![ITEM_ID.to_owned()];
        for name in categories.map(|category| &category.name).chain(bags) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}

fn is_number(data: &Dataset, name: &str) -> bool {
    let mut columns = data.user_features.columns.iter().chain(&data.item_features.columns);
    columns.any(|(own, column)| own == name && matches!(column, rt_data::Column::Number { .. }))
}
