//! The GPU through wgpu: adapters, one device with its buffers, pipelines, and programs that replay.

mod adapter;
mod device;
mod faults;
mod pipeline;
mod program;
mod timing;

pub(crate) use adapter::auto_note;
pub(crate) use device::GpuBuffer;
pub use device::{Counters, GpuDevice, GpuOptions};
pub(crate) use program::GpuProgram;
