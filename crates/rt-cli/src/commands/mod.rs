//! One file a command.

pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod compare;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod eval;
pub(crate) mod everything;
pub(crate) mod explain;
pub(crate) mod gradcheck;
pub(crate) mod recommend;
pub(crate) mod seeds;
pub(crate) mod source;
pub(crate) mod synth;
pub(crate) mod text;
pub(crate) mod train;
pub(crate) mod tune;

use crate::args::Global;
use crate::fail::{Done, Fail};
use rt_models::{Device, DeviceChoice};

/// Opens the device that `--device`, `--threads`, `--f16` and `--bf16` name; every command begins here, so `--json` is tried here too.
pub(crate) fn open(global: &Global) -> Done<Device> {
    crate::output::check_json(global)?;
    let choice: DeviceChoice =
        global.device.parse().map_err(|e: rt_kernels::Error| Fail::user(format!("--device: {e}")))?;
    if global.threads > 1024 {
        return Err(Fail::user(format!("--threads {}: at most 1024", global.threads)));
    }
    if global.f16 && global.bf16 {
        return Err(Fail::user("--f16 is for products on a GPU, --bf16 for those on the CPU: one of them"));
    }
    if global.f16 {
        if choice == DeviceChoice::Cpu {
            return Err(Fail::user("--f16 is for products on a GPU, --device is cpu (there --bf16)"));
        }
        return Device::open_f16(choice).map_err(|e| Fail::machine(format!("--f16: {e}")));
    }
    if global.bf16 {
        let other =
            |device| Fail::user(format!("--bf16 is for products on the CPU, --device is {device} (on a GPU --f16)"));
        if !matches!(choice, DeviceChoice::Auto | DeviceChoice::Cpu) {
            return Err(other(global.device.clone()));
        }
        return match Device::open(choice, global.threads)? {
            Device::Cpu(_) => Device::cpu_bf16(global.threads).map_err(|e| Fail::machine(format!("--bf16: {e}"))),
            #[cfg(feature = "gpu")]
            gpu => Err(other(format!("auto, which takes {}", gpu.name()))),
        };
    }
    Ok(Device::open(choice, global.threads)?)
}
