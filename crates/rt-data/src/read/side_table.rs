//! Tables of items and of users beside the log: columns, titles, release times, and items that nobody clicked yet.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::identity::IdColumn;
use super::interactions::{column_set, fill, take_time};
use super::options::{FeatureSpec, MissingIds, ReadOptions};
use super::paths::{self, TableFile};
use super::roles::{ITEM_NAMES, TITLE_NAMES, USER_NAMES, bare, required};
use super::rows;
use super::table::{Cut, Form};
use crate::builder::Builder;
use crate::clock::FileClock;
use crate::columns::FeatureKind;
use crate::parse::finite;
use crate::{Error, Result, Times};

/// Further names of an item's title in its own table.
const NAME: &[&str] = &["title", "name"];
const RELEASE_NAMES: &[&str] = &[
    "release",
    "released",
    "releasetime",
    "releasedate",
    "published",
    "publishedat",
    "publicationdate",
    "createdat",
    "availablefrom",
];
/// Distinct values up to which whole numbers are taken for categories.
const FEW: usize = 20;

/// Distinct values of a column that are counted.
const MOST_DISTINCT: usize = 1 << 17;

/// Whose table it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Users,
    Items,
}

/// A table and what is read of it.
struct SideTable {
    of: Of,
    files: Vec<TableFile>,
    form: Form,
    id: String,
    title: Option<String>,
    release: Option<String>,
    specs: Vec<FeatureSpec>,
}

/// The tables beside a log.
pub(crate) struct SideTables(Vec<SideTable>);

impl SideTables {
    /// Looks at the tables that the options name; what they have is no longer asked of the log's own columns.
    pub(crate) fn open(options: &mut ReadOptions, builder: &mut Builder) -> Result<Self> {
        let mut tables = Vec::new();
        for (of, path) in [(Of::Users, options.user_table.clone()), (Of::Items, options.item_table.clone())] {
            if let Some(path) = path {
                tables.push(SideTable::open(of, &path, options, builder)?);
            }
        }
        Ok(Self(tables))
    }

    /// Reads them, once the log has given its users and items their ids.
    pub(crate) fn read(&self, options: &ReadOptions, builder: &mut Builder) -> Result<()> {
        self.0.iter().try_for_each(|table| table.read(options, builder))
    }
}

impl SideTable {
    fn open(of: Of, path: &Path, options: &mut ReadOptions, builder: &mut Builder) -> Result<Self> {
        let files = files(path)?;
        let form = Form { cut: options.delimiter.map(Cut::Byte), no_header: false };
        let rows = rows::open(&files[0], form)?;
        let rows = rows.as_ref();
        let has = |name: &str| rows.header().iter().any(|column| column == name);
        let usual =
            |names: &[&str]| rows.header().iter().find(|column| names.contains(&bare(column).as_str())).cloned();
        let (given, names, what, flag) = match of {
            Of::Users => (&options.user_col, USER_NAMES, "user", "--user-col"),
            Of::Items => (&options.item_col, ITEM_NAMES, "item", "--item-col"),
        };
        let given = given.clone().filter(|name| has(name)).or_else(|| usual(names)).or_else(|| usual(&["id"]));
        let id = rows.header()[required(rows, given.as_deref(), names, what, flag)?].clone();
        let (mut title, mut release) = (None, None);
        if of == Of::Items {
            title = options
                .title_col
                .clone()
                .filter(|name| has(name))
                .or_else(|| usual(TITLE_NAMES))
                .or_else(|| usual(NAME));
            release = usual(RELEASE_NAMES);
            if title.is_some() {
                options.title_col = None;
            }
        }
        let asked = if of == Of::Users { &mut options.user_features } else { &mut options.item_features };
        let mut specs: Vec<FeatureSpec> = Vec::new();
        if asked.is_empty() {
            let taken: Vec<&String> = [Some(&id), title.as_ref(), release.as_ref()].into_iter().flatten().collect();
            let free = |column: &&String| !taken.contains(column);
            let columns: Vec<String> = rows.header().iter().filter(free).cloned().collect();
            specs = guessed(&files, form, &columns, builder)?;
        } else {
            asked.retain(|spec| {
                let own = has(&spec.column);
                if own {
                    specs.push(spec.clone());
                }
                !own
            });
        }
        Ok(Self { of, files, form, id, title, release, specs })
    }

