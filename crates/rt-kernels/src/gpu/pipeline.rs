//! Compute pipelines, made once for each shader, set of constants and list of bindings.
#![allow(
    unsafe_code,
    reason = "wgpu's bounds checks and loop counters cost up to 1.85x and only an unsafe call leaves them out"
)]

use super::cache::Cache;
use super::device::GpuDevice;
use super::faults::scoped;
use crate::{Binding, Dispatch, Error, Result};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A pipeline and the layout that its bind groups need.
pub(crate) struct Pipeline {
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) layout: wgpu::BindGroupLayout,
}

/// What makes two dispatches use one pipeline.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    shader: &'static str,
    constants: Vec<(&'static str, u64)>,
    step: bool,
    writes: Vec<bool>,
    /// wgpu's checks stay in.
    checked: bool,
}

impl Key {
    /// `checked` for what no kernel of this crate says: see [`crate::kernels::is_own`].
    pub(crate) fn of(dispatch: &Dispatch, checked: bool) -> Self {
        let write = |b: &Binding| matches!(b, Binding::Write(_) | Binding::NoWrite);
        Self {
            shader: dispatch.shader,
            constants: dispatch.constants.iter().map(|(name, value)| (*name, value.to_bits())).collect(),
            step: dispatch.step,
            writes: dispatch.bindings.iter().map(write).collect(),
            checked,
        }
    }
}

/// A device's pipelines; programs share them.
pub(crate) struct Pipelines {
    made: AtomicU64,
    /// What the driver compiled in earlier runs.
    cache: Option<Cache>,
    known: Mutex<HashMap<Key, Arc<Pipeline>>>,
}

impl Pipelines {
    pub(crate) fn new(cache: Option<Cache>) -> Self {
        Self { made: AtomicU64::new(0), cache, known: Mutex::default() }
    }

    /// Number of pipelines made.
    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// The pipelines of these keys, in their order. Those not known yet are compiled on several threads: drivers
    /// take milliseconds to seconds for each.
    pub(crate) fn get(&self, device: &GpuDevice, keys: &[Key]) -> Result<Vec<Arc<Pipeline>>> {
        let mut missing: Vec<Key> = Vec::new();
        {
            let known = self.known();
            for key in keys {
                if !known.contains_key(key) && !missing.contains(key) {
                    missing.push(key.clone());
                }
            }
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let next = AtomicUsize::new(0);
        let failed = Mutex::new(None);
        let work = || {
            while let Some(key) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                match compile(device, key, self.cache.as_ref()) {
                    Ok(pipeline) => {
                        self.made.fetch_add(1, Ordering::Relaxed);
                        self.known().insert(key.clone(), Arc::new(pipeline));
                    }
                    Err(error) => {
                        failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.min(missing.len()) {
                // wgpu's front end recurses: the default stack of a thread is not always enough. Where no thread can
                // be had, this one does all the work.
                let builder = std::thread::Builder::new().stack_size(8 << 20);
                let _ = builder.spawn_scoped(scope, work);
            }
            work();
        });
        device.check()?;
        if let (Some(cache), false) = (&self.cache, missing.is_empty()) {
            cache.save();
        }
        if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let known = self.known();
        keys.iter()
            .map(|key| {
                let missing = || Error::Device(format!("`{}` was not compiled", key.shader));
                known.get(key).cloned().ok_or_else(missing)
            })
            .collect()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Key, Arc<Pipeline>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn compile(device: &GpuDevice, key: &Key, cache: Option<&Cache>) -> Result<Pipeline> {
    let source =
        rt_shaders::source(key.shader).ok_or_else(|| Error::Device(format!("there is no shader `{}`", key.shader)))?;
    let raw = device.raw();
    scoped(raw, || {
        let checked = key.checked || device.options().checked_shaders;
        let module = shader(device, key.shader, source, checked);
        let layout = raw.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(key.shader),
            entries: &layout_entries(key),
        });
        let pipeline_layout = raw.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(key.shader),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let constants: Vec<(&str, f64)> =
            key.constants.iter().map(|(name, bits)| (*name, f64::from_bits(*bits))).collect();
        let pipeline = raw.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(key.shader),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: None,
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                zero_initialize_workgroup_memory: checked,
            },
            cache: cache.map(|c| &c.cache),
        });
        Pipeline { pipeline, layout }
    })
    .map_err(|refusal| refusal.about(&format!("shader `{}`", key.shader)))
}

fn shader(device: &GpuDevice, label: &str, source: &str, checked: bool) -> wgpu::ShaderModule {
    let descriptor =
        wgpu::ShaderModuleDescriptor { label: Some(label), source: wgpu::ShaderSource::Wgsl(source.into()) };
    if checked {
        return device.raw().create_shader_module(descriptor);
    }
    let checks = wgpu::ShaderRuntimeChecks {
        bounds_checks: rt_shaders::indexes_by_data(label),
        ..wgpu::ShaderRuntimeChecks::unchecked()
    };
    // SAFETY: the shaders are this workspace's own, and so are the kernels that fill in their params (`is_own`). One that indexes
    // by what a buffer or the step holds (an id, a slice, a label, a key, a place: `rt_shaders::BY_DATA`, which a test holds equal
    // to what the data flow of every shader says) keeps wgpu's bounds checks, whatever the buffers hold. All others bound their
    // indices by shapes in their params, which come from operands that `Program::new` held against the buffers' sizes, the
    // kernel's slots and `Kernel::mismatch` in checked arithmetic; no buffer has more words than 32 bits count, so no index
    // wraps. Loops end: they count up to a shape, to a word of a buffer, or halve a range; no shader divides by a shape that can
    // be zero. The tests run every kernel with all checks on as well, with the same results.
    unsafe { device.raw().create_shader_module_trusted(descriptor, checks) }
}

fn layout_entries(key: &Key) -> Vec<wgpu::BindGroupLayoutEntry> {
    let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    };
    let mut entries = vec![entry(0, wgpu::BufferBindingType::Uniform)];
    if key.step {
        entries.push(entry(1, wgpu::BufferBindingType::Uniform));
    }
    entries.extend(
        (2..)
            .zip(&key.writes)
            .map(|(binding, write)| entry(binding, wgpu::BufferBindingType::Storage { read_only: !write })),
    );
    entries
}
