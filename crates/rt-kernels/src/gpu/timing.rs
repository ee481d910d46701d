//! Seconds of each call of a program: device timestamps where there are some, else a submission each.

use super::device::GpuDevice;
use super::program::{GpuProgram, encode};
use crate::{Result, Step};
use std::time::Instant;

/// Calls timed in one submission; a query set holds 4,096 timestamps.
const CHUNK: usize = 1024;

/// Queries for the calls of one submission, and the way back of their results.
pub(crate) struct Timing {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
}

impl Timing {
    fn new(device: &GpuDevice, calls: usize) -> Result<Self> {
        let count = 2 * calls.clamp(1, CHUNK) as u32;
        let bytes = u64::from(count) * 8;
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let back = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        Ok(Self {
            resolved: device.create_buffer("timestamps", bytes, usage)?,
            staging: device.create_buffer("timestamps", bytes, back)?,
            queries: device.raw().create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count,
            }),
        })
    }
}

impl GpuProgram {
    /// Runs once and gives the seconds of each call.
    pub(crate) fn run_timed(&mut self, step: &Step) -> Result<Vec<f64>> {
        let features = self.device.raw().features();
        if self.timing.is_none() && features.contains(wgpu::Features::TIMESTAMP_QUERY) {
            self.timing = Some(Timing::new(&self.device, self.calls.len())?);
        }
        match &self.timing {
            Some(timing) => self.device.in_turn("run", || self.run_stamped(step, timing)),
            None => self.run_clocked(step, &wall()),
        }
    }

    fn run_stamped(&self, step: &Step, timing: &Timing) -> Result<Vec<f64>> {
        self.write_step(step)?;
        self.device.synchronize()?;
        let mut seconds = vec![0.0; self.calls.len()];
        // A call that runs as part of another one has no launches, and an empty pass may have no timestamps.
        let with_launches: Vec<usize> = (0..self.calls.len()).filter(|i| !self.calls[*i].is_empty()).collect();
        for calls in with_launches.chunks(CHUNK) {
            let mut encoder = self.device.raw().create_command_encoder(&Default::default());
            for (i, call) in (0..).step_by(2).zip(calls) {
                // A pass a call: timestamps stand at the bounds of a pass.
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: None,
                    timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                        query_set: &timing.queries,
                        beginning_of_pass_write_index: Some(i),
                        end_of_pass_write_index: Some(i + 1),
                    }),
                });
                encode(&self.launches[self.calls[*call].clone()], &mut pass);
            }
            let count = 2 * calls.len() as u32;
            let bytes = u64::from(count) * 8;
            encoder.resolve_query_set(&timing.queries, 0..count, &timing.resolved, 0);
            encoder.copy_buffer_to_buffer(&timing.resolved, 0, &timing.staging, 0, bytes);
            self.device.submit([encoder.finish()]);
            let tick = f64::from(self.device.queue().get_timestamp_period()) * 1e-9;
            self.device.map(&timing.staging, bytes, |mapped| {
                let stamps: &[u64] = bytemuck::cast_slice(mapped);
                for (call, pair) in calls.iter().zip(stamps.chunks_exact(2)) {
                    seconds[*call] = pair[1].saturating_sub(pair[0]) as f64 * tick;
                }
            })?;
        }
        Ok(seconds)
    }

    /// Runs once, a submission and a wait for each call, and gives what `clock` gained in each.
    pub(crate) fn run_clocked(&self, step: &Step, clock: &dyn Fn() -> f64) -> Result<Vec<f64>> {
        self.device.in_turn("run", || self.run_apart(step, clock))
    }

    fn run_apart(&self, step: &Step, clock: &dyn Fn() -> f64) -> Result<Vec<f64>> {
        self.write_step(step)?;
        self.device.synchronize()?;
        let mut seconds = Vec::with_capacity(self.calls.len());
        for call in &self.calls {
            if call.is_empty() {
                seconds.push(0.0);
                continue;
            }
            let start = clock();
            let mut encoder = self.device.raw().create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            encode(&self.launches[call.clone()], &mut pass);
            drop(pass);
            self.device.submit([encoder.finish()]);
            self.device.synchronize()?;
            seconds.push(clock() - start);
        }
        Ok(seconds)
    }
}

/// Seconds that pass.
fn wall() -> impl Fn() -> f64 {
    let start = Instant::now();
    move || start.elapsed().as_secs_f64()
}
