//! Pretrained item vectors from `.npy` or `.safetensors`: features that stay, or the start of the item table.
//!
//! Row i of the vectors belongs to raw id i: line i of `NAME.ids.txt` or `NAME.ids.csv` beside `NAME.npy` or
//! `NAME.safetensors` (its first column; a header line may stand above), or entry i of the tensor `ids`.

use crate::config::Config;
use crate::features::VECTORS;
use crate::{Error, Result};
use rt_data::{Column, Dataset};
use rt_tensor::Store;
use safetensors::tensor::{Dtype, SafeTensors};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Vectors of the items of a data set.
#[derive(Debug)]
pub(crate) struct ItemVectors {
    /// By dense item; empty where the file has none.
    rows: Vec<Vec<f32>>,
    dim: usize,
}

/// Reads the file that the configuration names.
pub(crate) fn read(config: &Config, data: &Dataset) -> Result<Option<ItemVectors>> {
    if config.item_vectors.is_empty() {
        return Ok(None);
    }
    let path = Path::new(&config.item_vectors);
    let bytes = fs::read(path).map_err(|e| fail(path, &format!("cannot be read: {e}")))?;
    let (shape, values, own_ids) = match path.extension().and_then(|e| e.to_str()) {
        Some("npy") => npy(&bytes).map(|(shape, values)| (shape, values, None)),
        Some("safetensors") => safetensors(&bytes),
        _ => Err("is named neither .npy nor .safetensors".into()),
    }
    .map_err(|what| fail(path, &what))?;
    let [n, dim] = shape;
    if n == 0 || dim == 0 || dim > 4096 {
        return Err(fail(path, &format!("has shape [{n}, {dim}]; at least one row, and 1 to 4096 columns are needed")));
    }
    if let Some(i) = values.iter().position(|x| !x.is_finite()) {
        return Err(fail(path, &format!("row {}, column {} is {}, no finite number", i / dim, i % dim, values[i])));
    }
    let ids = own_ids.map_or_else(|| ids_beside(path, n), Ok)?;
    if ids.len() != n {
        return Err(fail(path, &format!("has {n} rows of vectors and {} ids", ids.len())));
    }
    let mut rows = vec![Vec::new(); data.items.rows()];
    for (raw, row) in ids.iter().zip(values.chunks(dim)) {
        if let Some(item) = data.items.get(raw) {
            if !rows[item as usize].is_empty() {
                return Err(fail(path, &format!("item `{raw}` has two rows")));
            }
            rows[item as usize] = row.to_vec();
        }
    }
    let (known, items) = (rows.iter().filter(|row| !row.is_empty()).count(), rows.len() - 1);
    if known == 0 {
        let ours = data.items.raw(1);
        let what = format!("none of its {n} ids, such as `{}`, is an item of the data, such as `{ours}`", ids[0]);
        return Err(fail(path, &what));
    }
    if known < items {
        tracing::warn!("item_vectors: {} of {items} items have no vector in {}", items - known, path.display());
    }
    Ok(Some(ItemVectors { rows, dim }))
}

fn fail(path: &Path, what: &str) -> Error {
    Error::Config(format!("item_vectors: {} {what}", path.display()))
}

impl ItemVectors {
    /// The data with the vectors as number columns of items; as it is where they start the item table. Items without a
    /// vector get the mean, which is 0 once columns are standardised.
    pub(crate) fn attach(&self, config: &Config, data: &Arc<Dataset>) -> Result<Arc<Dataset>> {
        if config.item_vectors_tune {
            let table = config.item_dim();
            if table != 0 && self.dim != table {
                let named = if table == config.dim { "dim" } else { "the width of item_id in column_dims" };
                let what = format!("its vectors have {} columns, the item table has {named} = {table}", self.dim);
                return Err(fail(Path::new(&config.item_vectors), &what));
            }
            return Ok(data.clone());
        }
        let known = self.rows.iter().filter(|row| !row.is_empty()).count() as f64;
        let mut with = Dataset::clone(data);
        // Data behind a saved model's has its vectors already; the file speaks of the new items too.
        with.item_features.columns.retain(|(name, _)| !name.starts_with(VECTORS));
        for c in 0..self.dim {
            let sum: f64 = self.rows.iter().filter_map(|row| row.get(c)).map(|x| f64::from(*x)).sum();
            let mean = (sum / known) as f32;
            let mut values: Vec<f32> = self.rows.iter().map(|row| row.get(c).copied().unwrap_or(mean)).collect();
            values[0] = 0.0;
            with.item_features.columns.push((format!("{VECTORS}{c}"), Column::Number { values }));
        }
        Ok(Arc::new(with))
    }

