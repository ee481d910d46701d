//! The adapters of a machine: which there are, which can be used, which one a choice means.

use crate::{Adapter, Error, Result, Variant};
use std::sync::OnceLock;

/// An adapter with its description.
pub(crate) struct Found {
    pub(crate) about: Adapter,
    pub(crate) adapter: wgpu::Adapter,
}

/// The process's wgpu instance and its adapters. Made once: it takes tens of milliseconds, and some drivers' layers
/// write a line to stderr whenever adapters are enumerated.
struct Machine {
    instance: wgpu::Instance,
    adapters: Vec<Found>,
}

fn machine() -> &'static Machine {
    static MACHINE: OnceLock<Machine> = OnceLock::new();
    MACHINE.get_or_init(|| {
        let look = |backends| {
            let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
            descriptor.backends = backends;
            // No validation layers: wgpu's own checks stay, and layers write to stderr.
            descriptor.flags = wgpu::InstanceFlags::empty();
            let instance = wgpu::Instance::new(descriptor);
            let adapters = list(&instance, backends);
            Machine { instance, adapters }
        };
        let machine = look(MODERN);
        // GL offers the same hardware once more, with less; and its drivers write to stderr. It is the last resort.
        if machine.adapters.is_empty() { look(wgpu::Backends::GL) } else { machine }
    })
}

/// The process's wgpu instance.
pub(crate) fn instance() -> &'static wgpu::Instance {
    &machine().instance
}

/// Every adapter, in the order of `gpu:N`.
pub(crate) fn all() -> &'static [Found] {
    &machine().adapters
}

const MODERN: wgpu::Backends = wgpu::Backends::VULKAN.union(wgpu::Backends::METAL).union(wgpu::Backends::DX12);

/// Hardware, then software drivers.
fn list(instance: &wgpu::Instance, backends: wgpu::Backends) -> Vec<Found> {
    let mut found: Vec<Found> = pollster::block_on(instance.enumerate_adapters(backends))
        .into_iter()
        .map(|adapter| Found { about: describe(&adapter), adapter })
        .collect();
    // Stable: adapters of one kind stay as the driver lists them.
    found.sort_by_key(|f| match f.adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other | wgpu::DeviceType::Cpu => 3,
    });
    for (index, f) in found.iter_mut().enumerate() {
        f.about.index = index;
    }
    found
}

/// The limits that kernels depend on, as (name, value).
fn used_limits(limits: &wgpu::Limits) -> [(&'static str, u64); 9] {
    [
        ("max_storage_buffer_binding_size", limits.max_storage_buffer_binding_size),
        ("max_buffer_size", limits.max_buffer_size),
        ("max_storage_buffers_per_shader_stage", limits.max_storage_buffers_per_shader_stage.into()),
        ("max_compute_workgroup_storage_size", limits.max_compute_workgroup_storage_size.into()),
        ("max_compute_invocations_per_workgroup", limits.max_compute_invocations_per_workgroup.into()),
        ("max_compute_workgroup_size_x", limits.max_compute_workgroup_size_x.into()),
        ("max_compute_workgroup_size_y", limits.max_compute_workgroup_size_y.into()),
        ("max_compute_workgroups_per_dimension", limits.max_compute_workgroups_per_dimension.into()),
        ("max_uniform_buffer_binding_size", limits.max_uniform_buffer_binding_size),
    ]
}

/// WebGPU's default limits, which is what kernels are written for, with more where the adapter has more of what
/// matters here.
pub(crate) fn limits_to_request(adapter: &wgpu::Limits) -> wgpu::Limits {
    wgpu::Limits {
        max_storage_buffer_binding_size: adapter.max_storage_buffer_binding_size,
        max_buffer_size: adapter.max_buffer_size,
        max_storage_buffers_per_shader_stage: adapter.max_storage_buffers_per_shader_stage,
        max_compute_workgroup_storage_size: adapter.max_compute_workgroup_storage_size,
        max_compute_invocations_per_workgroup: adapter.max_compute_invocations_per_workgroup,
        max_compute_workgroup_size_x: adapter.max_compute_workgroup_size_x,
        max_compute_workgroup_size_y: adapter.max_compute_workgroup_size_y,
        max_compute_workgroup_size_z: adapter.max_compute_workgroup_size_z,
        ..wgpu::Limits::default().or_worse_values_from(adapter)
    }
}

/// WebGPU's default limits where the adapter has them; what is not used here (textures) may be less.
pub(crate) fn default_limits(adapter: &wgpu::Limits) -> wgpu::Limits {
    wgpu::Limits::default().or_worse_values_from(adapter)
}

fn describe(adapter: &wgpu::Adapter) -> Adapter {
    let info = adapter.get_info();
    let limits = adapter.limits();
    let features = adapter.features();
    let named = [
        (wgpu::Features::TIMESTAMP_QUERY, "timestamps"),
        (wgpu::Features::SUBGROUP, "subgroups"),
        (wgpu::Features::SHADER_F16, "f16"),
    ];
    let hardware = matches!(
        info.device_type,
        wgpu::DeviceType::DiscreteGpu | wgpu::DeviceType::IntegratedGpu | wgpu::DeviceType::VirtualGpu
    );
    let eight = info.subgroup_min_size == 8 && info.subgroup_max_size == 8;
    let subgroup = !hardware && eight && features.contains(wgpu::Features::SUBGROUP);
    Adapter {
        index: 0,
        name: info.name.clone(),
        backend: format!("{:?}", info.backend),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        hardware,
        variant: if subgroup { Variant::Subgroup } else { Variant::Portable },
        unusable: unusable(adapter, &limits),
        limits: used_limits(&limits).iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
        features: named
            .iter()
            .filter(|(feature, _)| features.contains(*feature))
            .map(|(_, name)| (*name).to_owned())
            .collect(),
    }
}

/// Why kernels cannot run on this adapter: it does not compute, or has less than WebGPU's default limits.
fn unusable(adapter: &wgpu::Adapter, limits: &wgpu::Limits) -> Option<String> {
    let downlevel = adapter.get_downlevel_capabilities();
    if !downlevel.flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS) {
        return Some("it has no compute shaders".to_owned());
    }
    let has = used_limits(limits);
    let needs = used_limits(&wgpu::Limits::default());
    has.iter()
        .zip(&needs)
        .find(|((_, has), (_, needs))| has < needs)
        .map(|((name, has), (_, needs))| format!("{name} is {has}, needs {needs}"))
}

