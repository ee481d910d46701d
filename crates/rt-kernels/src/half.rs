//! Devices whose matrix products take 16 bits: f16 on a GPU, bf16 on the CPU.

#[cfg(feature = "gpu")]
use crate::gpu::{GpuDevice, GpuOptions};
use crate::{Adapter, CpuDevice, Device, DeviceChoice, Error, Result};

impl Device {
    /// The CPU path with `threads` threads (0 = one for each core) whose [`Gemm`](crate::kernels::Gemm) and
    /// [`SoftmaxLoss`](crate::kernels::SoftmaxLoss) round the operands of their products to bf16 (8 bits, f32's range) and sum in f32;
    /// the other kernels stay f32, retrieval among them, and so do all matrices in memory. Results differ from those of
    /// [`Device::cpu`], and are the same for any number of threads.
    ///
    /// # Errors
    ///
    /// [`Error::NoDevice`] where the processor has no AVX-512 BF16, [`Error::Device`] if the threads cannot be started.
    pub fn cpu_bf16(threads: usize) -> Result<Self> {
        CpuDevice::bf16(threads).map(Self::Cpu)
    }

    /// Opens a GPU whose matrix products hold their tiles in f16 and sum in f32, where operands lie in whole vec4s; the other
    /// kernels, and products that lie otherwise, stay f32. Results differ from those of [`Device::open`] by f16's rounding.
    ///
    /// # Errors
    ///
    /// [`Error::NoDevice`] where the choice means the CPU, or an adapter that is not there or has no shader-f16.
    pub fn open_f16(choice: DeviceChoice) -> Result<Self> {
        let refused = |why: &str| Error::NoDevice(format!("f16 products are for a GPU with shader-f16: {why}"));
        #[cfg(feature = "gpu")]
        {
            let options = GpuOptions { f16: true, ..GpuOptions::default() };
            let gpu = match choice {
                DeviceChoice::Cpu => return Err(refused("the CPU path has none")),
                DeviceChoice::Auto => {
                    GpuDevice::open_hardware(options)?.ok_or_else(|| refused(&Self::auto_note(&Self::adapters())))?
                }
                DeviceChoice::Gpu => GpuDevice::open_any(options)?,
                DeviceChoice::GpuIndex(index) => GpuDevice::open_index(index, options)?,
            };
            Ok(Self::Gpu(gpu))
        }
        #[cfg(not(feature = "gpu"))]
        match choice {
            DeviceChoice::Cpu => Err(refused("the CPU path has none")),
            _ => Err(refused("this build has no GPU support (cargo feature `gpu`)")),
        }
    }
}

impl Adapter {
    /// Can it be opened by [`Device::open_f16`]?
    #[must_use]
    pub fn grants_f16(&self) -> bool {
        self.unusable.is_none() && self.features.iter().any(|feature| feature == "f16")
    }
}