    /// Columns of the vectors.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// Writes the vectors over the item table's first values; items without one keep theirs.
    pub(crate) fn start(&self, store: &Store) -> Result<()> {
        let mut table = store.get("item_id")?;
        for (cells, row) in table.chunks_mut(self.dim).zip(&self.rows) {
            if !row.is_empty() {
                cells.copy_from_slice(row);
            }
        }
        Ok(store.set("item_id", &table)?)
    }
}

type Parsed<T> = std::result::Result<T, String>;

/// NumPy's format, versions 1 to 3: `<f4` or `<f8` in C order, two dimensions.
fn npy(bytes: &[u8]) -> Parsed<([usize; 2], Vec<f32>)> {
    let short = || "ends before its header does".to_owned();
    if bytes.get(..6) != Some(b"\x93NUMPY") {
        return Err("is no .npy file: it does not start with \\x93NUMPY".into());
    }
    let byte = |i: usize| bytes.get(i).map(|b| usize::from(*b)).ok_or_else(short);
    let (start, length) = match byte(6)? {
        1 => (10, byte(8)? | byte(9)? << 8),
        2 | 3 => (12, byte(8)? | byte(9)? << 8 | byte(10)? << 16 | byte(11)? << 24),
        version => return Err(format!("has .npy version {version}; 1 to 3 are read")),
    };
    let header = bytes.get(start..start + length).ok_or_else(short)?;
    let header = String::from_utf8_lossy(header);
    let after = |key: &str| header.split_once(&format!("'{key}'")).and_then(|(_, rest)| rest.split_once(':'));
    let field =
        |key: &str| after(key).map(|(_, rest)| rest.trim_start()).ok_or(format!("has no `{key}` in its header"));
    if !field("fortran_order")?.starts_with("False") {
        return Err("is in Fortran order; save np.ascontiguousarray(vectors)".into());
    }
    let descr = field("descr")?;
    let inner = field("shape")?.trim_start_matches('(').split(')').next().unwrap_or("");
    let shape: Vec<usize> = inner.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    let [n, dim] = shape[..] else {
        return Err(format!("has shape ({inner}); two dimensions, items and columns, are needed"));
    };
    let body = &bytes[start + length..];
    let width = match descr.get(..5) {
        Some("'<f4'") => 4,
        Some("'<f8'") => 8,
        _ => {
            let kind = descr.split(',').next().unwrap_or("");
            return Err(format!("holds {kind}; '<f4' or '<f8' is read: save vectors.astype(np.float32)"));
        }
    };
    let wanted = n.checked_mul(dim).and_then(|cells| cells.checked_mul(width));
    if wanted != Some(body.len()) {
        return Err(format!("has {} bytes after its header; shape ({n}, {dim}) does not take that many", body.len()));
    }
    Ok(([n, dim], floats(body, width)))
}

fn floats(bytes: &[u8], width: usize) -> Vec<f32> {
    let wide = |b: &[u8]| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32;
    let narrow = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    bytes.chunks_exact(width).map(|b| if width == 8 { wide(b) } else { narrow(b) }).collect()
}

type Vectors = ([usize; 2], Vec<f32>, Option<Vec<String>>);

