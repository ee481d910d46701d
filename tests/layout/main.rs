//! Agreement of Rust and WGSL by reflection, and what the GPU backend promises.

#[cfg(feature = "gpu")]
mod device;
mod dispatches;
mod listing;
mod reflect;
mod shaders;
mod taint;
