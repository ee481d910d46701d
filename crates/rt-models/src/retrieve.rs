//! Exact retrieval: the k best items of an index by dot product, on a device.

use crate::model::Model;
use crate::query::Query;
use crate::{Error, Result};
use rt_kernels::codes::{self, Codes};
use rt_kernels::kernels::Search;
use rt_kernels::{Buffer, Call, CpuDevice, Device, Dtype, Operand, Operands, Program, Step};
use std::sync::Arc;

/// Words of scores that a GPU holds at a time: half of the smallest binding that WebGPU promises.
#[cfg(feature = "gpu")]
const SCORES: usize = 1 << 24;

/// Codes of the items are of use where there are so many items for each place of a list: of fewer, too many pass.
const PER_PLACE: usize = 128;

/// Items whose codes are made at a time: whole blocks.
const PIECE: usize = 1 << 16;

/// Item vectors on a device, searched exactly. On the CPU it holds codes of 8 bits beside the vectors, a quarter of their bytes, by
/// which most items are passed over.
///
/// ```
/// # use rt_models::{Device, Index};
/// let index = Index::new(&Device::cpu(0)?, &[1.0, 0.0, 0.0, 1.0, 0.6, 0.8], 2)?;
/// let best = index.search(&[0.0, 1.0], &[], 2)?;
/// assert_eq!(best, [[(1, 1.0), (2, 0.8)]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Index {
    device: Device,
    items: Buffer,
    /// Words and bounds of the items' codes.
    codes: Option<[Buffer; 2]>,
    rows: usize,
    dim: usize,
}

impl Index {
    /// Takes item vectors `[rows, dim]`, row-major; row r is item r.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] where the vectors are no rows of `dim` or a number is not finite; device errors.
    pub fn new(device: &Device, vectors: &[f32], dim: usize) -> Result<Self> {
        let mut index = Self::without_codes(device, vectors, dim)?;
        let codes = match device {
            Device::Cpu(cpu) => index.encode(cpu, vectors),
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => Ok(None),
        };
        index.codes = match codes {
            Err(Error::Kernels(rt_kernels::Error::Memory { .. })) => None,
            codes => codes?,
        };
        Ok(index)
    }

    /// Codes where they are of use, by pieces of the items.
    fn encode(&self, cpu: &CpuDevice, vectors: &[f32]) -> Result<Option<[Buffer; 2]>> {
        if !codes::COLUMNS.contains(&self.dim) || self.rows < PER_PLACE {
            return Ok(None);
        }
        let blocks = codes::blocks(self.rows);
        let words = self.device.zeros(Dtype::U32, blocks * codes::block_words(self.dim), "codes of items")?;
        let bounds = self.device.zeros(Dtype::F32, blocks * codes::BOUNDS, "bounds of items' codes")?;
        let (mut word, mut bound) = (0, 0);
        for piece in vectors.chunks(PIECE * self.dim) {
            let codes = cpu.compute(|| Codes::of(piece, self.dim));
            self.device.write(&words, word, &codes.words)?;
            self.device.write(&bounds, bound, bytemuck::cast_slice(&codes.bounds))?;
            word += codes.words.len();
            bound += codes.bounds.len();
        }
        Ok(Some([words, bounds]))
    }

    /// The same without the codes, for where their bytes are too many: it finds the same, but slower.
    ///
    /// # Errors
    ///
    /// As [`Index::new`].
    pub fn without_codes(device: &Device, vectors: &[f32], dim: usize) -> Result<Self> {
        if dim == 0 || !vectors.len().is_multiple_of(dim) {
            let what = format!("an index of {} numbers in rows of {dim}: they do not fit", vectors.len());
            return Err(Error::Request(what));
        }
        if let Some(i) = vectors.iter().position(|x| !x.is_finite()) {
            return Err(Error::Request(format!("the vector of item {} holds {}", i / dim, vectors[i])));
        }
        let items = device.upload_f32(vectors, "item vectors")?;
        Ok(Self { device: device.clone(), items, codes: None, rows: vectors.len() / dim, dim })
    }

