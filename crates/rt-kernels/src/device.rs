//! Devices: one enum is the seam between the CPU path and the GPU.

use crate::memory::{CpuCell, CpuMemory, SharedWords};
use crate::{Dtype, Error, Result, Target, Variant};
use std::sync::Arc;

mod cpu;

pub use cpu::CpuDevice;

#[cfg(feature = "gpu")]
use crate::gpu::{GpuBuffer, GpuDevice, GpuOptions};

/// Which device is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// A hardware GPU, else the CPU path; never a software driver.
    #[default]
    Auto,
    /// The CPU path.
    Cpu,
    /// A GPU: hardware first, else a software driver.
    Gpu,
    /// The Nth adapter of the list.
    GpuIndex(usize),
}

impl std::str::FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu),
            _ => text
                .strip_prefix("gpu:")
                .and_then(|n| n.parse().ok())
                .map(Self::GpuIndex)
                .ok_or_else(|| Error::NoDevice(format!("`{text}` (auto, cpu, gpu or gpu:N)"))),
        }
    }
}

/// One adapter that the machine has.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapter {
    /// Its number, for `gpu:N`.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Vulkan, Metal, DX12 or GL.
    pub backend: String,
    /// Driver and version.
    pub driver: String,
    /// True for a hardware GPU, false for a software driver.
    pub hardware: bool,
    /// Why it cannot be used, if so.
    pub unusable: Option<String>,
    /// (limit, value) as the adapter has them.
    pub limits: Vec<(String, u64)>,
    /// Optional features that kernels can use.
    pub features: Vec<String>,
    /// Which variant of their kernels it runs, of those that have several: by its kind, never by timing, so that one
    /// machine always gives the same bits.
    pub variant: Variant,
}

/// A device. Cheap to clone; clones are the same device.
#[derive(Clone)]
pub enum Device {
    /// The CPU path.
    Cpu(CpuDevice),
    /// A GPU through wgpu.
    #[cfg(feature = "gpu")]
    Gpu(GpuDevice),
}

impl Device {
    /// Opens a device; `threads` (0 = all cores) counts for the CPU path.
    ///
    /// # Errors
    ///
    /// [`Error::NoDevice`] naming what there is, where the wanted one is not there.
    pub fn open(choice: DeviceChoice, threads: usize) -> Result<Self> {
        match choice {
            DeviceChoice::Cpu => Ok(Self::Cpu(CpuDevice::new(threads)?)),
            #[cfg(feature = "gpu")]
            DeviceChoice::Auto => match GpuDevice::open_hardware(GpuOptions::default())? {
                Some(gpu) => Ok(Self::Gpu(gpu)),
                None => Ok(Self::Cpu(CpuDevice::new(threads)?)),
            },
            #[cfg(feature = "gpu")]
            DeviceChoice::Gpu => GpuDevice::open_any(GpuOptions::default()).map(Self::Gpu),
            #[cfg(feature = "gpu")]
            DeviceChoice::GpuIndex(index) => Self::open_gpu(index, GpuOptions::default()),
            #[cfg(not(feature = "gpu"))]
            DeviceChoice::Auto => Ok(Self::Cpu(CpuDevice::new(threads)?)),
            #[cfg(not(feature = "gpu"))]
            DeviceChoice::Gpu | DeviceChoice::GpuIndex(_) => {
                Err(Error::NoDevice("gpu: this build has no GPU support (cargo feature `gpu`)".into()))
            }
        }
    }

    /// Adapter number `index` of [`Device::adapters`], opened in a special way.
    ///
    /// # Errors
    ///
    /// [`Error::NoDevice`] naming what there is, where there is no such adapter or it cannot be used.
    #[cfg(feature = "gpu")]
    pub fn open_gpu(index: usize, options: GpuOptions) -> Result<Self> {
        GpuDevice::open_index(index, options).map(Self::Gpu)
    }

    /// What [`DeviceChoice::Auto`] does with these adapters, and why: one line.
    #[must_use]
    pub fn auto_note(adapters: &[Adapter]) -> String {
        #[cfg(feature = "gpu")]
        {
            crate::gpu::auto_note(adapters)
        }
        #[cfg(not(feature = "gpu"))]
        {
            let _ = adapters;
            "auto takes the CPU: this build has no GPU support (cargo feature `gpu`)".to_owned()
        }
    }

    /// The CPU path with `threads` threads (0 = one for each core).
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the threads cannot be started.
    pub fn cpu(threads: usize) -> Result<Self> {
        Self::open(DeviceChoice::Cpu, threads)
    }

    /// Which tiles matrix products take on an adapter of this machine, in a line: by its kind, or as it was timed.
    #[must_use]
    pub fn products(adapter: &Adapter) -> String {
        #[cfg(feature = "gpu")]
        {
            GpuDevice::products_of(adapter.index)
        }
        #[cfg(not(feature = "gpu"))]
        {
            format!("this build has no GPU to run them on: {}", adapter.name)
        }
    }

