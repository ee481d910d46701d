//! Lists that kernels search by halves have to ascend. Constants are looked at when they are recorded, words that the host writes
//! before the next run: lists and slices are written one after the other, and fit each other only then.

use crate::store::Store;
use crate::tape::{Kind, Tape, Var};
use crate::{Error, Result};
use rt_kernels::Buffer;
use std::collections::BTreeMap;

/// Each row of `slices` is a list, (start, length) in `items`: whole constants or inputs, one of them at least an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lists {
    op: &'static str,
    slices: Var,
    items: Var,
}

/// The first list that does not ascend, in words. Slices that do not lie in the items are another check's.
fn wrong(slices: &[u32], items: &[u32]) -> Option<String> {
    slices.chunks_exact(2).enumerate().find_map(|(row, slice)| {
        let (start, length) = (slice[0] as usize, slice[1] as usize);
        let list = items.get(start..start.checked_add(length)?)?;
        let i = list.windows(2).position(|pair| pair[1] < pair[0])?;
        Some(format!("list {row} has id {} before {}: the ids of a list have to ascend", list[i], list[i + 1]))
    })
}

impl Tape {
    /// Holds lists of constants, and notes those that the host writes.
    pub(crate) fn lists_ascend(&mut self, op: &'static str, slices: Var, items: Var) -> Result<()> {
        let mut found = Vec::new();
        self.sources(slices, &mut found);
        if self.root(items) != items {
            return Ok(());
        }
        for slices in found {
            let kinds = [slices, items].map(|v| &self.values[v.0 as usize].kind);
            let lists = Lists { op, slices, items };
            match kinds {
                [Kind::Const { words: slices }, Kind::Const { words: items }] => {
                    wrong(slices, items).map_or(Ok(()), |what| Err(crate::error::shape(op, what)))?;
                }
                [Kind::Const { .. } | Kind::Input { .. }, Kind::Const { .. } | Kind::Input { .. }]
                    if !self.lists.contains(&lists) =>
                {
                    self.lists.push(lists);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The values whose rows are those of `v`, which may have been looked up; views are left out.
    fn sources(&self, v: Var, found: &mut Vec<Var>) {
        if self.root(v) != v || found.contains(&v) {
            return;
        }
        if self.values[v.0 as usize].kind != Kind::Temp {
            return found.push(v);
        }
        for node in &self.nodes {
            let Some(kernel) = &node.kernel else { continue };
            let reads: Vec<Option<[usize; 2]>> = node.reads.iter().map(|v| v.map(|v| self.shape(v))).collect();
            let slots = node.writes.iter().enumerate().filter(|(_, w)| **w == Some(v));
            for made in slots.filter_map(|(slot, _)| kernel.made(slot, &reads)).filter(|made| made.whole_rows) {
                made.of
                    .iter()
                    .filter_map(|i| node.reads.get(*i).copied().flatten())
                    .for_each(|v| self.sources(v, found));
            }
        }
    }

    /// The lists of this tape for a program whose own inputs are these.
    pub(crate) fn written_lists(&self, inputs: &BTreeMap<String, Buffer>) -> WrittenLists {
        let words = |v: Var| match &self.values[v.0 as usize].kind {
            Kind::Input { name } => Words::Named { name: name.clone(), buffer: inputs.get(name).cloned() },
            Kind::Const { words } => Words::Fixed(words.to_vec()),
            _ => Words::Fixed(Vec::new()),
        };
        let lists = self.lists.iter().map(|lists| (lists.op, [words(lists.slices), words(lists.items)])).collect();
        WrittenLists { lists, puts: 0, changed: true }
    }
}

/// Where the words of slices or items lie.
enum Words {
    Fixed(Vec<u32>),
    /// The store's data of this name, else the program's input.
    Named {
        name: String,
        buffer: Option<Buffer>,
    },
}

impl Words {
    fn read(&self, store: &Store) -> Result<Vec<u32>> {
        match self {
            Self::Fixed(words) => Ok(words.clone()),
            Self::Named { name, buffer } => match (store.find(name), buffer) {
                (Some(place), _) => place.read(store.device()),
                (None, Some(buffer)) => Ok(store.device().read_u32(buffer)?),
                (None, None) => Ok(Vec::new()),
            },
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Fixed(_) => None,
            Self::Named { name, .. } => Some(name),
        }
    }
}

/// The lists of a program that the host writes.
pub(crate) struct WrittenLists {
    /// The op, slices and items.
    lists: Vec<(&'static str, [Words; 2])>,
    /// How often the store's data under their names had been put when they were looked at.
    puts: u64,
    /// Was an input written since?
    changed: bool,
}

impl WrittenLists {
    /// An input of this name was written.
    pub(crate) fn note(&mut self, name: &str) {
        let is_of_these = self.names().any(|other| other == name);
        self.changed |= is_of_these;
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.lists.iter().flat_map(|(_, words)| words).filter_map(Words::name)
    }

    /// Looks at what was written since the last look.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] for the first list that does not ascend; it is told again until it does.
    pub(crate) fn check(&mut self, store: &Store) -> Result<()> {
        if self.lists.is_empty() {
            return Ok(());
        }
        let puts = store.puts(self.names());
        if !self.changed && puts == self.puts {
            return Ok(());
        }
        for (op, [slices, items]) in &self.lists {
            if let Some(what) = wrong(&slices.read(store)?, &items.read(store)?) {
                let name = items.name().or(slices.name()).unwrap_or_default().to_owned();
                return Err(Error::Data { name, what: format!("`{op}` searches it by halves, and {what}") });
            }
        }
        (self.puts, self.changed) = (puts, false);
        Ok(())
    }
}