    /// Does it hold codes of its items?
    #[must_use]
    pub fn has_codes(&self) -> bool {
        self.codes.is_some()
    }

    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// True if there is no item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The `k` best items for each row of `queries` `[any, dim]`: (item, score), best first, ties in ascending id; fewer
    /// where fewer are left: places that the kernel found nothing for are dropped here. An item whose score overflows to NaN or to
    /// minus infinity is not listed. Query i does not get the items of `excluded[i]`; `excluded` may be empty.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] for k = 0, queries that are no rows of the index's width, a number that is not finite, or lists
    /// of excluded items that are not one a query; device errors.
    pub fn search(&self, queries: &[f32], excluded: &[&[u32]], k: usize) -> Result<Vec<Vec<(u32, f32)>>> {
        if k == 0 {
            return Err(Error::Request("k = 0: ask for at least one item".into()));
        }
        if !queries.len().is_multiple_of(self.dim) {
            let what = format!("queries of {} numbers for an index of width {}", queries.len(), self.dim);
            return Err(Error::Request(what));
        }
        if let Some(i) = queries.iter().position(|x| !x.is_finite()) {
            return Err(Error::Request(format!("query {} holds {}", i / self.dim, queries[i])));
        }
        let n = queries.len() / self.dim;
        if !excluded.is_empty() && excluded.len() != n {
            return Err(Error::Request(format!("{} lists of excluded items for {n} queries", excluded.len())));
        }
        let k = k.min(self.rows);
        if k == 0 {
            return Ok(vec![Vec::new(); n]);
        }
        let chunk = match &self.device {
            Device::Cpu(_) => n,
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => (SCORES / self.rows).clamp(1, n.max(1)),
        };
        let mut found = Vec::with_capacity(n);
        for first in (0..n).step_by(chunk.max(1)) {
            let end = n.min(first + chunk);
            let out = if excluded.is_empty() { None } else { Some(&excluded[first..end]) };
            self.search_some(&queries[first * self.dim..end * self.dim], out, k, &mut found)?;
        }
        Ok(found)
    }

    fn search_some(
        &self,
        queries: &[f32],
        excluded: Option<&[&[u32]]>,
        k: usize,
        found: &mut Vec<Vec<(u32, f32)>>,
    ) -> Result<()> {
        let n = queries.len() / self.dim;
        let device = &self.device;
        let mut buffers = vec![
            device.upload_f32(queries, "queries")?,
            self.items.clone(),
            device.zeros(Dtype::F32, n * k, "top-k scores")?,
            device.zeros(Dtype::U32, n * k, "top-k items")?,
        ];
        let mut reads = vec![Some(Operand::dense(0, n, self.dim)), Some(Operand::dense(1, self.rows, self.dim))];
        if let Some(excluded) = excluded {
            let (mut slices, mut all) = (Vec::with_capacity(2 * n), Vec::new());
            for list in excluded {
                slices.extend([all.len() as u32, list.len() as u32]);
                all.extend_from_slice(list);
            }
            buffers.push(device.upload_u32(&slices, "excluded items")?);
            buffers.push(device.upload_u32(&all, "excluded items")?);
            reads.extend([Some(Operand::dense(4, n, 2)), Some(Operand::dense(5, all.len(), 1))]);
        } else {
            reads.extend([None, None]);
        }
        let codes = self.codes.as_ref().filter(|_| self.rows / PER_PLACE >= k);
        if let Some(codes) = codes {
            let blocks = codes::blocks(self.rows);
            reads.push(Some(Operand::dense(buffers.len(), blocks, codes::block_words(self.dim))));
            reads.push(Some(Operand::dense(buffers.len() + 1, blocks, codes::BOUNDS)));
            buffers.extend(codes.clone());
        }
        let coded = codes.is_some();
        let writes = vec![Some(Operand::dense(2, n, k)), Some(Operand::dense(3, n, k))];
        let operands = Operands { reads, writes, scratch: Vec::new() };
        let kernel = Arc::new(Search { queries: n, items: self.rows, dim: self.dim, k, first: 0, coded });
        let mut program = Program::new(device, buffers.clone(), vec![Call { kernel, operands }])?;
        program.run(&Step::default())?;
        let (values, ids) = (device.read_f32(&buffers[2])?, device.read_u32(&buffers[3])?);
        for (values, ids) in values.chunks(k).zip(ids.chunks(k)) {
            let pairs = ids.iter().copied().zip(values.iter().copied());
            found.push(pairs.filter(|(id, _)| *id != u32::MAX).collect());
        }
        Ok(())
    }
}

/// The `k` best items for one user: (dense item, score), best first, ties in ascending id. Items of `exclude` and items
/// that may not be recommended never appear, nor do scores that are NaN or minus infinity; fewer than `k` are given if fewer
/// are left.
pub(crate) fn top_k(model: &Model, query: &Query<'_>, exclude: &[u32], k: usize) -> Result<Vec<(u32, f32)>> {
    let damaged = |_| Error::Evaluation("a score is not a finite number: the model's weights are damaged".into());
    let index = model.index().map_err(|error| match error {
        Error::Request(what) => damaged(what),
        error => error,
    })?;
    let user = model.user_tower(std::slice::from_ref(query))?;
    if user.iter().any(|x| !x.is_finite()) {
        return Err(damaged(String::new()));
    }
    let mut ranked = vec![false; index.len()];
    for &item in model.offered() {
        ranked[item as usize] = true;
    }
    for &item in exclude {
        if let Some(r) = ranked.get_mut(item as usize) {
            *r = false;
        }
    }
    let excluded: Vec<u32> = (0..index.len() as u32).filter(|i| !ranked[*i as usize]).collect();
    let k = k.min(index.len() - excluded.len());
    if k == 0 {
        return Ok(Vec::new());
    }
    Ok(index.search(&user, &[&excluded], k)?.pop().unwrap_or_default())
}
