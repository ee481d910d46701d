//! What stays on a device between steps and programs: parameters, optimiser state, data.

use crate::params::{Param, ParamKind, Params};
use crate::{Error, Result};
use rt_kernels::{Buffer, Device, Dtype};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Named buffers on a device. Programs of one store share its parameters and data. Cheap to clone; clones are the same
/// store.
#[derive(Debug, Clone)]
pub struct Store {
    device: Device,
    params: Params,
    buffers: Arc<Mutex<BTreeMap<String, Buffer>>>,
}

/// The arena of dense parameters.
const ARENA: &str = "dense";

impl Store {
    /// Parameters at their initial values for `seed`, on `device`.
    ///
    /// # Errors
    ///
    /// [`Error::Kernels`] where they do not fit into memory.
    pub fn new(device: &Device, params: &Params, seed: u64) -> Result<Self> {
        let store = Self { device: device.clone(), params: params.clone(), buffers: Arc::default() };
        store.insert(ARENA, device.zeros(Dtype::F32, params.dense_words(), "dense parameters")?);
        for (number, p) in params.list().iter().enumerate() {
            if p.kind == ParamKind::Table {
                let what = format!("table `{}` of {} x {}", p.name, p.shape[0], p.shape[1]);
                store.insert(&p.name, device.zeros(Dtype::F32, p.shape[0] * p.shape[1], &what)?);
            }
            store.write(p, &p.initial(seed, number))?;
        }
        Ok(store)
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
    /// [`Error::Kernels`] where they do not fit into memory.
    pub fn put_u32(&self, name: &str, data: &[u32]) -> Result<()> {
        self.put(name, data, Dtype::U32)
    }

    /// Puts floats under a name.
    ///
    /// # Errors
    ///
    /// [`Error::Kernels`] where they do not fit into memory.
    pub fn put_f32(&self, name: &str, data: &[f32]) -> Result<()> {
        let words: Vec<u32> = data.iter().map(|x| x.to_bits()).collect();
        self.put(name, &words, Dtype::F32)
    }

    fn put(&self, name: &str, words: &[u32], dtype: Dtype) -> Result<()> {
        let buffer = match self.find(name) {
            Some(buffer) if buffer.words() == words.len() => buffer,
            _ => self.insert(name, self.device.zeros(dtype, words.len(), name)?),
        };
        Ok(self.device.write(&buffer, 0, words)?)
    }

    /// Values of a parameter, row-major.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuch`] for an unknown name; device errors.
    pub fn get(&self, name: &str) -> Result<Vec<f32>> {
        let p = self.param(name)?;
        let (buffer, offset) = self.place(p)?;
        let words = self.device.read(&buffer, offset, p.shape[0] * p.shape[1])?;
        Ok(words.into_iter().map(f32::from_bits).collect())
    }

    /// Sets a parameter, row-major.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuch`] for an unknown name, [`Error::Data`] for a wrong length; device errors.
    pub fn set(&self, name: &str, values: &[f32]) -> Result<()> {
        let p = self.param(name)?;
        if values.len() != p.shape[0] * p.shape[1] {
            let what = format!("{} values for shape {:?}", values.len(), p.shape);
            return Err(Error::Data { name: name.into(), what });
        }
        self.write(p, values)
    }

    /// Reads data or state under a name, as words.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuch`] for an unknown name; device errors.
    pub fn read(&self, name: &str) -> Result<Vec<u32>> {
        let buffer = self.find(name).ok_or_else(|| Error::NoSuch { what: "data", name: name.into() })?;
        Ok(self.device.read_u32(&buffer)?)
    }

    fn param(&self, name: &str) -> Result<&Param> {
        let known = self.params.find(name).map(|i| &self.params.list()[i]);
        known.ok_or_else(|| Error::NoSuch { what: "parameter", name: name.into() })
    }

    fn place(&self, p: &Param) -> Result<(Buffer, usize)> {
        let (name, offset) = match p.kind {
            ParamKind::Table => (p.name.as_str(), 0),
            ParamKind::Dense => (ARENA, p.offset),
        };
        let buffer = self.find(name).ok_or_else(|| Error::NoSuch { what: "parameter", name: name.into() })?;
        Ok((buffer, offset))
    }

    fn write(&self, p: &Param, values: &[f32]) -> Result<()> {
        let (buffer, offset) = self.place(p)?;
        let words: Vec<u32> = values.iter().map(|x| x.to_bits()).collect();
        Ok(self.device.write(&buffer, offset, &words)?)
    }

    pub(crate) fn arena(&self) -> Result<Buffer> {
        self.find(ARENA).ok_or_else(|| Error::NoSuch { what: "parameter", name: ARENA.into() })
    }

    pub(crate) fn find(&self, name: &str) -> Option<Buffer> {
        let buffers = self.buffers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        buffers.get(name).cloned()
    }

    /// The buffer of this name, made of zeros where there is none.
    pub(crate) fn state(&self, name: &str, words: usize) -> Result<Buffer> {
        match self.find(name) {
            Some(buffer) if buffer.words() == words => Ok(buffer),
            _ => Ok(self.insert(name, self.device.zeros(Dtype::F32, words, name)?)),
        }
    }

    fn insert(&self, name: &str, buffer: Buffer) -> Buffer {
        let mut buffers = self.buffers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        buffers.insert(name.into(), buffer.clone());
        buffer
    }
}
