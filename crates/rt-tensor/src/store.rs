//! What stays on a device between steps and programs: parameters, optimiser state, data.

use crate::ids::{self, Bound};
use crate::packed::Packed;
use crate::params::{Param, ParamKind, Params};
use crate::slabs::Slabs;
use crate::{Error, Result};
use rt_kernels::kernels::IdRule;
use rt_kernels::{Buffer, Device, Dtype, SharedWords};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// Named values on a device. Programs of one store share its parameters and data. Cheap to clone; clones are the same
/// store. A table that one binding of a GPU does not hold lies in slabs of columns, small ones share a buffer; nothing that the
/// store or its programs give depends on that.
#[derive(Debug, Clone)]
pub struct Store {
    device: Device,
    params: Params,
    values: Arc<Mutex<BTreeMap<String, Slabs>>>,
    packed: Arc<Packed>,
    /// The buffers that tables share, by what they hold of each.
    arenas: Arc<Mutex<BTreeMap<String, Buffer>>>,
    /// What is known of integers by name.
    known: Arc<Mutex<BTreeMap<String, Known>>>,
}

/// What is known of the integers under a name, and what programs rely on.
#[derive(Debug)]
struct Known {
    /// No word was ever above this; `None` where they are not known. All data starts as zeros.
    largest: Option<u32>,
    /// What programs that were compiled need them to be.
    bounds: Vec<Bound>,
    /// The bounds that programs keep which write them on the device.
    written: Option<Vec<Bound>>,
    /// How often they were put.
    puts: u64,
}

impl Default for Known {
    fn default() -> Self {
        Self { largest: Some(0), bounds: Vec::new(), written: None, puts: 0 }
    }
}

/// The arena of dense parameters.
const ARENA: &str = "dense";

/// Cells of a piece of initial values, at least.
const PIECE: usize = 1 << 20;

impl Store {
    /// Parameters at their initial values for `seed`, on `device`.
    ///
    /// # Errors
    ///
    /// [`Error::Kernels`] where they do not fit into memory.
    pub fn new(device: &Device, params: &Params, seed: u64) -> Result<Self> {
        let store = Self {
            device: device.clone(),
            params: params.clone(),
            values: Arc::default(),
            packed: Arc::new(Packed::new(device, params)),
            arenas: Arc::default(),
            known: Arc::default(),
        };
        store.insert(ARENA, Slabs::zeros(device, Dtype::F32, [params.dense_words(), 1], "dense parameters")?);
        let fill = || -> Result<()> {
            for (number, p) in params.list().iter().enumerate() {
                if p.kind != ParamKind::Dense {
                    let what = format!("table {} of {} x {}", p.name, p.shape[0], p.shape[1]);
                    store.insert(&p.name, store.zeros(&p.name, p.shape, Dtype::F32, &what)?);
                }
                store.start(p, seed, number)?;
            }
            Ok(())
        };
        match device {
            Device::Cpu(cpu) => cpu.install(fill)?,
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => fill()?,
        }
        Ok(store)
    }