    /// Times the tiles of matrix products where that is to be done and was not: on a hardware GPU. Else its first program with a
    /// product does it.
    pub fn time_products(&self) {
        #[cfg(feature = "gpu")]
        if let Self::Gpu(gpu) = self {
            gpu.time_products();
        }
    }

    /// The adapters of this machine, hardware first; empty in a build without `gpu`.
    #[must_use]
    pub fn adapters() -> Vec<Adapter> {
        #[cfg(feature = "gpu")]
        {
            GpuDevice::adapters()
        }
        #[cfg(not(feature = "gpu"))]
        {
            Vec::new()
        }
    }

    /// Where programs run.
    #[must_use]
    pub fn target(&self) -> Target {
        match self {
            Self::Cpu(_) => Target::Cpu,
            #[cfg(feature = "gpu")]
            Self::Gpu(_) => Target::Gpu,
        }
    }

    /// Name for tables: the adapter's, or the CPU's instruction set and threads.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Cpu(cpu) if cpu.is_naive() => "CPU, plain loops, 1 thread".to_owned(),
            Self::Cpu(cpu) => {
                let products = if cpu.is_bf16() { ", bf16 products" } else { "" };
                format!("CPU, {}, {} threads{products}", crate::simd::instruction_set(), cpu.threads())
            }
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => gpu.name(),
        }
    }

    /// Bytes of the largest buffer that kernels can use: one binding of a GPU. On the CPU memory alone ends it.
    #[must_use]
    pub fn max_buffer_bytes(&self) -> u64 {
        match self {
            Self::Cpu(_) => u64::MAX,
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => gpu.max_buffer_bytes(),
        }
    }

    /// Is there room for `words` words in buffers that are yet to be made? Memory of the CPU is given by the system when it is first
    /// written, so that buffers that each fit may be too much together. A GPU answers when they are made.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] where the system says that there is not so much.
    pub fn check_room(&self, words: usize, what: &str) -> Result<()> {
        let need = (words as u64).saturating_mul(4);
        match self {
            Self::Cpu(_) => match crate::memory::available_bytes().filter(|have| need > *have) {
                Some(have) => Err(Error::Memory { what: what.to_owned(), need, have }),
                None => Ok(()),
            },
            #[cfg(feature = "gpu")]
            Self::Gpu(_) => Ok(()),
        }
    }

    /// A buffer of `words` zero words: of a type, or `None` if it holds words of either type by turns, as a step's values and scratch
    /// do. `what` names it in errors.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] where it does not fit.
    pub fn zeros(&self, dtype: impl Into<Option<Dtype>>, words: usize, what: &str) -> Result<Buffer> {
        let inner = match self {
            Self::Cpu(_) => Inner::Cpu(Arc::new(CpuCell::new(CpuMemory::zeros(words.max(1), what)?))),
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => Inner::Gpu(gpu.zeros(words.max(1), what)?),
        };
        Ok(Buffer { dtype: dtype.into(), words, inner })
    }

    /// A buffer holding `data`.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] where it does not fit.
    pub fn upload_f32(&self, data: &[f32], what: &str) -> Result<Buffer> {
        let buffer = self.zeros(Dtype::F32, data.len(), what)?;
        self.write(&buffer, 0, bytemuck::cast_slice(data))?;
        Ok(buffer)
    }

    /// A buffer holding `data`.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] where it does not fit.
    pub fn upload_u32(&self, data: &[u32], what: &str) -> Result<Buffer> {
        let buffer = self.zeros(Dtype::U32, data.len(), what)?;
        self.write(&buffer, 0, data)?;
        Ok(buffer)
    }

    /// Writes words into a buffer from word `offset` on. On the CPU it waits, in its turn, for runs and readers of the buffer;
    /// on a GPU it happens between two submissions.
    ///
    /// # Errors
    ///
    /// [`Error::Call`] if they do not fit into the buffer, and if a kernel calls this; [`Error::DeviceLost`].
    pub fn write(&self, buffer: &Buffer, offset: usize, words: &[u32]) -> Result<()> {
        buffer.range("write", offset, words.len())?;
        match (&buffer.inner, self) {
            (Inner::Cpu(cell), _) => cell.write(words.len() == buffer.words, |memory| {
                memory.words_mut()[offset..offset + words.len()].copy_from_slice(words);
            }),
            #[cfg(feature = "gpu")]
            (Inner::Gpu(inner), Self::Gpu(gpu)) => gpu.write(inner, offset, words),
            #[cfg(feature = "gpu")]
            (Inner::Gpu(_), Self::Cpu(_)) => Err(other_device("write")),
        }
    }

    /// Fills a buffer with words that somebody else keeps: the CPU reads them where they lie and copies them when they are written
    /// to, a GPU gets a copy.
    ///
    /// # Errors
    ///
    /// [`Error::Call`] if they are not as many as the buffer's, and if a kernel calls this; [`Error::DeviceLost`].
    pub fn share(&self, buffer: &Buffer, words: SharedWords) -> Result<()> {
        let n = (*words).as_ref().len();
        match &buffer.inner {
            Inner::Cpu(cell) if n == buffer.words && n > 0 => {
                cell.write(true, |memory| *memory = CpuMemory::shared(words))
            }
            _ => self.write(buffer, 0, (*words).as_ref()),
        }
    }

    /// Reads `words` words of a buffer from word `offset` on; waits for the device. What it gives is what the buffer held
    /// between two runs: on the CPU it waits, in its turn, for a run that writes the buffer, and no run fails because of it.
    ///
    /// # Errors
    ///
    /// [`Error::Call`] past the buffer's end, if a kernel calls this, and on the CPU for a buffer whose words are not whole
    /// because a kernel panicked; [`Error::DeviceLost`].
    pub fn read(&self, buffer: &Buffer, offset: usize, words: usize) -> Result<Vec<u32>> {
        buffer.range("read", offset, words)?;
        match (&buffer.inner, self) {
            (Inner::Cpu(cell), _) => cell.read(|all| all[offset..offset + words].to_vec()),
            #[cfg(feature = "gpu")]
            (Inner::Gpu(inner), Self::Gpu(gpu)) => gpu.read(inner, offset, words),
            #[cfg(feature = "gpu")]
            (Inner::Gpu(_), Self::Cpu(_)) => Err(other_device("read")),
        }
    }

    /// Reads a whole buffer as floats.
    ///
    /// # Errors
    ///
    /// [`Error::DeviceLost`].
    pub fn read_f32(&self, buffer: &Buffer) -> Result<Vec<f32>> {
        Ok(self.read(buffer, 0, buffer.words)?.into_iter().map(f32::from_bits).collect())
    }

    /// Reads a whole buffer as integers.
    ///
    /// # Errors
    ///
    /// [`Error::DeviceLost`].
    pub fn read_u32(&self, buffer: &Buffer) -> Result<Vec<u32>> {
        self.read(buffer, 0, buffer.words)
    }
}

