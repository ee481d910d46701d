//! The GPU through wgpu: adapters, one device with its buffers, pipelines, and programs that replay.

mod adapter;
mod cache;
mod device;
mod driver;
mod faults;
mod join;
mod own_files;
mod pipeline;
mod program;
mod readback;
mod timing;
mod tune;

pub(crate) use adapter::auto_note;
pub(crate) use device::GpuBuffer;
pub use device::{Counters, GpuDevice, GpuOptions};
pub(crate) use program::GpuProgram;
pub(crate) use readback::GpuReadback;
