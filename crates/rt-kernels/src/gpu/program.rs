//! A program on a GPU: pipelines, bind groups and grids made once, encoded anew and submitted each run.

use super::device::GpuDevice;
use super::faults::scoped;
use super::join::{Later, join};
use super::pipeline::{Key, Pipeline};
use super::timing::Timing;
use crate::device::Inner;
use crate::kernels::is_own;
use crate::{Binding, Buffer, Call, Cost, Dispatch, Error, Kernel, Result, Step, Variant};
use std::ops::Range;
use std::sync::Arc;

/// Operating systems end a device whose submission runs for seconds (2 s on Windows), so one is cut between
/// dispatches where it is estimated to take longer than this.
const MAX_SECONDS: f64 = 0.25;
/// What a slow GPU does, for that estimate: bytes and operations a second.
const SLOW_GPU: Cost = Cost { bytes: 20e9, flops: 500e9 };

/// One dispatch, ready to encode.
pub(crate) struct Launch {
    shader: &'static str,
    pipeline: Arc<Pipeline>,
    bind_group: wgpu::BindGroup,
    grid: (u32, u32),
}

impl Launch {
    /// Encodes it after `before`, the launch ahead of it in the same pass: a pipeline that is set stays set.
    fn encode(&self, pass: &mut wgpu::ComputePass<'_>, before: Option<&Self>) {
        if before.is_none_or(|before| !Arc::ptr_eq(&before.pipeline, &self.pipeline)) {
            pass.set_pipeline(&self.pipeline.pipeline);
        }
        pass.set_bind_group(0, &self.bind_group, &[]);
        pass.dispatch_workgroups(self.grid.0, self.grid.1, 1);
    }
}

/// Encodes launches into a pass that has none yet.
pub(crate) fn encode(launches: &[Launch], pass: &mut wgpu::ComputePass<'_>) {
    let mut before = None;
    for launch in launches {
        launch.encode(pass, before);
        before = Some(launch);
    }
}

/// A program on a GPU.
pub(crate) struct GpuProgram {
    pub(crate) device: GpuDevice,
    pub(crate) launches: Vec<Launch>,
    /// The launches of each call.
    pub(crate) calls: Vec<Range<usize>>,
    /// The launches of each submission of a run.
    submissions: Vec<Range<usize>>,
    step: wgpu::Buffer,
    pub(crate) timing: Option<Timing>,
}

/// A program ends with its work. Where the process ends first, a software driver dies: its threads go on compiling shaders while
/// the exit takes their compiler apart.
impl Drop for GpuProgram {
    fn drop(&mut self) {
        self.device.settle();
    }
}

impl GpuProgram {
    /// `apart` is the number of the buffer that holds the parts of products which are summed later.
    pub(crate) fn new(device: &GpuDevice, calls: &[Call], buffers: &[Buffer], apart: usize) -> Result<Self> {
        Self::of(device, calls, buffers, apart, None)
    }

