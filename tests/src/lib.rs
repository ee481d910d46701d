//! What the tests share: the devices of this machine, deterministic data, and a way to run one kernel on each
//! device with its outputs filled with NaN first.

pub mod hostile;
mod representative;
pub use representative::{Case, representative_kernels};

mod hold;

use approx::abs_diff_eq;
pub use hold::{EPS, LAYS, Want, hold, hold_on};
use rt_kernels::{Call, CpuDevice, Device, DeviceChoice, Dtype, Kernel, Operand, Operands, Program, Step};
use std::sync::{Arc, OnceLock};

/// The CPU with one and with two threads, and every usable adapter of this machine. Where `RECALL_REQUIRE_GPU=1`
/// says that a driver has to be there and none is, this fails: it does not skip.
///
/// # Panics
///
/// If a device cannot be opened, or a GPU is required and missing.
pub fn devices() -> &'static [Device] {
    static DEVICES: OnceLock<Vec<Device>> = OnceLock::new();
    DEVICES.get_or_init(|| {
        let mut devices = vec![Device::cpu(1).expect("one thread"), Device::cpu(2).expect("two threads")];
        for adapter in Device::adapters().iter().filter(|a| a.unusable.is_none() && a.backend != "Gl") {
            let choice = DeviceChoice::GpuIndex(adapter.index);
            devices.push(Device::open(choice, 0).unwrap_or_else(|e| panic!("{}: {e}", adapter.name)));
        }
        let required = std::env::var("RECALL_REQUIRE_GPU").is_ok_and(|v| v == "1");
        assert!(
            devices.len() > 2 || !required,
            "RECALL_REQUIRE_GPU=1 and no adapter was found: install a Vulkan driver (mesa-vulkan-drivers)"
        );
        devices
    })
}

/// [`devices`], the naive CPU, and the first adapter twice more: with wgpu's own checks compiled into the shaders, and
/// with default limits and no optional feature, where every kernel runs its portable variant.
///
/// # Panics
///
/// As [`devices`].
pub fn devices_with_checks() -> &'static [Device] {
    static DEVICES: OnceLock<Vec<Device>> = OnceLock::new();
    let naive = || Device::Cpu(CpuDevice::naive().expect("one thread"));
    DEVICES.get_or_init(|| {
        devices()[..2]
            .iter()
            .cloned()
            .chain([naive()])
            .chain(devices()[2..].iter().cloned())
            .chain(otherwise())
            .collect()
    })
}

/// The adapters of [`devices`] that grant f16, opened so that products take it. Some drivers do not grant it, so there may be
/// none; llvmpipe does, so there it is no reason to skip.
///
/// # Panics
///
/// As [`devices`]; where a GPU is required, llvmpipe is there and none grants f16.
#[must_use]
pub fn f16_devices() -> Vec<Device> {
    // Fails where a driver has to be there and is not.
    let gpus = devices().len() - 2;
    let granted = |a: &&rt_kernels::Adapter| a.grants_f16() && a.backend != "Gl";
    let open = |a: &rt_kernels::Adapter| Device::open_f16(DeviceChoice::GpuIndex(a.index)).expect("it grants f16");
    let devices: Vec<Device> = Device::adapters().iter().filter(granted).take(gpus).map(open).collect();
    let has_it = |a: &rt_kernels::Adapter| a.name.contains("llvmpipe") && a.backend != "Gl" && a.unusable.is_none();
    let required = std::env::var("RECALL_REQUIRE_GPU").is_ok_and(|v| v == "1");
    assert!(
        !devices.is_empty() || !required || !Device::adapters().iter().any(has_it),
        "RECALL_REQUIRE_GPU=1, llvmpipe is there, and no adapter grants f16"
    );
    devices
}

