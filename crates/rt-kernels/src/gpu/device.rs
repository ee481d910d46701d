//! One GPU: buffers in and out, errors, and a bound on how far the host runs ahead.

use super::adapter::{self, Found};
use super::cache::Cache;
use super::faults::{Faults, Refusal, scoped};
use super::pipeline::Pipelines;
use super::tune::{self, Tiles};
use crate::turns::{self, Hold, Holds};
use crate::{Adapter, Error, Result, Variant};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Runs that may be under way before the host waits for the oldest: enough to keep the device busy while the host
/// encodes, few enough that an error is seen soon.
const IN_FLIGHT: u64 = 3;
/// Bytes of one piece of a long upload or read: bounds the staging memory.
const PIECE: usize = 32 << 20;
/// Bytes of the staging buffer that is kept for short reads.
const SMALL_READ: u64 = 64 << 10;
/// Storage bindings that the unused operands of one dispatch can take.
const DUMMIES: usize = 8;

/// How to open a GPU; the default is right outside tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GpuOptions {
    /// Ask for WebGPU's default limits alone, as the smallest adapters have them.
    pub default_limits: bool,
    /// Keep wgpu's run-time checks in shaders (bounds, loop counters, zeroed workgroup memory).
    pub checked_shaders: bool,
    /// At most this many bytes in one binding.
    pub max_binding_bytes: Option<u64>,
    /// The variant of matrix products, where they have it; else what the kind of adapter says, or on hardware what was timed.
    pub products: Option<Variant>,
    /// Products hold their tiles in f16, before what `products` says; refused where the adapter has no shader-f16.
    pub f16: bool,
}

/// Objects made on a device since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Buffers, staging included.
    pub buffers: u64,
    /// Bind groups.
    pub bind_groups: u64,
    /// Compute pipelines.
    pub pipelines: u64,
    /// Submissions to the queue.
    pub submissions: u64,
    /// Of these, how many are not known to be done.
    pub under_way: u64,
    /// Times that the host waited for all that was submitted.
    pub waits: u64,
}

/// A GPU. Cheap to clone; clones are the same device.
#[derive(Clone)]
pub struct GpuDevice(Arc<Shared>);

/// Words on a GPU.
#[derive(Clone)]
pub(crate) struct GpuBuffer {
    pub(crate) buffer: wgpu::Buffer,
    owner: usize,
}

impl GpuBuffer {
    /// Are these the same words?
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.buffer == other.buffer
    }
}

struct Shared {
    device: wgpu::Device,
    queue: wgpu::Queue,
    about: Adapter,
    limits: wgpu::Limits,
    options: GpuOptions,
    faults: Faults,
    pipelines: Pipelines,
    info: wgpu::AdapterInfo,
    tiles: OnceLock<Tiles>,
    dummies: Vec<wgpu::Buffer>,
    small_read: Mutex<Option<wgpu::Buffer>>,
    buffers: AtomicU64,
    bind_groups: AtomicU64,
    submissions: AtomicU64,
    waits: AtomicU64,
    finished: Arc<AtomicU64>,
    /// Who submits: one at a time, in the order in which they asked.
    turn: Holds,
}

/// What is asked of an adapter beyond WebGPU's least: what it has of what is of use, and 16-bit floats where products want them.
fn features(found: &Found, options: GpuOptions) -> Result<wgpu::Features> {
    let has = found.adapter.features();
    let half = if options.f16 { wgpu::Features::SHADER_F16 } else { wgpu::Features::empty() };
    if !has.contains(half) {
        let name = &found.about.name;
        return Err(Error::NoDevice(format!("{name} has no shader-f16, which f16 products need")));
    }
    if options.default_limits {
        return Ok(half);
    }
    let subgroup = match found.about.variant {
        Variant::Subgroup => wgpu::Features::SUBGROUP,
        Variant::Portable | Variant::Vec4 | Variant::Wide | Variant::F16 => wgpu::Features::empty(),
    };
    Ok(has & (wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::PIPELINE_CACHE | subgroup) | half)
}