    fn read(&self, options: &ReadOptions, builder: &mut Builder) -> Result<()> {
        let mut columns = column_set(&self.specs);
        let (mut repeated, mut seen) = (0u64, HashSet::new());
        for file in &self.files {
            let open = || rows::open(file, self.form);
            let mut rows = open()?;
            let rows = rows.as_mut();
            let place = |name: &String| rows.column(name);
            let places = self.specs.iter().map(|spec| place(&spec.column)).collect::<Result<Vec<_>>>()?;
            let (title, release) =
                (self.title.as_ref().map(place).transpose()?, self.release.as_ref().map(place).transpose()?);
            let side = if self.of == Of::Users { "user" } else { "item" };
            let mut ids = IdColumn::new(side, place(&self.id)?, MissingIds::Drop);
            let fields: Vec<usize> = places.iter().copied().chain([ids.field]).chain(title).chain(release).collect();
            rows.select(&fields)?;
            if let Some(note) = rows.note() {
                builder.notes.about(&file.path, note);
            }
            let mut clock = FileClock::new(options.time_unit);
            let mut released = (Vec::new(), Times::default());
            while rows.advance()? {
                if ids.skips(rows, &mut builder.notes)? {
                    continue;
                }
                let known = if self.of == Of::Users { &mut builder.users } else { &mut builder.items };
                let row = ids.read(rows, known, &open)?;
                let first = seen.insert(row);
                repeated += u64::from(!first);
                fill(rows, &mut columns.columns, &places, row)?;
                if let Some(field) = title.filter(|_| first)
                    && let title = rows.text(field)?
                    && !title.is_empty()
                {
                    builder.set_title(row, &title);
                }
                if let Some(field) = release
                    && !rows.text(field)?.is_empty()
                {
                    released.1.push(take_time(rows, field, &mut clock)?);
                    released.0.push(row);
                }
            }
            ids.finish(&file.path, &mut builder.notes);
            clock.settle(&mut released.1, 0, (&mut Times::default(), 0));
            builder.released.extend(released.0.into_iter().zip(released.1.iter()));
        }
        if repeated > 0 {
            let what =
                format!("{{}}: {repeated} rows are of ids that have one already: the first value of a column counts");
            builder.notes.about(&self.files[0].path, what);
        }
        if self.of == Of::Users {
            builder.user_table = columns;
        } else {
            builder.item_table = columns;
            builder.offered = seen.into_iter().collect();
        }
        Ok(())
    }
}

fn files(path: &Path) -> Result<Vec<TableFile>> {
    let mut files = Vec::new();
    for path in paths::between_commas(path) {
        let meta = std::fs::metadata(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
        files.extend(if meta.is_dir() { paths::tables_of(&path)? } else { vec![TableFile::alone(&path)] });
    }
    match files.is_empty() {
        true => Err(Error::Format { path: PathBuf::from(path), what: "no table is there".into() }),
        false => Ok(files),
    }
}

/// What a column holds, by its values.
#[derive(Debug, Default)]
struct Sample {
    filled: usize,
    numbers: usize,
    fractions: bool,
    lists: usize,
    distinct: HashSet<String>,
}

impl Sample {
    fn add(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.filled += 1;
        if let Some(number) = finite(text.as_bytes()) {
            self.numbers += 1;
            self.fractions |= number.fract() != 0.0;
        }
        self.lists += usize::from(text.contains('|'));
        if self.distinct.len() < MOST_DISTINCT {
            self.distinct.insert(text.to_owned());
        }
    }

    /// `None` for a column that says nothing: an empty one, one value, or text that is another in nearly every row.
    fn kind(&self) -> Option<FeatureKind> {
        let (filled, distinct) = (self.filled, self.distinct.len());
        if distinct < 2 {
            return None;
        }
        if self.numbers == filled && (self.fractions || distinct > FEW) {
            return Some(FeatureKind::Number);
        }
        if 10 * self.lists >= filled {
            return Some(FeatureKind::Bag('|'));
        }
        (distinct <= FEW || 2 * distinct <= filled).then_some(FeatureKind::Category)
    }
}

/// The columns that say something of users or items, and how they are taken; a note tells it.
fn guessed(files: &[TableFile], form: Form, names: &[String], builder: &mut Builder) -> Result<Vec<FeatureSpec>> {
    let mut samples: Vec<Sample> = names.iter().map(|_| Sample::default()).collect();
    let mut kinds: Vec<Option<FeatureKind>> = vec![None; names.len()];
    for file in files {
        let mut rows = rows::open(file, form)?;
        let places = names.iter().map(|name| rows.column(name)).collect::<Result<Vec<usize>>>()?;
        rows.select(&places)?;
        kinds = places.iter().map(|place| rows.kind(*place)).collect();
        while rows.advance()? {
            for (sample, place) in samples.iter_mut().zip(&places) {
                sample.add(&rows.text(*place)?);
            }
        }
    }
    let (mut specs, mut told, mut left) = (Vec::new(), Vec::new(), Vec::new());
    for ((name, sample), kind) in names.iter().zip(&samples).zip(kinds) {
        match kind.or_else(|| sample.kind()) {
            Some(kind) => {
                let word = match kind {
                    FeatureKind::Category => "",
                    FeatureKind::Number => ":number",
                    FeatureKind::Bag(_) => ":bag",
                };
                told.push(format!("{name}{word}"));
                specs.push(FeatureSpec { column: name.clone(), kind });
            }
            None => left.push(name.as_str()),
        }
    }
    let mut note = match told.is_empty() {
        true => "{}: no column is taken as a feature".to_owned(),
        false => format!("{{}}: the columns {} are taken as features", told.join(", ")),
    };
    if !left.is_empty() {
        note += &format!("; not {}, whose values are all alike or all different", left.join(", "));
    }
    builder.notes.about(&files[0].path, note);
    Ok(specs)
}