/// The CPU with one and with three threads, whose products round to bf16; none where the processor lacks the instructions, and then
/// asking for it is refused.
///
/// # Panics
///
/// If a device cannot be opened, or is not refused.
#[must_use]
pub fn bf16_devices() -> Vec<Device> {
    if CpuDevice::grants_bf16() {
        return [1, 3].map(|threads| Device::cpu_bf16(threads).expect("it grants bf16")).into();
    }
    let refused = Device::cpu_bf16(1).expect_err("there are no instructions for it").to_string();
    assert!(refused.contains("AVX-512 BF16"), "{refused}");
    Vec::new()
}

/// Is it a CPU device whose bits do not depend on the number of threads? The naive loops sum in other orders.
#[must_use]
pub fn is_fast_cpu(device: &Device) -> bool {
    matches!(device, Device::Cpu(cpu) if !cpu.is_naive())
}

/// The first adapter opened in other ways, where there is one.
#[cfg(feature = "gpu")]
fn otherwise() -> Vec<Device> {
    let options = rt_kernels::GpuOptions::default();
    let ways = [
        rt_kernels::GpuOptions { checked_shaders: true, ..options },
        rt_kernels::GpuOptions { default_limits: true, ..options },
    ];
    let open = |options| Device::open_gpu(0, options).expect("the adapter that was opened before");
    if devices().len() > 2 { ways.map(open).into() } else { Vec::new() }
}

/// A CPU-only build has none.
#[cfg(not(feature = "gpu"))]
fn otherwise() -> Vec<Device> {
    Vec::new()
}

/// An operand's words.
#[derive(Debug, Clone)]
pub enum Data {
    /// Floats.
    F32(Vec<f32>),
    /// Integers.
    U32(Vec<u32>),
}

impl Data {
    fn words(&self) -> Vec<u32> {
        match self {
            Self::F32(v) => v.iter().map(|x| x.to_bits()).collect(),
            Self::U32(v) => v.clone(),
        }
    }
}

/// A matrix operand: words, rows, cols.
#[derive(Debug, Clone)]
pub struct Tensor {
    data: Data,
    rows: usize,
    cols: usize,
}

impl Tensor {
    /// Its cells as words, row-major.
    #[must_use]
    pub fn words(&self) -> Vec<u32> {
        self.data.words()
    }
}

/// A float matrix.
#[must_use]
pub fn f(data: &[f32], rows: usize, cols: usize) -> Option<Tensor> {
    assert_eq!(data.len(), rows * cols);
    Some(Tensor { data: Data::F32(data.to_vec()), rows, cols })
}

/// An integer matrix.
#[must_use]
pub fn u(data: &[u32], rows: usize, cols: usize) -> Option<Tensor> {
    assert_eq!(data.len(), rows * cols);
    Some(Tensor { data: Data::U32(data.to_vec()), rows, cols })
}

/// A float output of this shape, filled with NaN, so that a cell which the kernel skips is a cell that the test sees.
#[must_use]
pub fn out_f(rows: usize, cols: usize) -> Option<Tensor> {
    f(&vec![f32::NAN; rows * cols], rows, cols)
}

/// An integer output of this shape, filled with 0xDEADBEEF.
#[must_use]
pub fn out_u(rows: usize, cols: usize) -> Option<Tensor> {
    u(&vec![0xDEAD_BEEF; rows * cols], rows, cols)
}

/// How operands lie in their buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lay {
    /// Rows follow each other.
    Dense,
    /// An offset before the first cell and a gap after each row, filled with NaN / 0xDEADBEEF.
    Strided,
    /// The same, offset and stride in whole vec4s.
    ByFours,
}