impl GpuDevice {
    /// The first hardware GPU that opens; `None` where there is none.
    pub(crate) fn open_hardware(options: GpuOptions) -> Result<Option<Self>> {
        let hardware = usable().filter(|f| f.about.hardware);
        adapter::first(hardware, |f| Self::open(f, options))
    }

    /// The first hardware GPU that opens, else the first software driver.
    pub(crate) fn open_any(options: GpuOptions) -> Result<Self> {
        let hardware = usable().filter(|f| f.about.hardware);
        // Who asks for f16 asks for speed: a hardware GPU without it is an error, no reason to take a software driver.
        let settled = options.f16 && usable().any(|f| f.about.hardware);
        let software = usable().filter(|f| !f.about.hardware && !settled);
        let open = |f| Self::open(f, options);
        adapter::first(hardware.chain(software), open)?.ok_or_else(|| adapter::nothing("gpu"))
    }

    /// Adapter number `index` of [`GpuDevice::adapters`].
    pub(crate) fn open_index(index: usize, options: GpuOptions) -> Result<Self> {
        match usable().find(|f| f.about.index == index) {
            Some(found) => Self::open(found, options),
            None => Err(adapter::nothing(&format!("gpu:{index}"))),
        }
    }

    /// Every adapter of this machine.
    pub(crate) fn adapters() -> Vec<Adapter> {
        adapter::all().iter().map(|f| f.about.clone()).collect()
    }

    fn open(found: &Found, options: GpuOptions) -> Result<Self> {
        let has = found.adapter.limits();
        let mut limits =
            if options.default_limits { adapter::default_limits(&has) } else { adapter::limits_to_request(&has) };
        if let Some(bytes) = options.max_binding_bytes {
            let bytes = bytes & !15;
            limits.max_storage_buffer_binding_size = limits.max_storage_buffer_binding_size.min(bytes.max(256));
        }
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("recall-tape"),
            required_features: features(found, options)?,
            required_limits: limits.clone(),
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(found.adapter.request_device(&descriptor))
            .map_err(|e| Error::NoDevice(format!("{} cannot be opened: {e}", found.about.name)))?;
        let faults = Faults::default();
        faults.listen(&device);
        let cache = Cache::open(&device, &found.adapter.get_info());
        let dummy = wgpu::BufferDescriptor {
            label: Some("unused operand"),
            size: 256,
            usage: wgpu::BufferUsages::STORAGE,
            mapped_at_creation: false,
        };
        let dummies = (0..=DUMMIES).map(|_| device.create_buffer(&dummy)).collect();
        Ok(Self(Arc::new(Shared {
            device,
            queue,
            about: found.about.clone(),
            limits,
            options,
            faults,
            pipelines: Pipelines::new(cache),
            info: found.adapter.get_info(),
            tiles: OnceLock::new(),
            dummies,
            small_read: Mutex::new(None),
            buffers: AtomicU64::new(DUMMIES as u64 + 1),
            bind_groups: AtomicU64::new(0),
            submissions: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            finished: Arc::new(AtomicU64::new(0)),
            turn: [Hold::write(&Arc::default())].into(),
        })))
    }

    /// Name and backend, and whether products are other than by default.
    pub(crate) fn name(&self) -> String {
        let products = if self.0.options.f16 { ", f16 products" } else { "" };
        format!("{} ({}){products}", self.0.about.name, self.0.about.backend)
    }

    /// The adapter that it runs on.
    #[must_use]
    pub fn adapter(&self) -> &Adapter {
        &self.0.about
    }

