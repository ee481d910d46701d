//! Words that come back from a device while it goes on.

use crate::{Buffer, Device, Result};
use std::collections::VecDeque;

/// Copies of words to the host, in the order in which they were asked for. On a GPU neither asking nor looking waits; on the CPU
/// asking copies at once, and waits its turn behind a run under way on another thread. Made for losses
/// and other figures that a training loop looks at now and then. All of its buffers are made at once.
pub struct Readback {
    device: Device,
    /// On the CPU the copies themselves.
    arrived: VecDeque<Vec<u32>>,
    slots: usize,
    #[cfg(feature = "gpu")]
    gpu: Option<crate::gpu::GpuReadback>,
}

impl Readback {
    /// Room for `slots` copies under way, of at most `words` words each.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Device`], [`crate::Error::DeviceLost`] where the device refuses the buffers.
    pub fn new(device: &Device, words: usize, slots: usize) -> Result<Self> {
        #[cfg(not(feature = "gpu"))]
        let _ = words;
        Ok(Self {
            device: device.clone(),
            arrived: VecDeque::with_capacity(slots),
            slots,
            #[cfg(feature = "gpu")]
            gpu: match device {
                Device::Gpu(gpu) => Some(crate::gpu::GpuReadback::new(gpu, words, slots)?),
                Device::Cpu(_) => None,
            },
        })
    }

    /// Asks for `words` words of `buffer` from word `offset` on, as they are after all that was run before. False, and nothing
    /// asked for, where every slot is under way.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Call`] for words past a slot's room or the buffer's end, or another device's buffer; device errors.
    pub fn start(&mut self, buffer: &Buffer, offset: usize, words: usize) -> Result<bool> {
        buffer.range("readback", offset, words)?;
        #[cfg(feature = "gpu")]
        if let (Some(gpu), crate::device::Inner::Gpu(buffer)) = (&mut self.gpu, &buffer.inner) {
            return gpu.start(buffer, offset, words);
        }
        if self.arrived.len() == self.slots {
            return Ok(false);
        }
        self.arrived.push_back(self.device.read(buffer, offset, words)?);
        Ok(true)
    }

    /// The oldest copy that was asked for, if it has come.
    ///
    /// # Errors
    ///
    /// Device errors.
    pub fn poll(&mut self) -> Result<Option<Vec<u32>>> {
        #[cfg(feature = "gpu")]
        if let Some(gpu) = &mut self.gpu {
            return gpu.poll();
        }
        Ok(self.arrived.pop_front())
    }
}