    /// The same; `only` is the variant of every call that has it.
    pub(crate) fn of(
        device: &GpuDevice,
        calls: &[Call],
        buffers: &[Buffer],
        apart: usize,
        only: Option<Variant>,
    ) -> Result<Self> {
        let mut dispatches: Vec<(&'static str, Dispatch)> = Vec::new();
        // Of each dispatch, whether its shader keeps wgpu's checks.
        let mut checked = Vec::new();
        let mut ranges = Vec::with_capacity(calls.len());
        let mut later = Later::default();
        for (stands_for, call) in join(calls) {
            if later.meets(&call) {
                later.end(&mut dispatches, &mut ranges);
                checked.resize(dispatches.len(), false);
            }
            let first = dispatches.len();
            let name = call.kernel.name();
            let variant = variant(device, &*call.kernel, only);
            let mut list = call.kernel.dispatches_as(&call.operands, variant);
            if call.operands.scratch.iter().any(|o| o.buffer == apart) {
                later.take(&call, &mut list);
            }
            for dispatch in list {
                // A grid of nothing is no dispatch.
                if dispatch.workgroups > 0 {
                    check(device, name, &dispatch)?;
                    dispatches.push((name, dispatch));
                }
            }
            checked.resize(dispatches.len(), !is_own(&*call.kernel));
            ranges.push(first..dispatches.len());
            // Of calls that run as one the first has the launches.
            ranges.resize(ranges.len() + stands_for - 1, dispatches.len()..dispatches.len());
        }
        later.end(&mut dispatches, &mut ranges);
        checked.resize(dispatches.len(), false);
        let keys: Vec<Key> = dispatches.iter().zip(&checked).map(|((_, d), checked)| Key::of(d, *checked)).collect();
        let pipelines = device.pipelines().get(device, &keys)?;
        let (params, places) = upload_params(device, &dispatches)?;
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let step = device.create_buffer("the step", size_of::<Step>() as u64, usage)?;
        let mut launches = Vec::with_capacity(dispatches.len());
        for (((name, dispatch), pipeline), place) in dispatches.iter().zip(pipelines).zip(&places) {
            let uniform = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &params,
                offset: place.start,
                size: wgpu::BufferSize::new(place.end - place.start),
            });
            let bind_group = bind(device, name, dispatch, &pipeline.layout, uniform, &step, buffers)?;
            let grid = fold(device, name, dispatch.workgroups)?;
            launches.push(Launch { shader: dispatch.shader, pipeline, bind_group, grid });
        }
        device.check()?;
        Ok(Self {
            submissions: cut(device, calls, &ranges, launches.len()),
            device: device.clone(),
            launches,
            calls: ranges,
            step,
            timing: None,
        })
    }

    pub(crate) fn dispatches(&self) -> usize {
        self.launches.len()
    }

    /// Call and shader of each dispatch.
    pub(crate) fn launches(&self) -> Vec<(usize, &'static str)> {
        let of = |(i, range): (usize, &Range<usize>)| self.launches[range.clone()].iter().map(move |l| (i, l.shader));
        self.calls.iter().enumerate().flat_map(of).collect()
    }

    /// Encodes and submits; waits only where earlier runs pile up.
    pub(crate) fn run(&mut self, step: &Step) -> Result<()> {
        self.device.in_turn("run", || self.submit(step))
    }

    fn submit(&self, step: &Step) -> Result<()> {
        self.write_step(step)?;
        for launches in &self.submissions {
            let mut encoder = self.device.raw().create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            encode(&self.launches[launches.clone()], &mut pass);
            drop(pass);
            self.device.submit([encoder.finish()]);
            self.device.throttle()?;
        }
        Ok(())
    }

    /// The step's uniform for what is submitted next; what is under way keeps its own.
    pub(crate) fn write_step(&self, step: &Step) -> Result<()> {
        self.device.check()?;
        self.device.queue().write_buffer(&self.step, 0, bytemuck::bytes_of(step));
        Ok(())
    }
}

impl GpuDevice {
    /// The variant of a kernel that its programs run.
    #[must_use]
    pub fn variant_of(&self, kernel: &dyn Kernel) -> Variant {
        variant(self, kernel, None)
    }
}

/// Which variant of a kernel runs: `only` this one, else what the device's options say, its kind, or for products what it was timed
/// for.
fn variant(device: &GpuDevice, kernel: &dyn Kernel, only: Option<Variant>) -> Variant {
    let has = [kernel.variants(), vec![Variant::Portable]].concat();
    let options = device.options();
    let products = if options.f16 { Some(Variant::F16) } else { options.products };
    let wanted = only.or(products.filter(|_| kernel.product().is_some()));
    if let Some(variant) = wanted.filter(|variant| has.contains(variant)) {
        return variant;
    }
    match (device.variant(), kernel.product()) {
        // Before the device asks for its timing, which this program may be a part of.
        _ if only.is_some() => Variant::Portable,
        (Variant::Portable, Some(product)) => device.tiles().of(product),
        (variant, _) if has.contains(&variant) => variant,
        _ => Variant::Portable,
    }
}

/// Refuses a dispatch that the device's limits or WebGPU's rules do not allow, or that its driver would not finish.
fn check(device: &GpuDevice, kernel: &'static str, dispatch: &Dispatch) -> Result<()> {
    let bindings = dispatch.bindings.len();
    let limit = device.limits().max_storage_buffers_per_shader_stage;
    if bindings > limit as usize {
        return Err(Error::Device(format!(
            "{kernel} binds {bindings} storage buffers in `{}`, the device allows {limit}",
            dispatch.shader
        )));
    }
    let most = super::driver::most_iterations(device.adapter().hardware);
    if dispatch.iterations > most {
        return Err(Error::Device(format!(
            "{kernel} is too large for {}: one invocation of `{}` takes {} iterations, and software drivers end it after {most}, \
             without a word. Use the CPU or a hardware GPU, or cut the operands into pieces",
            device.adapter().name,
            dispatch.shader,
            dispatch.iterations
        )));
    }
    let written = |b: &Binding| matches!(b, Binding::Write(_));
    let buffer = |b: &Binding| match b {
        Binding::Read(buffer) | Binding::Write(buffer) => Some(*buffer),
        Binding::NoRead | Binding::NoWrite => None,
    };
    for (i, first) in dispatch.bindings.iter().enumerate() {
        for second in &dispatch.bindings[i + 1..] {
            let shared = buffer(first).is_some() && buffer(first) == buffer(second);
            if shared && (written(first) || written(second)) {
                let what = format!(
                    "`{}` binds buffer {:?} as written and once more",
                    dispatch.shader,
                    buffer(first).unwrap_or_default()
                );
                return Err(Error::Call { kernel, what });
            }
        }
    }
    Ok(())
}