/// The tensor `vectors`, or the only one of floats in two dimensions; and the tensor `ids` where there is one.
fn safetensors(bytes: &[u8]) -> Parsed<Vectors> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| format!("is no .safetensors file: {e}"))?;
    let all = tensors.tensors();
    let width = |dtype: Dtype| match dtype {
        Dtype::F32 => Some(4),
        Dtype::F64 => Some(8),
        _ => None,
    };
    let fits: Vec<_> = all
        .iter()
        .filter(|(_, t)| t.shape().len() == 2 && width(t.dtype()).is_some())
        .map(|(name, t)| (name, t))
        .collect();
    let found = fits.iter().find(|(name, _)| *name == "vectors").or(if fits.len() == 1 { fits.first() } else { None });
    let Some((_, vectors)) = found else {
        return Err(format!("has {} tensors of floats in two dimensions and none called `vectors`", fits.len()));
    };
    let shape = [vectors.shape()[0], vectors.shape()[1]];
    let values = floats(vectors.data(), width(vectors.dtype()).unwrap_or(4));
    let Some((_, ids)) = all.iter().find(|(name, _)| name == "ids") else {
        return Ok((shape, values, None));
    };
    let word = |b: &[u8]| [b[0], b[1], b[2], b[3]];
    let long = |b: &[u8]| [b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]];
    let list: Vec<String> = match ids.dtype() {
        Dtype::I64 => ids.data().chunks_exact(8).map(|b| i64::from_le_bytes(long(b)).to_string()).collect(),
        Dtype::U64 => ids.data().chunks_exact(8).map(|b| u64::from_le_bytes(long(b)).to_string()).collect(),
        Dtype::I32 => ids.data().chunks_exact(4).map(|b| i32::from_le_bytes(word(b)).to_string()).collect(),
        Dtype::U32 => ids.data().chunks_exact(4).map(|b| u32::from_le_bytes(word(b)).to_string()).collect(),
        other => {
            return Err(format!("has ids of type {other:?}; 32- or 64-bit integers are read, or a text file of ids"));
        }
    };
    Ok((shape, values, Some(list)))
}

/// Raw ids in the file beside the vectors.
fn ids_beside(path: &Path, n: usize) -> Result<Vec<String>> {
    let files = ["ids.txt", "ids.csv"].map(|e| path.with_extension(e));
    let Some(file) = files.iter().find(|file| file.is_file()) else {
        let [txt, csv] = files.map(|file| file.display().to_string());
        let what = format!("has no ids: write the raw item id of each row, one a line, to {txt} or {csv}");
        return Err(fail(path, &what));
    };
    let text = fs::read_to_string(file).map_err(|e| fail(file, &format!("cannot be read: {e}")))?;
    let first = |line: &str| line.split(',').next().unwrap_or("").trim().trim_matches('"').to_owned();
    let mut ids: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(first).collect();
    if ids.len() == n + 1 {
        ids.remove(0); // a header
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(descr: &str, order: &str, shape: &str, body: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn npy_of_both_widths_and_what_is_refused() {
        let narrow: Vec<u8> = [1.0f32, 2.0, -3.5, 4.0, 5.0, 6.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let wide: Vec<u8> = [0.25f64, -8.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let want = ([3, 2], vec![1.0, 2.0, -3.5, 4.0, 5.0, 6.0]);
        assert_eq!(npy(&file("<f4", "False", "(3, 2)", &narrow)).unwrap(), want);
        assert_eq!(npy(&file("<f8", "False", "(2, 1)", &wide)).unwrap(), ([2, 1], vec![0.25, -8.0]));
        let refuse = |bytes: &[u8], what: &str| {
            let error = npy(bytes).unwrap_err();
            assert!(error.contains(what), "{error}");
        };
        refuse(b"PK\x03\x04", "no .npy file");
        refuse(&file("<f4", "False", "(3, 2)", &narrow)[..20], "before its header");
        refuse(&file("<f4", "True", "(3, 2)", &narrow), "Fortran");
        refuse(&file("<i8", "False", "(3, 1)", &narrow), "'<i8'");
        refuse(&file("<f4", "False", "(6,)", &narrow), "two dimensions");
        refuse(&file("<f4", "False", "(4, 2)", &narrow), "24 bytes");
        refuse(&file("<f4", "False", "(18446744073709551615, 2)", &narrow), "24 bytes");
    }
}