/// Why there is no adapter to open for `wanted`, in terms of what the machine has.
pub(crate) fn nothing(wanted: &str) -> Error {
    let adapters = all();
    if adapters.is_empty() {
        return Error::NoDevice(format!(
            "{wanted}: no adapter was found; a GPU needs its Vulkan driver (or Metal, DX12), the CPU path needs none: \
             --device cpu"
        ));
    }
    let all: Vec<String> = adapters
        .iter()
        .map(|found| {
            let a = &found.about;
            let note = match (&a.unusable, a.hardware) {
                (Some(why), _) => format!("cannot be used: {why}"),
                (None, true) => "hardware".to_owned(),
                (None, false) => "software driver".to_owned(),
            };
            format!("gpu:{} = {} ({}, {note})", a.index, a.name, a.backend)
        })
        .collect();
    Error::NoDevice(format!("{wanted}: there is {}", all.join(", ")))
}

/// What `auto` does with these adapters, and why, in one line.
pub(crate) fn auto_note(adapters: &[Adapter]) -> String {
    if let Some(a) = adapters.iter().find(|a| a.hardware && a.unusable.is_none()) {
        return format!("auto takes gpu:{}, {} ({}): a hardware GPU", a.index, a.name, a.backend);
    }
    // A driver that is there through GL as well counts once.
    let usable = || adapters.iter().filter(|a| a.unusable.is_none());
    let mut software: Vec<&str> = usable().map(|a| a.name.as_str()).collect();
    software.dedup();
    match software.as_slice() {
        [] if adapters.is_empty() => {
            "auto takes the CPU: no adapter was found (a GPU needs its Vulkan driver)".to_owned()
        }
        [] => "auto takes the CPU: no adapter can be used".to_owned(),
        [first, ..] => format!(
            "auto takes the CPU: no hardware GPU, found {} software adapter{}, {}; --device gpu uses it",
            software.len(),
            if software.len() == 1 { "" } else { "s" },
            first
        ),
    }
}

/// Opens the first of `wanted` that opens.
pub(crate) fn first<T>(
    wanted: impl Iterator<Item = &'static Found>,
    mut open: impl FnMut(&'static Found) -> Result<T>,
) -> Result<Option<T>> {
    let mut failed = None;
    for found in wanted {
        match open(found) {
            Ok(device) => return Ok(Some(device)),
            Err(error) => {
                tracing::warn!("{}: {error}", found.about.name);
                failed = Some(error);
            }
        }
    }
    failed.map_or(Ok(None), Err)
}