/// All params in one uniform buffer, and the bytes of each dispatch.
fn upload_params(
    device: &GpuDevice,
    dispatches: &[(&'static str, Dispatch)],
) -> Result<(wgpu::Buffer, Vec<Range<u64>>)> {
    let align = device.limits().min_uniform_buffer_offset_alignment as usize;
    let mut image: Vec<u32> = Vec::new();
    let mut places = Vec::with_capacity(dispatches.len());
    for (_, dispatch) in dispatches {
        image.resize(image.len().next_multiple_of(align / 4), 0);
        let start = image.len();
        image.extend(&dispatch.params);
        // A uniform struct is whole vec4s.
        image.resize(start + dispatch.params.len().next_multiple_of(4).max(4), 0);
        places.push(start as u64 * 4..image.len() as u64 * 4);
    }
    image.resize(image.len().max(4), 0);
    let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
    let buffer = device.create_buffer("kernel params", image.len() as u64 * 4, usage)?;
    device.queue().write_buffer(&buffer, 0, bytemuck::cast_slice(&image));
    Ok((buffer, places))
}

fn bind(
    device: &GpuDevice,
    kernel: &'static str,
    dispatch: &Dispatch,
    layout: &wgpu::BindGroupLayout,
    params: wgpu::BindingResource<'_>,
    step: &wgpu::Buffer,
    buffers: &[Buffer],
) -> Result<wgpu::BindGroup> {
    let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: params }];
    if dispatch.step {
        entries.push(wgpu::BindGroupEntry { binding: 1, resource: step.as_entire_binding() });
    }
    let mut unused = 0;
    for (binding, place) in (2..).zip(&dispatch.bindings) {
        let buffer = match place {
            Binding::Read(i) | Binding::Write(i) => match buffers.get(*i).map(|b| &b.inner) {
                Some(Inner::Gpu(buffer)) => device.own(buffer, kernel)?,
                _ => {
                    let what = format!("buffer {i} is not on the GPU");
                    return Err(Error::Call { kernel, what });
                }
            },
            Binding::NoRead => device.unused_read(),
            Binding::NoWrite => {
                unused += 1;
                device
                    .unused_write(unused - 1)
                    .ok_or_else(|| Error::Device(format!("{kernel} leaves out too many written operands")))?
            }
        };
        entries.push(wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() });
    }
    scoped(device.raw(), || {
        device.create_bind_group(&wgpu::BindGroupDescriptor { label: Some(kernel), layout, entries: &entries })
    })
    .map_err(|refusal| refusal.about(kernel))
}

/// `n` workgroups as x by y: one dimension ends at 65,535.
fn fold(device: &GpuDevice, kernel: &str, n: usize) -> Result<(u32, u32)> {
    let limit = device.limits().max_compute_workgroups_per_dimension as usize;
    let x = n.min(limit);
    let y = n.div_ceil(x);
    if y > limit {
        return Err(Error::Device(format!("{kernel} needs {n} workgroups, the device allows {limit} x {limit}")));
    }
    Ok((x as u32, y as u32))
}

/// Cuts the launches into submissions of at most [`MAX_SECONDS`], as estimated from the calls' costs on a slow GPU;
/// the launches of a call share its cost evenly. Nothing ends a software driver's submission, so there it is one.
fn cut(device: &GpuDevice, calls: &[Call], ranges: &[Range<usize>], launches: usize) -> Vec<Range<usize>> {
    let mut cuts = Vec::new();
    let (mut first, mut seconds) = (0, 0.0);
    if device.adapter().hardware {
        for (call, range) in calls.iter().zip(ranges) {
            let cost = call.kernel.cost();
            let whole = cost.bytes / SLOW_GPU.bytes + cost.flops / SLOW_GPU.flops;
            let each = whole / range.len().max(1) as f64;
            for launch in range.clone() {
                if seconds > 0.0 && seconds + each > MAX_SECONDS {
                    cuts.push(first..launch);
                    (first, seconds) = (launch, 0.0);
                }
                seconds += each;
            }
        }
    }
    if first < launches {
        cuts.push(first..launches);
    }
    cuts
}
