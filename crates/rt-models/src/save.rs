//! A saved model: one folder that loads on any device, and holds all that recommending needs.
//!
//! `model.safetensors` has the parameters, histories and features; `model.json` the configuration, schema, vocabularies
//! and titles, for people to read; `manifest.json` the format's number, and length and SHA-256 of both.

mod searches;

use crate::config::{Config, ModelKind};
use crate::model::Model;
use crate::schema::Schema;
use crate::trained::Trained;
use crate::{Error, Result};
use rt_data::{Column, Dataset, Features, Mask, Vocab};
use rt_tensor::{Device, Store};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Number of the folder's format; newer ones are refused.
const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
const TENSORS: &str = "model.safetensors";
const READABLE: &str = "model.json";
const KIND: &str = "recall-tape model";

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    kind: String,
    format: u32,
    written_by: String,
    files: Vec<FileEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FileEntry {
    name: String,
    bytes: u64,
    sha256: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Readable {
    model: String,
    /// The resolved configuration, as TOML.
    config: String,
    data: String,
    history_is_set: bool,
    /// What lists leave out, as `--mask` names it; absent in folders of older versions, which left out the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mask: Option<String>,
    /// What `data.event_time` counts its seconds from; absent where the data has no clock times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_origin: Option<i64>,
    users: Vec<String>,
    items: Vec<String>,
    titles: Vec<String>,
    user_features: Vec<ColumnInfo>,
    item_features: Vec<ColumnInfo>,
    event_features: Vec<ColumnInfo>,
    /// Absent where the model reads no searches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    searches: Option<searches::SearchInfo>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ColumnInfo {
    name: String,
    kind: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    categories: Vec<String>,
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> Error + '_ {
    move |source| Error::Io { path: path.to_owned(), source }
}

pub(crate) fn folder(path: &Path, what: impl Into<String>) -> Error {
    Error::Folder { path: path.to_owned(), what: what.into() }
}

/// Can a model be written to `out`? It may where nothing is there, an empty folder, or a model of ours; that a folder can be made
/// beside it, as [`Model::save`] does, is tried. What is made for that is taken away again.
///
/// # Errors
///
/// [`Error::Folder`] where something else is there, [`Error::Io`] where the system refuses.
pub fn check_out(out: &Path) -> Result<()> {
    check_place(out)?;
    let (parent, name) = parts(out)?;
    if let Some(file) = parent.ancestors().find(|folder| folder.exists()).filter(|folder| !folder.is_dir()) {
        return Err(folder(out, format!("cannot be made: {} is no folder; name another --out", file.display())));
    }
    let missing: Vec<&Path> = parent.ancestors().take_while(|folder| !folder.exists()).collect();
    let beside = parent.join(format!(".{name}.try-{}", std::process::id()));
    let tried = fs::create_dir_all(&parent)
        .and_then(|()| fs::create_dir(&beside))
        .and_then(|()| fs::write(beside.join(MANIFEST), "{}"))
        .map_err(|e| std::io::Error::new(e.kind(), format!("cannot be written ({e}); name another --out")))
        .map_err(io(out));
    let _ = fs::remove_dir_all(&beside);
    for folder in missing {
        let _ = fs::remove_dir(folder);
    }
    tried
}

/// The folder that `out` stands in, and its name in it.
fn parts(out: &Path) -> Result<(PathBuf, String)> {
    let full = std::path::absolute(out).map_err(io(out))?;
    match (full.parent(), full.file_name()) {
        (Some(parent), Some(name)) => Ok((parent.to_owned(), name.to_string_lossy().into_owned())),
        _ => Err(folder(out, "names no folder that could be made: name one")),
    }
}

/// Does nothing stand there, an empty folder, or a model of ours?
fn check_place(out: &Path) -> Result<()> {
    if !out.exists() {
        return Ok(());
    }
    if out.is_dir() {
        if out.join(MANIFEST).is_file() && read_manifest(out).is_ok() {
            return Ok(());
        }
        if fs::read_dir(out).map_err(io(out))?.next().is_none() {
            return Ok(());
        }
    }
    Err(folder(out, "stands there and is no model of recall-tape: it is left as it is; name another --out"))
}

/// Writes tensors and the readable part to the folder `out` with their manifest: whole, or not at all. A model that stands
/// there is replaced.
pub(crate) fn write_folder(out: &Path, tensors: &[u8], readable: &[u8]) -> Result<()> {
    check_place(out)?;
    let (parent, name) = parts(out)?;
    let out = &*parent.join(out.file_name().unwrap_or_else(|| name.as_ref()));
    fs::create_dir_all(&parent).map_err(io(&parent))?;
    let fresh = parent.join(format!(".{name}.new-{}", std::process::id()));
    let old = parent.join(format!(".{name}.old-{}", std::process::id()));
    let written = write_into(&fresh, tensors, readable).and_then(|()| {
        if out.exists() {
            fs::rename(out, &old).map_err(io(out))?;
        }
        fs::rename(&fresh, out).map_err(io(out)).inspect_err(|_| {
            let _ = fs::rename(&old, out); // put back what stood there
        })
    });
    let _ = fs::remove_dir_all(&old);
    if written.is_err() {
        let _ = fs::remove_dir_all(&fresh);
    }
    written
}

fn write_into(path: &Path, tensors: &[u8], readable: &[u8]) -> Result<()> {
    fs::create_dir_all(path).map_err(io(path))?;
    let mut files = Vec::new();
    for (name, bytes) in [(TENSORS, tensors), (READABLE, readable)] {
        let file = path.join(name);
        fs::write(&file, bytes).map_err(io(&file))?;
        files.push(FileEntry { name: name.into(), bytes: bytes.len() as u64, sha256: hex(&Sha256::digest(bytes)) });
    }
    let written_by = format!("recall-tape {}", env!("CARGO_PKG_VERSION"));
    let manifest = Manifest { kind: KIND.into(), format: FORMAT, written_by, files };
    let file = path.join(MANIFEST);
    let bytes = serde_json::to_vec_pretty(&manifest).map_err(|e| folder(path, e.to_string()))?;
    fs::write(&file, bytes).map_err(io(&file))
}

/// The tensors and the readable part of a model's folder, held against its manifest.
pub(crate) fn read_folder(path: &Path) -> Result<(Vec<u8>, Vec<u8>)> {
    let manifest = read_manifest(path)?;
    Ok((read_file(path, &manifest, TENSORS)?, read_file(path, &manifest, READABLE)?))
}

/// A file of a model's folder, held against the manifest.
fn read_file(path: &Path, manifest: &Manifest, name: &str) -> Result<Vec<u8>> {
    let entry = manifest.files.iter().find(|f| f.name == name);
    let entry = entry.ok_or_else(|| folder(path, format!("is damaged: the manifest does not list {name}")))?;
    let file = path.join(name);
    let bytes = fs::read(&file).map_err(|e| folder(&file, format!("cannot be read ({e}); the model is damaged")))?;
    if bytes.len() as u64 != entry.bytes {
        let (have, want) = (bytes.len(), entry.bytes);
        let what = format!("has {have} bytes, the manifest says {want}: it is truncated or was changed");
        return Err(folder(&file, what));
    }
    if hex(&Sha256::digest(&bytes)) != entry.sha256 {
        return Err(folder(&file, "does not have the SHA-256 that the manifest says: it was changed"));
    }
    Ok(bytes)
}

/// The name of the model that a folder holds: `dssm`, `youtube-dnn` or `dssm-text`. Its tensors are not read: loading does.
///
/// # Errors
///
/// [`Error::Folder`] for a folder that is no model, or is damaged.
pub fn saved_model(path: &Path) -> Result<String> {
    name_of(path, &read_file(path, &read_manifest(path)?, READABLE)?)
}

fn name_of(path: &Path, readable: &[u8]) -> Result<String> {
    #[derive(Deserialize)]
    struct Kind {
        model: String,
    }
    let kind: Kind = serde_json::from_slice(readable).map_err(|e| folder(path, format!("is damaged: {e}")))?;
    Ok(kind.model)
}

/// Fails where the folder's model is of text and one of items is wanted, or the other way round.
pub(crate) fn wrong_kind(path: &Path, readable: &[u8], want_text: bool) -> Result<()> {
    let name = name_of(path, readable)?;
    let what = match (name == crate::text::NAME, want_text) {
        (true, false) => "holds a model of texts: ask it with `recall search`".to_owned(),
        (false, true) => format!("holds a {name} model, none of texts: ask it with `recall recommend`"),
        _ => return Ok(()),
    };
    Err(folder(path, what))
}

/// A tensor to write: name, type, shape, bytes.
type Tensor = (String, Dtype, Vec<usize>, Vec<u8>);

/// A store's parameters and `more`, as safetensors.
pub(crate) fn parameters(store: &Store, more: Vec<Tensor>) -> Result<Vec<u8>> {
    let mut list: Vec<Tensor> = Vec::new();
    for p in store.params().list() {
        let values = store.get(&p.name)?;
        list.push((format!("param.{}", p.name), Dtype::F32, p.shape.to_vec(), floats(&values)));
    }
    list.extend(more);
    let refuse = |e: safetensors::SafeTensorError| Error::Request(format!("safetensors: {e}"));
    let mut views = Vec::new();
    for (name, dtype, shape, bytes) in &list {
        views.push((name.clone(), TensorView::new(*dtype, shape.clone(), bytes).map_err(refuse)?));
    }
    safetensors::serialize(views, None).map_err(refuse)
}

/// Sets a store's parameters from a model's tensors; [`Error::Request`] says which is wrong.
pub(crate) fn set_parameters(store: &Store, tensors: &SafeTensors<'_>) -> Result<()> {
    for p in store.params().list() {
        let values = read_floats(tensors, &format!("param.{}", p.name)).map_err(Error::Request)?;
        store.set(&p.name, &values).map_err(|e| match e {
            rt_tensor::Error::Data { .. } => Error::Request(e.to_string()),
            e => e.into(),
        })?;
    }
    Ok(())
}

/// SHA-256 of a store's parameters (little-endian f32), in the order of their names.
pub(crate) fn sha256(store: &Store) -> Result<String> {
    let mut names: Vec<&str> = store.params().list().iter().map(|p| p.name.as_str()).collect();
    names.sort_unstable();
    let mut hash = Sha256::new();
    for name in names {
        hash.update(floats(&store.get(name)?));
    }
    Ok(hex(&hash.finalize()))
}

impl Model {
    /// Writes the model to the folder `out`: whole, or not at all. A model that stands there is replaced.
    ///
    /// # Errors
    ///
    /// [`Error::Folder`] where something that is no model stands there, [`Error::Io`] where the system refuses.
    pub fn save(&self, out: &Path) -> Result<()> {
        let readable = serde_json::to_vec_pretty(&self.readable()).map_err(|e| folder(out, e.to_string()))?;
        write_folder(out, &self.tensors()?, &readable)
    }

    fn readable(&self) -> Readable {
        let data = &self.data;
        let raw = |vocab: &Vocab| vocab.iter().map(str::to_owned).collect();
        let columns = |features: &Features| {
            let info = |(name, column): &(String, Column)| {
                let (kind, categories) = match column {
                    Column::Category { vocab, .. } => ("category", raw(vocab)),
                    Column::Bag { vocab, .. } => ("bag", raw(vocab)),
                    Column::Number { .. } => ("number", Vec::new()),
                };
                ColumnInfo { name: name.clone(), kind: kind.into(), categories }
            };
            features.columns.iter().map(info).collect()
        };
        Readable {
            model: self.config.model.name().into(),
            config: self.config.to_toml(),
            data: data.name.clone(),
            history_is_set: self.schema.history_is_set,
            mask: Some(self.trained.mask.name().into()),
            time_origin: time_origin(data),
            users: raw(&data.users),
            items: raw(&data.items),
            titles: data.titles.iter().skip(1).cloned().collect(),
            user_features: columns(&data.user_features),
            item_features: columns(&data.item_features),
            event_features: columns(&data.event_features),
            searches: self.search_info(),
        }
    }

    fn tensors(&self) -> Result<Vec<u8>> {
        let mut list: Vec<Tensor> = Vec::new();
        let data = &self.data;
        let trained: Vec<u32> = self.trained.users.iter().map(|t| u32::from(*t)).collect();
        for (name, values) in [
            ("data.event_item", &data.event_item),
            ("data.user_start", &data.user_start),
            ("data.catalogue", &data.catalogue),
            ("data.trained", &trained),
            (TRAINED_EVENTS, &self.trained.events),
        ] {
            list.push((name.into(), Dtype::U32, vec![values.len()], words(values)));
        }
        if let Some(origin) = time_origin(data) {
            // Seconds past the origin; a time further than 136 years from the first is kept as the last that fits.
            let since = |t: i64| u32::try_from(t.saturating_sub(origin)).unwrap_or(u32::MAX);
            let times: Vec<u32> = data.event_time.iter().map(since).collect();
            list.push(("data.event_time".into(), Dtype::U32, vec![times.len()], words(&times)));
        }
        if !data.offered.is_empty() {
            list.push(("data.offered".into(), Dtype::U32, vec![data.offered.len()], words(&data.offered)));
        }
        if let Some(ids) = &self.schema.extra.item_ids {
            list.push(("data.item_ids".into(), Dtype::U32, vec![ids.len()], words(ids)));
        }
        for (side, features) in sides(data) {
            for (i, (_, column)) in features.columns.iter().enumerate() {
                let name = format!("data.{side}.{i}");
                match column {
                    Column::Category { values, .. } => {
                        list.push((name, Dtype::U32, vec![values.len()], words(values)));
                    }
                    Column::Bag { offsets, values, .. } => {
                        list.push((format!("{name}.offsets"), Dtype::U32, vec![offsets.len()], words(offsets)));
                        list.push((format!("{name}.values"), Dtype::U32, vec![values.len()], words(values)));
                    }
                    Column::Number { values } => {
                        list.push((name, Dtype::F32, vec![values.len()], floats(values)));
                    }
                }
            }
        }
        list.extend(self.search_tensors());
        parameters(&self.store, list)
    }

    /// SHA-256 of the parameters' bytes (little-endian f32), in the order of their names.
    ///
    /// # Errors
    ///
    /// Device errors.
    pub fn sha256(&self) -> Result<String> {
        sha256(&self.store)
    }

    /// Loads a saved model onto a device.
    ///
    /// # Errors
    ///
    /// [`Error::Folder`] for a folder that is no model, of a newer format, or damaged; device errors.
    pub fn load(device: &Device, path: &Path) -> Result<Self> {
        let (tensors, readable) = read_folder(path)?;
        wrong_kind(path, &readable, false)?;
        let damaged = |what: String| folder(path, format!("is damaged: {what}"));
        let readable: Readable = serde_json::from_slice(&readable).map_err(|e| damaged(e.to_string()))?;
        let tensors = SafeTensors::deserialize(&tensors).map_err(|e| damaged(e.to_string()))?;
        let kind: ModelKind = readable.model.parse()?;
        let mut config = Config::new(kind);
        config.read_toml(&readable.config)?;
        let data = Arc::new(read_data(&readable, &tensors).map_err(&damaged)?);
        let trained = read_trained(&readable, &tensors, &data).map_err(&damaged)?;
        let longest = data.user_start.windows(2).map(|w| (w[1] - w[0]) as usize).max().unwrap_or(0);
        let mut schema = Schema::new(&config, &data, readable.history_is_set, longest);
        // Without dropout they are there where the model has a table of items.
        if config.item_id_dropout > 0.0 || tensors.tensor("data.item_ids").is_ok() {
            let ids = read_words(&tensors, "data.item_ids").map_err(&damaged)?;
            if ids.len() != schema.item_rows || ids.iter().any(|id| *id as usize >= schema.item_rows) {
                return Err(damaged("rows of item ids and items do not fit each other".into()));
            }
            schema.extra.item_ids = Some(ids);
        }
        let read = |info| searches::read(info, &tensors, data.users.rows()).map_err(&damaged);
        let searches = readable.searches.as_ref().map(read).transpose()?;
        if searches.is_some() != (config.searches_read() > 0) {
            return Err(damaged("its settings and its searches do not fit each other".into()));
        }
        let model = Self::build(device, config, schema, data, trained, searches, 0)?;
        set_parameters(&model.store, &tensors).map_err(|e| match e {
            Error::Request(what) => damaged(what),
            e => e,
        })?;
        Ok(model)
    }
}

fn read_manifest(path: &Path) -> Result<Manifest> {
    let file = path.join(MANIFEST);
    if !file.is_file() {
        return Err(folder(path, format!("is no model of recall-tape: it has no {MANIFEST}")));
    }
    let text = fs::read(&file).map_err(io(&file))?;
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|e| folder(&file, format!("is damaged or no manifest of recall-tape: {e}")))?;
    if manifest.kind != KIND {
        return Err(folder(&file, "is no manifest of a recall-tape model"));
    }
    if manifest.format > FORMAT {
        let what =
            format!("has format {}, this program reads up to {FORMAT}: use a newer recall-tape", manifest.format);
        return Err(folder(path, what));
    }
    Ok(manifest)
}