#[cfg(feature = "gpu")]
fn other_device(kernel: &'static str) -> Error {
    Error::Call { kernel, what: "the buffer belongs to another device".into() }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

/// Words on a device. Cheap to clone; clones are the same words.
#[derive(Clone)]
pub struct Buffer {
    dtype: Option<Dtype>,
    words: usize,
    pub(crate) inner: Inner,
}

#[derive(Clone)]
pub(crate) enum Inner {
    Cpu(Arc<CpuCell>),
    #[cfg(feature = "gpu")]
    Gpu(GpuBuffer),
}

impl Buffer {
    /// Type of the words; `None` if it holds words of either type by turns. Operands are held against it.
    #[must_use]
    pub fn dtype(&self) -> Option<Dtype> {
        self.dtype
    }

    /// Number of words.
    #[must_use]
    pub fn words(&self) -> usize {
        self.words
    }

    /// Are these the same words, as those of a clone are?
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (&self.inner, &other.inner) {
            (Inner::Cpu(a), Inner::Cpu(b)) => Arc::ptr_eq(a, b),
            #[cfg(feature = "gpu")]
            (Inner::Gpu(a), Inner::Gpu(b)) => a.same(b),
            #[cfg(feature = "gpu")]
            (Inner::Cpu(_), Inner::Gpu(_)) | (Inner::Gpu(_), Inner::Cpu(_)) => false,
        }
    }

    /// Does it belong to this device? All of the CPU's are one memory.
    pub(crate) fn is_of(&self, device: &Device) -> bool {
        match (&self.inner, device) {
            (Inner::Cpu(_), Device::Cpu(_)) => true,
            #[cfg(feature = "gpu")]
            (Inner::Gpu(buffer), Device::Gpu(gpu)) => gpu.owns(buffer),
            #[cfg(feature = "gpu")]
            (Inner::Cpu(_), Device::Gpu(_)) | (Inner::Gpu(_), Device::Cpu(_)) => false,
        }
    }

    /// Refuses words past the end.
    pub(crate) fn range(&self, kernel: &'static str, offset: usize, words: usize) -> Result<()> {
        if offset.checked_add(words).is_some_and(|end| end <= self.words) {
            return Ok(());
        }
        let what = format!("words {offset} .. {offset} + {words} of a buffer of {} words", self.words);
        Err(Error::Call { kernel, what })
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.dtype {
            Some(dtype) => write!(f, "Buffer({dtype:?} x {})", self.words),
            None => write!(f, "Buffer({})", self.words),
        }
    }
}