/// Runs one kernel on one device; gives each written operand's cells (row-major, without gaps) as words.
///
/// # Panics
///
/// If the device refuses the call, or the kernel writes into the gaps of a strided operand.
pub fn run(
    device: &Device,
    kernel: impl Kernel + Send + Sync + 'static,
    step: &Step,
    lay: Lay,
    reads: &[Option<Tensor>],
    writes: &[Option<Tensor>],
) -> Vec<Option<Vec<u32>>> {
    let mut buffers = Vec::new();
    let mut place = |tensor: &Option<Tensor>| {
        let t = tensor.as_ref()?;
        let (offset, stride) = match lay {
            Lay::Dense => (0, t.cols),
            Lay::Strided => (5, t.cols + 3),
            Lay::ByFours => (8, t.cols.next_multiple_of(4) + 4),
        };
        let words = t.data.words();
        let (gap, dtype) = match t.data {
            Data::F32(_) => (f32::NAN.to_bits(), Dtype::F32),
            Data::U32(_) => (0xDEAD_BEEF, Dtype::U32),
        };
        let mut image = vec![gap; offset + t.rows * stride + 7];
        for r in 0..t.rows {
            image[offset + r * stride..][..t.cols].copy_from_slice(&words[r * t.cols..][..t.cols]);
        }
        let buffer = device.zeros(dtype, image.len(), "test operand").expect("test buffer");
        device.write(&buffer, 0, &image).expect("upload");
        buffers.push(buffer);
        Some(Operand { buffer: buffers.len() - 1, offset, rows: t.rows, cols: t.cols, stride })
    };
    let reads: Vec<_> = reads.iter().map(&mut place).collect();
    let written: Vec<_> = writes.iter().map(&mut place).collect();
    let before: Vec<_> = buffers.iter().map(|b| device.read_u32(b).expect("read back")).collect();
    let operands = Operands { reads, writes: written.clone(), scratch: Vec::new() };
    let call = Call { kernel: Arc::new(kernel), operands };
    let name = call.kernel.name();
    let mut program = Program::new(device, buffers.clone(), vec![call]).unwrap_or_else(|e| panic!("{name}: {e}"));
    program.run(step).unwrap_or_else(|e| panic!("{name}: {e}"));
    written
        .iter()
        .map(|operand| {
            let o = (*operand)?;
            let image = device.read_u32(&buffers[o.buffer]).expect("read back");
            let inside =
                |i: usize| i >= o.offset && i < o.offset + o.rows * o.stride && (i - o.offset) % o.stride < o.cols;
            for (i, word) in image.iter().enumerate() {
                assert!(inside(i) || *word == before[o.buffer][i], "{name}: wrote into a gap, word {i}");
            }
            Some((0..o.rows).flat_map(|r| image[o.offset + r * o.stride..][..o.cols].to_vec()).collect())
        })
        .collect()
}

/// Words as floats.
#[must_use]
pub fn floats(words: &Option<Vec<u32>>) -> Vec<f32> {
    words.as_ref().expect("an output").iter().map(|w| f32::from_bits(*w)).collect()
}

/// Words as they are.
#[must_use]
pub fn ints(words: &Option<Vec<u32>>) -> Vec<u32> {
    words.clone().expect("an output")
}

/// Checks each cell against its oracle value within its bound. NaN fails.
///
/// # Panics
///
/// At the first cell that is off.
pub fn close(what: &str, got: &[f32], want: &[f64], bound: impl Fn(usize) -> f64) {
    assert_eq!(got.len(), want.len(), "{what}: length");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let (got, bound) = (f64::from(*g), bound(i));
        let off = (got - w).abs();
        assert!(
            abs_diff_eq!(got, *w, epsilon = bound),
            "{what}: cell {i} is {g}, the oracle says {w}: off by {off:e} > {bound:e}"
        );
    }
}

/// `n` floats uniform in [-1, 1), from a seed.
#[must_use]
pub fn uniform(n: usize, seed: u64) -> Vec<f32> {
    rt_kernels::philox::uniform(seed, 0, n, 1.0)
}

/// `n` ids uniform in [0, below), from a seed.
#[must_use]
pub fn ids(n: usize, below: u32, seed: u64) -> Vec<u32> {
    let key = rt_kernels::philox::key(seed);
    let draw = |i| rt_kernels::philox::draw(key, 0, 99, i as u32);
    (0..n).map(|i| ((u64::from(draw(i)) * u64::from(below)) >> 32) as u32).collect()
}
