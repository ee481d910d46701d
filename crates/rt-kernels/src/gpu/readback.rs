//! Copies of words to the host that nobody waits for: a ring of buffers that are mapped when the device is done.

use super::device::{GpuBuffer, GpuDevice};
use crate::{Error, Result};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const UNDER_WAY: u8 = 0;
const ARRIVED: u8 = 1;
const FAILED: u8 = 2;

/// A copy under way.
struct Sent {
    staging: wgpu::Buffer,
    bytes: u64,
    state: Arc<AtomicU8>,
}

/// The ring.
pub(crate) struct GpuReadback {
    device: GpuDevice,
    words: usize,
    free: Vec<wgpu::Buffer>,
    sent: VecDeque<Sent>,
}

impl GpuReadback {
    /// Buffers for `slots` copies of at most `words` words each.
    pub(crate) fn new(device: &GpuDevice, words: usize, slots: usize) -> Result<Self> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        // More than there is: the device refuses it.
        let bytes = (words as u64).saturating_mul(4).min(u64::MAX - 15).next_multiple_of(16).max(16);
        let free = (0..slots).map(|_| device.create_buffer("a copy to the host", bytes, usage));
        Ok(Self { device: device.clone(), words, free: free.collect::<Result<_>>()?, sent: VecDeque::new() })
    }

    /// Submits a copy of what the buffer will hold after all that was submitted before. False, and nothing done, where
    /// every slot is under way.
    pub(crate) fn start(&mut self, buffer: &GpuBuffer, offset: usize, words: usize) -> Result<bool> {
        let source = self.device.own(buffer, "readback")?;
        if words > self.words {
            let what = format!("{words} words, a slot has {}", self.words);
            return Err(Error::Call { kernel: "readback", what });
        }
        let Some(staging) = self.free.last() else { return Ok(false) };
        let bytes = words as u64 * 4;
        self.device.in_turn("readback", || {
            let mut encoder = self.device.raw().create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(source, offset as u64 * 4, staging, 0, bytes);
            self.device.submit([encoder.finish()]);
            Ok(())
        })?;
        let Some(staging) = self.free.pop() else { return Ok(false) };
        let state = Arc::new(AtomicU8::new(UNDER_WAY));
        let report = state.clone();
        staging.map_async(wgpu::MapMode::Read, 0..bytes, move |result| {
            report.store(if result.is_ok() { ARRIVED } else { FAILED }, Ordering::Release);
        });
        self.sent.push_back(Sent { staging, bytes, state });
        self.device.check()?;
        Ok(true)
    }

    /// The oldest copy, if it has arrived.
    pub(crate) fn poll(&mut self) -> Result<Option<Vec<u32>>> {
        self.device.poll();
        self.device.check()?;
        let refused = |why: &str| Error::Device(format!("reading from the device: {why}"));
        match self.sent.front().map(|sent| sent.state.load(Ordering::Acquire)) {
            None | Some(UNDER_WAY) => Ok(None),
            Some(ARRIVED) => {
                let Some(Sent { staging, bytes, .. }) = self.sent.pop_front() else { return Ok(None) };
                let view = staging.get_mapped_range(0..bytes).map_err(|e| refused(&e.to_string()))?;
                let words = bytemuck::cast_slice(&view).to_vec();
                drop(view);
                staging.unmap();
                self.free.push(staging);
                Ok(Some(words))
            }
            Some(_) => Err(refused("the copy could not be mapped")),
        }
    }
}