fn sides(data: &Dataset) -> [(&'static str, &Features); 3] {
    [("user", &data.user_features), ("item", &data.item_features), ("event", &data.event_features)]
}

/// The first time of all, where times are clock times.
fn time_origin(data: &Dataset) -> Option<i64> {
    if data.time_is_order { None } else { data.event_time.iter().min() }
}

type Parsed<T> = std::result::Result<T, String>;

fn read_data(readable: &Readable, tensors: &SafeTensors<'_>) -> Parsed<Dataset> {
    let vocab = |list: &[String]| {
        let mut vocab = Vocab::new();
        for raw in list {
            vocab.insert(raw);
        }
        vocab
    };
    let columns = |side: &str, infos: &[ColumnInfo]| -> Parsed<Features> {
        let mut features = Features::default();
        for (i, info) in infos.iter().enumerate() {
            let name = format!("data.{side}.{i}");
            let column = match info.kind.as_str() {
                "category" => Column::Category { vocab: vocab(&info.categories), values: read_words(tensors, &name)? },
                "bag" => Column::Bag {
                    vocab: vocab(&info.categories),
                    offsets: read_words(tensors, &format!("{name}.offsets"))?,
                    values: read_words(tensors, &format!("{name}.values"))?,
                },
                "number" => Column::Number { values: read_floats(tensors, &name)? },
                other => {
                    return Err(format!("column `{}` is of unknown kind `{other}`", info.name));
                }
            };
            features.columns.push((info.name.clone(), column));
        }
        Ok(features)
    };
    let (users, items) = (vocab(&readable.users), vocab(&readable.items));
    let event_item = read_words(tensors, "data.event_item")?;
    let user_start = read_words(tensors, "data.user_start")?;
    let ordered = user_start.windows(2).all(|w| w[0] <= w[1]);
    if user_start.len() != users.rows() + 1 || !ordered || user_start.last() != Some(&(event_item.len() as u32)) {
        return Err("histories and users do not fit each other".into());
    }
    let event_time: rt_data::Times = match readable.time_origin {
        Some(origin) => {
            read_words(tensors, "data.event_time")?.iter().map(|t| origin.saturating_add(i64::from(*t))).collect()
        }
        None => rt_data::Times::default(),
    };
    if readable.time_origin.is_some() && event_time.len() != event_item.len() {
        return Err("there are not as many times as events".into());
    }
    let catalogue = read_words(tensors, "data.catalogue")?;
    let offered = match tensors.tensor("data.offered") {
        Ok(_) => read_words(tensors, "data.offered")?,
        Err(_) => Vec::new(),
    };
    if event_item.iter().chain(&catalogue).chain(&offered).any(|i| *i as usize >= items.rows()) {
        return Err("an item number lies past the vocabulary".into());
    }
    Ok(Dataset {
        name: readable.data.clone(),
        event_item,
        event_time,
        user_start,
        user_features: columns("user", &readable.user_features)?,
        item_features: columns("item", &readable.item_features)?,
        event_features: columns("event", &readable.event_features)?,
        titles: if readable.titles.is_empty() {
            Vec::new()
        } else {
            std::iter::once(String::new()).chain(readable.titles.iter().cloned()).collect()
        },
        catalogue,
        offered,
        users,
        items,
        ..Dataset::default()
    })
}

/// A bit an event: did it train?
const TRAINED_EVENTS: &str = "data.trained_events";

fn read_trained(readable: &Readable, tensors: &SafeTensors<'_>, data: &Dataset) -> Parsed<Trained> {
    let mask = match &readable.mask {
        None => Mask::History,
        Some(name) => Mask::parse(name).ok_or_else(|| format!("`{name}` is no mask"))?,
    };
    let users = read_words(tensors, "data.trained")?.iter().map(|t| *t != 0).collect();
    let kept = tensors.names().contains(&TRAINED_EVENTS);
    let events = if kept { read_words(tensors, TRAINED_EVENTS)? } else { Vec::new() };
    let trained = Trained { users, events, mask };
    if !trained.fits(data) {
        return Err("what it was trained on and its data do not fit each other".into());
    }
    Ok(trained)
}

fn read_words(tensors: &SafeTensors<'_>, name: &str) -> Parsed<Vec<u32>> {
    let tensor = tensors.tensor(name).map_err(|e| format!("tensor `{name}`: {e}"))?;
    if tensor.dtype() != Dtype::U32 {
        return Err(format!("tensor `{name}` does not hold integers"));
    }
    Ok(tensor.data().chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

fn read_floats(tensors: &SafeTensors<'_>, name: &str) -> Parsed<Vec<f32>> {
    let tensor = tensors.tensor(name).map_err(|e| format!("tensor `{name}`: {e}"))?;
    if tensor.dtype() != Dtype::F32 {
        return Err(format!("tensor `{name}` does not hold floats"));
    }
    Ok(tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
