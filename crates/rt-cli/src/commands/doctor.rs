//! `recall doctor`: what this machine has, and which device `auto` takes.

use crate::args::Global;
use crate::fail::Done;
use crate::output;
use rt_models::{Device, DeviceChoice};

pub(crate) fn run(global: &Global) -> Done {
    output::check_json(global)?;
    say!("recall-tape {}", env!("CARGO_PKG_VERSION"));
    let cpu = Device::cpu(global.threads)?;
    say!("cpu      {}", cpu.name());
    say!("         retrieval: codes of 8 bits, {}", rt_kernels::codes::instruction_set().unwrap_or("plain loops"));
    let bf16 = rt_kernels::CpuDevice::grants_bf16();
    say!("         --bf16: {}", if bf16 { "can be had" } else { "no, it has no AVX-512 BF16" });
    let adapters = Device::adapters();
    // Opened before the list, which tells the products that were timed; where that fails, the list says on what.
    let auto = Device::open(DeviceChoice::Auto, global.threads);
    if let Ok(auto) = &auto {
        auto.time_products();
    }
    if adapters.is_empty() {
        say!("gpu      none found (a Vulkan, Metal or DX12 driver is needed)");
    }
    for a in &adapters {
        let kind = if a.hardware { "hardware" } else { "software driver" };
        say!("gpu:{}    {}, {}, {}, {kind}", a.index, a.name, a.backend, a.driver);
        if let Some(why) = &a.unusable {
            say!("         not usable: {why}");
        }
        for (name, value) in &a.limits {
            say!("         {name:<44} {value}");
        }
        say!("         kernels: {} variants", a.variant.name());
        say!("         products: {}", Device::products(a));
        say!("         --f16: {}", if a.grants_f16() { "can be had" } else { "no, it has no shader-f16" });
        if !a.features.is_empty() {
            say!("         features: {}", a.features.join(", "));
        }
    }
    let auto = auto?;
    say!("auto     {} ({})", auto.name(), Device::auto_note(&adapters));
    let list = |a: &rt_kernels::Adapter| {
        serde_json::json!({
            "index": a.index, "name": a.name, "backend": a.backend, "driver": a.driver, "hardware": a.hardware,
            "unusable": a.unusable, "limits": a.limits.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "features": a.features, "variant": a.variant.name(), "products": Device::products(a),
            "f16_products": a.grants_f16(),
        })
    };
    let rows = adapters.iter().map(list).collect();
    let mut more = serde_json::Map::new();
    more.insert("cpu_bf16_products".into(), bf16.into());
    output::write_json(global, "doctor", output::device_name(&auto), None, rows, more)
}