    /// Writes initial values, piece by piece: large tables are not held twice.
    fn start(&self, p: &Param, seed: u64, number: usize) -> Result<()> {
        let [rows, cols] = p.shape;
        // A multiple of four rows, for the draws come by four.
        let piece = (PIECE / cols.max(1)).next_multiple_of(4);
        let mut values = vec![0.0; piece.min(rows) * cols];
        for first in (0..rows).step_by(piece) {
            let values = &mut values[..piece.min(rows - first) * cols];
            p.initial_from(seed, number, first * cols, values);
            self.write(p, first, values)?;
        }
        Ok(())
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The parameters.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Puts integers under a name; programs compiled later find them. Data of the same length is overwritten in place,
    /// so that programs compiled before see it too.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] for an id past the rows that a compiled program looks up by it; [`Error::Kernels`] where they do not fit into
    /// memory.
    pub fn put_u32(&self, name: &str, data: &[u32]) -> Result<()> {
        self.put(name, data, Dtype::U32)
    }

    /// The same with integers that somebody else keeps: on the CPU programs read them where they lie, so that data is not held
    /// twice; a GPU gets a copy.
    ///
    /// # Errors
    ///
    /// [`Error::Kernels`] where they do not fit into memory.
    pub fn share_u32(&self, name: &str, data: SharedWords) -> Result<()> {
        let (words, kept) = ((*data).as_ref(), data.clone());
        let admitted = self.admit(name, words, Dtype::U32)?;
        let place = self.room(name, words.len(), Dtype::U32)?;
        place.share(&self.device, data)?;
        let words = (*kept).as_ref();
        self.settle(name, words, admitted, |zeros| place.write(&self.device, zeros))
    }

    /// Puts floats under a name. They are looked at first: a pass over the data, some 3 ms for ten million.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] for a value that is NaN or infinite, with its place; [`Error::Kernels`] where they do not fit into memory.
    pub fn put_f32(&self, name: &str, data: &[f32]) -> Result<()> {
        crate::finite::check_finite(name, data, 1)?;
        self.put(name, bytemuck::cast_slice(data), Dtype::F32)
    }

    fn put(&self, name: &str, words: &[u32], dtype: Dtype) -> Result<()> {
        let admitted = self.admit(name, words, dtype)?;
        let place = self.room(name, words.len(), dtype)?;
        place.write(&self.device, words)?;
        self.settle(name, words, admitted, |zeros| place.write(&self.device, zeros))
    }

    fn room(&self, name: &str, words: usize, dtype: Dtype) -> Result<Slabs> {
        Ok(match self.find(name) {
            Some(place) if place.words() == words && place.holds(dtype) => place,
            _ => self.insert(name, Slabs::zeros(&self.device, dtype, [words, 1], name)?),
        })
    }

    /// Values of a parameter, row-major.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuch`] for an unknown name; device errors.
    pub fn get(&self, name: &str) -> Result<Vec<f32>> {
        let p = self.param(name)?;
        let words = match p.kind {
            ParamKind::Table | ParamKind::State => self.place(&p.name)?.read(&self.device)?,
            ParamKind::Dense => self.device.read(&self.arena()?, p.offset, p.shape[0] * p.shape[1])?,
        };
        Ok(words.into_iter().map(f32::from_bits).collect())
    }

    /// Sets a parameter, row-major; the values are looked at first, as [`Store::put_f32`] does.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuch`] for an unknown name, [`Error::Data`] for a wrong length and for a value that is NaN or infinite, with its
    /// row and column; device errors.
    pub fn set(&self, name: &str, values: &[f32]) -> Result<()> {
        let p = self.param(name)?;
        if values.len() != p.shape[0] * p.shape[1] {
            let what = format!("{} values for shape {:?}", values.len(), p.shape);
            return Err(Error::Data { name: name.into(), what });
        }
        crate::finite::check_finite(name, values, p.shape[1])?;
        self.write(p, 0, values)
    }

    /// Sets a parameter to what it held, or next to it: values are not looked at, for what it held may be NaN.
    pub(crate) fn put_back(&self, name: &str, values: &[f32]) -> Result<()> {
        self.write(self.param(name)?, 0, values)
    }

    /// Reads data or state under a name, as words.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuch`] for an unknown name; device errors.
    pub fn read(&self, name: &str) -> Result<Vec<u32>> {
        let place = self.find(name).ok_or_else(|| Error::NoSuch { what: "data", name: name.into() })?;
        place.read(&self.device)
    }

    fn param(&self, name: &str) -> Result<&Param> {
        let known = self.params.find(name).map(|i| &self.params.list()[i]);
        known.ok_or_else(|| Error::NoSuch { what: "parameter", name: name.into() })
    }

    fn place(&self, name: &str) -> Result<Slabs> {
        self.find(name).ok_or_else(|| Error::NoSuch { what: "parameter", name: name.into() })
    }

    /// Writes rows from row `first` on.
    fn write(&self, p: &Param, first: usize, values: &[f32]) -> Result<()> {
        let words = bytemuck::cast_slice(values);
        match p.kind {
            ParamKind::Table | ParamKind::State => self.place(&p.name)?.write_rows(&self.device, first, words),
            ParamKind::Dense => Ok(self.device.write(&self.arena()?, p.offset + first * p.shape[1], words)?),
        }
    }

    /// The buffer of all dense parameters, which is never cut: a column.
    fn arena(&self) -> Result<Buffer> {
        let missing = || Error::NoSuch { what: "parameter", name: ARENA.into() };
        self.place(ARENA)?.whole().cloned().ok_or_else(missing)
    }

    pub(crate) fn dense(&self) -> Result<Slabs> {
        self.place(ARENA)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Holds words that are about to be written under a name by what programs need them to be; gives how many
    /// bounds that are. No lock is held over the write, so [`Store::settle`] looks again after it.
    fn admit(&self, name: &str, words: &[u32], dtype: Dtype) -> Result<usize> {
        let mut known = self.known();
        let own = known.entry(name.into()).or_default();
        ids::check(name, &own.bounds, words)?;
        let largest = if dtype == Dtype::U32 { own.largest.zip(ids::largest(words).or(Some(0))) } else { None };
        own.largest = largest.map(|(a, b)| a.max(b));
        Ok(own.bounds.len())
    }

    /// Holds words that were written under a name by the bounds of programs that were compiled meanwhile: those may have seen the
    /// words before. Zeros, which every bound allows, take the place of words that are not so. Bounds are only ever added.
    fn settle(
        &self,
        name: &str,
        words: &[u32],
        admitted: usize,
        write: impl FnOnce(&[u32]) -> Result<()>,
    ) -> Result<()> {
        self.known().entry(name.into()).or_default().puts += 1;
        let new = self.bounds(name).split_off(admitted);
        let held = ids::check(name, &new, words);
        if held.is_err() {
            write(&vec![0; words.len()])?;
        }
        held
    }

    /// How often integers under these names were put, together.
    pub(crate) fn puts<'a>(&self, names: impl Iterator<Item = &'a str>) -> u64 {
        let known = self.known();
        names.filter_map(|name| known.get(name)).map(|known| known.puts).sum()
    }

    /// What programs need the integers under a name to be.
    pub(crate) fn bounds(&self, name: &str) -> Vec<Bound> {
        self.known().get(name).map_or_else(Vec::new, |known| known.bounds.clone())
    }

    /// A program that is being compiled needs the integers under a name to be so: they are, and stay so.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] for the first that is not, or where a program writes them on the device that was compiled without this bound.
    pub(crate) fn bind(&self, name: &str, bounds: &[Bound]) -> Result<()> {
        let Some(place) = self.find(name) else { return Ok(()) };
        let mut known = self.known();
        let own = known.entry(name.into()).or_default();
        let new: Vec<Bound> = bounds.iter().filter(|b| !own.bounds.contains(b)).copied().collect();
        if own.written.as_ref().is_some_and(|kept| new.iter().any(|b| !kept.contains(b))) {
            let what = "a program that was compiled before writes ids into it without this one's bound: compile this one first";
            return Err(Error::Data { name: name.into(), what: what.into() });
        }
        let below = |b: &Bound, id: u32| matches!(b.rule, IdRule::Below(n) if id < n);
        if !own.largest.is_some_and(|id| new.iter().all(|b| below(b, id))) && !new.is_empty() {
            ids::check(name, &new, &place.read(&self.device)?)?;
        }
        ids::add(&mut own.bounds, &new);
        Ok(())
    }

    /// A program writes the integers under a name on the device, and keeps these bounds.
    pub(crate) fn writes(&self, name: &str, bounds: Vec<Bound>) {
        let mut known = self.known();
        let own = known.entry(name.into()).or_default();
        own.largest = None;
        let kept = own
            .written
            .take()
            .map_or_else(|| bounds.clone(), |kept| kept.into_iter().filter(|b| bounds.contains(b)).collect());
        own.written = Some(kept);
    }

    /// Writes the first words of a program's input, which may be this store's data.
    pub(crate) fn write_checked(&self, name: &str, buffer: &Buffer, words: &[u32]) -> Result<()> {
        if !self.known().contains_key(name) {
            return Ok(self.device.write(buffer, 0, words)?);
        }
        let admitted = self.admit(name, words, Dtype::U32)?;
        self.device.write(buffer, 0, words)?;
        self.settle(name, words, admitted, |zeros| Ok(self.device.write(buffer, 0, zeros)?))
    }

    pub(crate) fn find(&self, name: &str) -> Option<Slabs> {
        let values = self.values.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        values.get(name).cloned()
    }

    /// The value of this name, made of zeros where there is none.
    pub(crate) fn state(&self, name: &str, shape: [usize; 2], dtype: Dtype) -> Result<Slabs> {
        match self.find(name) {
            Some(place) if place.words() == shape[0] * shape[1] && place.holds(dtype) => Ok(place),
            _ => Ok(self.insert(name, self.zeros(name, shape, dtype, name)?)),
        }
    }

    /// Zeros for a parameter or state: in the buffer that small tables share, else in a buffer of its own.
    fn zeros(&self, name: &str, shape: [usize; 2], dtype: Dtype, what: &str) -> Result<Slabs> {
        let Some(piece) = self.packed.piece(name, shape).filter(|_| dtype == Dtype::F32) else {
            return Slabs::zeros(&self.device, dtype, shape, what);
        };
        let mut arenas = self.arenas.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let arena = match arenas.get(&piece.arena) {
            Some(arena) => arena.clone(),
            None => {
                let arena = self.device.zeros(Dtype::F32, piece.words, &format!("all small tables{}", piece.arena))?;
                arenas.entry(piece.arena.clone()).or_insert(arena).clone()
            }
        };
        Ok(Slabs::within(arena, piece, shape))
    }

    fn insert(&self, name: &str, value: Slabs) -> Slabs {
        let mut values = self.values.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        values.insert(name.into(), value.clone());
        value
    }
}
