//! The step on burn's wgpu backend.

mod dssm;
mod report;

use burn::tensor::{Device, DeviceKind};

fn main() {
    // DefaultDevice is the adapter that wgpu calls high-performance, on a machine with one adapter that one.
    let (device, setup) =
        Device::wgpu_options().device_kind(DeviceKind::DefaultDevice).init_with_setup().expect("a wgpu device");
    dssm::run("burn-wgpu", &setup.adapter.get_info().name, &device);
}