    /// Objects made so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            buffers: self.0.buffers.load(Ordering::Relaxed),
            bind_groups: self.0.bind_groups.load(Ordering::Relaxed),
            pipelines: self.0.pipelines.made(),
            submissions: self.0.submissions.load(Ordering::Relaxed),
            under_way: self.under_way(),
            waits: self.0.waits.load(Ordering::Relaxed),
        }
    }

    /// What wgpu itself holds: for tests, with the feature `counters`; else all zero.
    #[doc(hidden)]
    #[must_use]
    pub fn wgpu_counters(&self) -> wgpu::InternalCounters {
        self.0.device.get_internal_counters()
    }

    /// Bytes of the largest buffer that kernels can use: one binding.
    #[must_use]
    pub fn max_buffer_bytes(&self) -> u64 {
        let limits = &self.0.limits;
        // Shaders count words in 32 bits.
        limits.max_storage_buffer_binding_size.min(limits.max_buffer_size).min(4 * u64::from(u32::MAX))
    }

    /// Destroys the device, as a driver reset would: for tests.
    #[doc(hidden)]
    pub fn lose(&self) {
        self.0.device.destroy();
        self.wait_all();
    }

    pub(crate) fn raw(&self) -> &wgpu::Device {
        &self.0.device
    }

    pub(crate) fn queue(&self) -> &wgpu::Queue {
        &self.0.queue
    }

    pub(crate) fn limits(&self) -> &wgpu::Limits {
        &self.0.limits
    }

    /// Its number in the list of adapters.
    #[must_use]
    pub fn index(&self) -> usize {
        self.adapter().index
    }

    /// The variant that it runs of kernels that have it.
    #[must_use]
    pub fn variant(&self) -> Variant {
        if self.0.options.default_limits { Variant::Portable } else { self.0.about.variant }
    }

    /// The tiles of its products: on hardware those that were timed, now where none are kept.
    pub(crate) fn tiles(&self) -> Tiles {
        if why_untimed(&self.0.about, self.0.options.default_limits).is_some() {
            return Tiles::PORTABLE;
        }
        *self.0.tiles.get_or_init(|| tune::tiles(self, &self.0.info))
    }

    /// Times the tiles of matrix products where that is to be done and was not.
    pub(crate) fn time_products(&self) {
        self.tiles();
    }

    /// Which tiles matrix products take on adapter number `index`, in a line.
    pub(crate) fn products_of(index: usize) -> String {
        let Some(found) = adapter::all().iter().find(|f| f.about.index == index) else {
            return "no such adapter".to_owned();
        };
        match why_untimed(&found.about, false) {
            Some(why) => format!("by the kind of adapter, never timed: {why}"),
            None => {
                tune::kept(&found.adapter.get_info()).unwrap_or_else(|| "64x64; no other choice is kept".to_owned())
            }
        }
    }

    pub(crate) fn options(&self) -> GpuOptions {
        self.0.options
    }

    pub(crate) fn pipelines(&self) -> &Pipelines {
        &self.0.pipelines
    }

    /// The error that the device reported since the last call, if any.
    pub(crate) fn check(&self) -> Result<()> {
        self.0.faults.check()
    }

    /// A buffer to bind where a kernel was not given a read operand.
    pub(crate) fn unused_read(&self) -> &wgpu::Buffer {
        &self.0.dummies[0]
    }

    /// A buffer to bind where a kernel was not given written operand; `n` counts them within a dispatch, because two
    /// writable bindings must not share one.
    pub(crate) fn unused_write(&self, n: usize) -> Option<&wgpu::Buffer> {
        self.0.dummies.get(1 + n)
    }

    /// A buffer for `what`; counts it and turns refusals into errors.
    pub(crate) fn create_buffer(&self, what: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        self.check()?;
        let made = scoped(&self.0.device, || {
            self.0.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(what),
                size: bytes,
                usage,
                mapped_at_creation: false,
            })
        });
        self.0.buffers.fetch_add(1, Ordering::Relaxed);
        self.check()?;
        made.map_err(|refusal| match refusal {
            Refusal::OutOfMemory => Error::Device(format!(
                "{what} needs {} MiB and the device has no such block free: use a smaller batch, table or width",
                bytes.div_ceil(1 << 20)
            )),
            other => other.about(what),
        })
    }

    /// A bind group; the caller holds the error scope.
    pub(crate) fn create_bind_group(&self, descriptor: &wgpu::BindGroupDescriptor<'_>) -> wgpu::BindGroup {
        self.0.bind_groups.fetch_add(1, Ordering::Relaxed);
        self.0.device.create_bind_group(descriptor)
    }

    /// A buffer of zeros.
    pub(crate) fn zeros(&self, words: usize, what: &str) -> Result<GpuBuffer> {
        // Whole vec4s, so that any element type that a shader declares fits into the smallest buffer.
        let have = self.max_buffer_bytes();
        let need = (words as u64).checked_mul(4).and_then(|bytes| bytes.checked_next_multiple_of(16));
        let Some(need) = need.filter(|need| *need <= have) else {
            let (what, need) = (what.to_owned(), need.unwrap_or(u64::MAX));
            return Err(Error::Memory { what, need, have });
        };
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        Ok(GpuBuffer { buffer: self.create_buffer(what, need, usage)?, owner: self.id() })
    }

    /// The buffer, if it is this device's.
    pub(crate) fn own<'a>(&self, buffer: &'a GpuBuffer, kernel: &'static str) -> Result<&'a wgpu::Buffer> {
        if self.owns(buffer) {
            return Ok(&buffer.buffer);
        }
        let what = "the buffer belongs to another device".to_owned();
        Err(Error::Call { kernel, what })
    }

    /// Is it this device's buffer?
    pub(crate) fn owns(&self, buffer: &GpuBuffer) -> bool {
        buffer.owner == self.id()
    }

    fn id(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// Runs `f`, what `kernel` submits, with nothing of other threads between its submissions.
    pub(crate) fn in_turn<R>(&self, kernel: &'static str, f: impl FnOnce() -> Result<R>) -> Result<R> {
        let refused = |why: turns::Refused| Error::Call { kernel, what: why.why(|_| "the device".to_owned()) };
        turns::during(&self.0.turn, f).map_err(refused)?
    }

    /// Copies words to the device. Long uploads go in pieces, each done before the next but one is staged.
    pub(crate) fn write(&self, buffer: &GpuBuffer, offset: usize, words: &[u32]) -> Result<()> {
        self.in_turn("write", || self.write_pieces(buffer, offset, words))
    }

    fn write_pieces(&self, buffer: &GpuBuffer, offset: usize, words: &[u32]) -> Result<()> {
        self.check()?;
        let target = self.own(buffer, "write")?;
        let mut at = offset as u64 * 4;
        for piece in words.chunks(PIECE / 4) {
            self.0.queue.write_buffer(target, at, bytemuck::cast_slice(piece));
            at += piece.len() as u64 * 4;
            if words.len() > PIECE / 4 {
                self.submit([]);
                self.throttle()?;
            }
        }
        self.check()
    }

    /// Copies words from the device; waits for all that was submitted.
    pub(crate) fn read(&self, buffer: &GpuBuffer, offset: usize, words: usize) -> Result<Vec<u32>> {
        if words <= PIECE / 4 {
            // Others may submit while this one waits for its words.
            return self.read_pieces(buffer, offset, words, |submit| self.in_turn("read", submit));
        }
        self.in_turn("read", || self.read_pieces(buffer, offset, words, |submit| submit()))
    }

    fn read_pieces(
        &self,
        buffer: &GpuBuffer,
        offset: usize,
        words: usize,
        turn: impl Fn(&mut dyn FnMut() -> Result<()>) -> Result<()>,
    ) -> Result<Vec<u32>> {
        self.check()?;
        let source = self.own(buffer, "read")?;
        let mut out = vec![0; words];
        let mut at = offset as u64 * 4;
        for piece in out.chunks_mut(PIECE / 4) {
            let bytes = piece.len() as u64 * 4;
            let staging = self.staging(bytes)?;
            turn(&mut || {
                let mut encoder = self.0.device.create_command_encoder(&Default::default());
                encoder.copy_buffer_to_buffer(source, at, &staging, 0, bytes);
                self.submit([encoder.finish()]);
                Ok(())
            })?;
            self.map(&staging, bytes, |mapped| {
                piece.copy_from_slice(bytemuck::cast_slice(mapped));
            })?;
            at += bytes;
            if bytes <= SMALL_READ {
                *self.small_read() = Some(staging);
            }
        }
        Ok(out)
    }

    /// Maps the first bytes of a `MAP_READ` buffer once all that was submitted is done.
    pub(crate) fn map(&self, staging: &wgpu::Buffer, bytes: u64, take: impl FnOnce(&[u8])) -> Result<()> {
        let (send, receive) = std::sync::mpsc::channel();
        staging.map_async(wgpu::MapMode::Read, 0..bytes, move |result| {
            // The receiver lives until the end of this function; a late report has no one to tell.
            let _ = send.send(result);
        });
        self.wait_all();
        self.check()?;
        let refused = |why: &str| Error::Device(format!("reading from the device: {why}"));
        // Another thread that polls at the same moment may be the one to deliver the report, a little later.
        match receive.recv_timeout(std::time::Duration::from_secs(10)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(refused(&error.to_string())),
            Err(_) => return Err(refused("the copy did not come back")),
        }
        let view = staging.get_mapped_range(0..bytes).map_err(|e| refused(&e.to_string()))?;
        take(&view);
        drop(view);
        staging.unmap();
        Ok(())
    }

    fn staging(&self, bytes: u64) -> Result<wgpu::Buffer> {
        if bytes <= SMALL_READ
            && let Some(kept) = self.small_read().take()
        {
            return Ok(kept);
        }
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        self.create_buffer("a copy to the host", bytes.max(SMALL_READ), usage)
    }

    fn small_read(&self) -> std::sync::MutexGuard<'_, Option<wgpu::Buffer>> {
        self.0.small_read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Submits, and counts the submission until it is done.
    pub(crate) fn submit<const N: usize>(&self, commands: [wgpu::CommandBuffer; N]) {
        self.0.queue.submit(commands);
        self.0.submissions.fetch_add(1, Ordering::Relaxed);
        let finished = self.0.finished.clone();
        self.0.queue.on_submitted_work_done(move || {
            finished.fetch_add(1, Ordering::Release);
        });
    }

    /// Waits until fewer than [`IN_FLIGHT`] submissions are under way, and tells of errors.
    ///
    /// Not through `Device::poll`: it panics where the device is lost while it waits; `Instance::poll_all` does not.
    pub(crate) fn throttle(&self) -> Result<()> {
        let target = (self.0.submissions.load(Ordering::Relaxed) + 1).saturating_sub(IN_FLIGHT);
        loop {
            self.poll();
            self.check()?;
            if self.0.finished.load(Ordering::Acquire) >= target {
                return Ok(());
            }
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    /// Lets wgpu deliver reports of what is done, without waiting.
    pub(crate) fn poll(&self) {
        adapter::instance().poll_all(false);
    }

    /// Waits for all that was submitted.
    pub(crate) fn synchronize(&self) -> Result<()> {
        self.wait_all();
        self.check()
    }

    /// Waits for what is under way and keeps errors for the next call: for where nobody can be told.
    pub(crate) fn settle(&self) {
        if self.under_way() > 0 {
            self.wait_all();
        }
    }

    fn under_way(&self) -> u64 {
        let finished = self.0.finished.load(Ordering::Acquire);
        self.0.submissions.load(Ordering::Relaxed).saturating_sub(finished)
    }

    /// Waits for every device of the process, which is one but in tests.
    fn wait_all(&self) {
        self.0.waits.fetch_add(1, Ordering::Relaxed);
        adapter::instance().poll_all(true);
    }
}

fn usable() -> impl Iterator<Item = &'static Found> {
    adapter::all().iter().filter(|f| f.about.unusable.is_none())
}

/// Why products are not timed on an adapter; `None` where they are.
fn why_untimed(about: &Adapter, default_limits: bool) -> Option<&'static str> {
    let limit = |name: &str| about.limits.iter().find(|(n, _)| n == name).map_or(0, |(_, value)| *value);
    let default = u64::from(wgpu::Limits::default().max_compute_workgroup_storage_size);
    if !about.hardware {
        Some("a software driver")
    } else if default_limits || limit("max_compute_workgroup_storage_size") <= default {
        Some("no more than the default limits")
    } else {
        None
    }
}
