//! Devices, buffers and kernels of recall-tape.
//!
//! A [`Kernel`] is plain data: shapes and attributes, from which its signature, its cost, its CPU twin and its GPU
//! dispatches follow. A [`Program`] is a list of calls on buffers, checked and prepared once, then replayed with a
//! [`Step`] that carries what changes.

pub mod codes;
mod cpu;
mod device;
mod error;
#[cfg(feature = "gpu")]
mod gpu;
mod half;
mod kernel;
pub mod kernels;
mod matmul;
mod memory;
#[cfg(feature = "naive")]
mod naive;
#[cfg(feature = "naive")]
mod naive_norm;
mod parallel;
pub mod philox;
mod program;
pub mod rank;
mod readback;
pub mod simd;
pub mod slabs;
mod step;
mod turns;

pub use cpu::{CpuIo, Mat, MatMut};
pub use device::{Adapter, Buffer, CpuDevice, Device, DeviceChoice};
pub use error::{Error, Result};
#[cfg(feature = "gpu")]
pub use gpu::{Counters, GpuDevice, GpuOptions};
pub use kernel::{
    Binding, Cost, Dispatch, Dtype, Examples, Kernel, MOST_ITERATIONS, Made, Operand, Operands, Signature, Slot,
    Target, Variant, check,
};
pub use memory::SharedWords;
pub use program::{Call, Program};
pub use rand_core;
pub use readback::Readback;
pub use slabs::SlabCall;
pub use step::Step;
