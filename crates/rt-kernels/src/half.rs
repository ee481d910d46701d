//! Devices whose matrix products hold their tiles in f16.

#[cfg(feature = "gpu")]
use crate::gpu::{GpuDevice, GpuOptions};
use crate::{Adapter, Device, DeviceChoice, Error, Result};

impl Device {
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
