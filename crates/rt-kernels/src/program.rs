//! Programs: calls checked and prepared once, then replayed.

use crate::cpu::{CpuIo, Mat, MatMut};
use crate::device::Inner;
use crate::{Buffer, CpuDevice, Device, Dtype, Error, Examples, Kernel, Operand, Operands, Result, Step, Target};
use std::sync::Arc;

/// One kernel call of a program.
#[derive(Debug, Clone)]
pub struct Call {
    /// The kernel.
    pub kernel: Arc<dyn Kernel + Send + Sync>,
    /// Its operands, over the program's buffers.
    pub operands: Operands,
}

/// Most words of parts that wait at once: further products are summed at once.
const APART: usize = 1 << 24;

/// Calls on buffers, prepared for a device. After [`Program::new`] a run creates no buffer, bind group or
/// pipeline.
pub struct Program {
    device: Device,
    calls: Vec<Call>,
    buffers: Vec<Buffer>,
    /// What its kernels need of each step, the least of all.
    examples: Option<Examples>,
    #[cfg(feature = "gpu")]
    gpu: Option<crate::gpu::GpuProgram>,
}

impl Program {
    /// Checks the calls, allocates their scratch, and on a GPU builds pipelines and bind groups.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] and [`Error::Call`] for calls that do not fit their operands, [`Error::Memory`],
    /// [`Error::Device`] where the device refuses a pipeline or limits do not allow a binding.
    pub fn new(device: &Device, mut buffers: Vec<Buffer>, mut calls: Vec<Call>) -> Result<Self> {
        let target = device.target();
        // Calls run one after the other, so scratch number i of every call is the same buffer.
        let mut scratch_words: Vec<usize> = Vec::new();
        // But parts of a product that a GPU sums later lie apart from what the calls until then use.
        let mut apart_words = 0;
        let mut wanted = Vec::new();
        for call in &calls {
            crate::kernel::check(&*call.kernel, &call.operands)?;
            for operand in call.operands.reads.iter().chain(&call.operands.writes).flatten() {
                let words = buffers.get(operand.buffer).map_or(0, Buffer::words);
                if operand.end() > words {
                    let what = format!("operand ends at word {}, its buffer has {words}", operand.end());
                    return Err(Error::Call { kernel: call.kernel.name(), what });
                }
            }
            let words = call.kernel.scratch(target);
            let later = target == Target::Gpu && call.kernel.later(&call.operands).is_some();
            if let (true, [one]) = (later, words.as_slice())
                && apart_words + one <= APART
            {
                wanted.push((vec![], Some((apart_words, *one))));
                apart_words += one;
                continue;
            }
            scratch_words.resize(scratch_words.len().max(words.len()), 0);
            for (slot, words) in scratch_words.iter_mut().zip(&words) {
                *slot = (*slot).max(*words);
            }
            wanted.push((words, None));
        }
        let first = buffers.len();
        for words in &scratch_words {
            buffers.push(device.zeros(Dtype::U32, *words, "kernel scratch")?);
        }
        let apart = buffers.len();
        if apart_words > 0 {
            buffers.push(device.zeros(Dtype::U32, apart_words, "parts of products")?);
        }
        for (call, (words, later)) in calls.iter_mut().zip(wanted) {
            let dense = |(i, words): (usize, usize)| Operand::dense(first + i, 1, words);
            let parts = |(offset, words)| Operand { offset, ..Operand::dense(apart, 1, words) };
            call.operands.scratch = words.into_iter().enumerate().map(dense).chain(later.map(parts)).collect();
        }
        #[cfg(feature = "gpu")]
        let gpu = match device {
            Device::Gpu(gpu) => Some(crate::gpu::GpuProgram::new(gpu, &calls, &buffers, apart)?),
            Device::Cpu(_) => None,
        };
        Ok(Self {
            device: device.clone(),
            examples: examples(&calls),
            calls,
            buffers,
            #[cfg(feature = "gpu")]
            gpu,
        })
    }

    /// The calls, in order.
    #[must_use]
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// The buffers; operands index into them. Scratch stands at the end.
    #[must_use]
    pub fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    /// The examples that it takes of a step; `None` where it takes none.
    #[must_use]
    pub fn examples(&self) -> Option<Examples> {
        self.examples
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// GPU dispatches a run makes; on the CPU the number of calls.
    #[must_use]
    pub fn dispatches(&self) -> usize {
        #[cfg(feature = "gpu")]
        if let Some(gpu) = &self.gpu {
            return gpu.dispatches();
        }
        self.calls.len()
    }

    /// What a run does, in order: number of the call and shader of each GPU dispatch; on the CPU the calls and their kernels.
    #[must_use]
    pub fn launches(&self) -> Vec<(usize, &'static str)> {
        #[cfg(feature = "gpu")]
        if let Some(gpu) = &self.gpu {
            return gpu.launches();
        }
        self.calls.iter().enumerate().map(|(i, call)| (i, call.kernel.name())).collect()
    }

    /// Runs all calls. On a GPU this encodes and submits without waiting.
    ///
    /// # Errors
    ///
    /// [`Error::DeviceLost`], [`Error::Device`]; [`Error::Step`] for a step with examples past the list that the calls take them
    /// from, or a rate that is not finite: no call has run then.
    pub fn run(&mut self, step: &Step) -> Result<()> {
        step.check(self.examples)?;
        match &self.device {
            Device::Cpu(cpu) => {
                let (calls, buffers) = (&self.calls, &self.buffers);
                cpu.install_awake(|| calls.iter().try_for_each(|call| run_on_cpu(cpu, call, buffers, step)))
            }
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => match &mut self.gpu {
                Some(gpu) => gpu.run(step),
                None => Err(Error::Device("the program was not built for a GPU".into())),
            },
        }
    }

    /// Runs all calls one by one and gives the seconds of each: host time on the CPU, device timestamps on a GPU that
    /// has them, else the time of a submission each.
    ///
    /// # Errors
    ///
    /// As [`Program::run`].
    pub fn run_timed(&mut self, step: &Step) -> Result<Vec<f64>> {
        step.check(self.examples)?;
        match &self.device {
            Device::Cpu(cpu) => {
                let (calls, buffers) = (&self.calls, &self.buffers);
                cpu.install_awake(|| {
                    let mut seconds = Vec::with_capacity(calls.len());
                    for call in calls {
                        let start = std::time::Instant::now();
                        run_on_cpu(cpu, call, buffers, step)?;
                        seconds.push(start.elapsed().as_secs_f64());
                    }
                    Ok(seconds)
                })
            }
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => match &mut self.gpu {
                Some(gpu) => gpu.run_timed(step),
                None => Err(Error::Device("the program was not built for a GPU".into())),
            },
        }
    }

    /// Runs all calls one by one and gives what `clock` gained in each, its seconds before and after: for clocks other than
    /// the wall's, such as the process's CPU time. A call waits until it is done, and idle threads sleep.
    ///
    /// # Errors
    ///
    /// As [`Program::run`].
    pub fn run_clocked(&mut self, step: &Step, clock: &(dyn Fn() -> f64 + Sync)) -> Result<Vec<f64>> {
        step.check(self.examples)?;
        match &self.device {
            Device::Cpu(cpu) => {
                let (calls, buffers) = (&self.calls, &self.buffers);
                cpu.install(|| {
                    let mut seconds = Vec::with_capacity(calls.len());
                    for call in calls {
                        let start = clock();
                        run_on_cpu(cpu, call, buffers, step)?;
                        seconds.push(clock() - start);
                    }
                    Ok(seconds)
                })
            }
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => match &mut self.gpu {
                Some(gpu) => gpu.run_clocked(step, clock),
                None => Err(Error::Device("the program was not built for a GPU".into())),
            },
        }
    }

    /// Waits until the device has done all that was submitted.
    ///
    /// # Errors
    ///
    /// [`Error::DeviceLost`].
    pub fn synchronize(&self) -> Result<()> {
        match &self.device {
            Device::Cpu(_) => Ok(()),
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => gpu.synchronize(),
        }
    }

    /// Where it runs.
    #[must_use]
    pub fn target(&self) -> Target {
        self.device.target()
    }
}

/// What these calls need of each step: the rows of the last of them, and the shortest list.
fn examples(calls: &[Call]) -> Option<Examples> {
    let all = calls.iter().filter_map(|call| call.kernel.examples(&call.operands));
    all.reduce(|a, b| Examples { rows: a.rows.max(b.rows), list: a.list.min(b.list) })
}

fn run_on_cpu(cpu: &CpuDevice, call: &Call, buffers: &[Buffer], step: &Step) -> Result<()> {
    let memory = |o: &Operand| match &buffers[o.buffer].inner {
        Inner::Cpu(memory) => Ok(memory),
        #[cfg(feature = "gpu")]
        Inner::Gpu(_) => {
            let what = "a GPU buffer in a CPU program".to_owned();
            Err(Error::Call { kernel: call.kernel.name(), what })
        }
    };
    let operands = &call.operands;
    let busy = || Error::Call { kernel: call.kernel.name(), what: "a buffer is in use by another program".into() };
    let mut reads = Vec::with_capacity(operands.reads.len());
    for operand in &operands.reads {
        reads.push(match operand {
            Some(o) => Some((memory(o)?.try_read().map_err(|_| busy())?, o)),
            None => None,
        });
    }
    let mut writes = Vec::with_capacity(operands.writes.len());
    for operand in &operands.writes {
        writes.push(match operand {
            Some(o) => Some((memory(o)?.try_write().map_err(|_| busy())?, o)),
            None => None,
        });
    }
    let mut scratch = Vec::with_capacity(operands.scratch.len());
    for o in &operands.scratch {
        scratch.push((memory(o)?.try_write().map_err(|_| busy())?, o));
    }
    let mut io = CpuIo {
        step,
        precision: cpu.precision(),
        reads: reads.iter().map(|r| r.as_ref().map(|(guard, o)| Mat::of(guard.words(), o))).collect(),
        writes: writes.iter_mut().map(|w| w.as_mut().map(|(guard, o)| MatMut::of(guard.words_mut(), o))).collect(),
        scratch: scratch.iter_mut().map(|(guard, o)| Some(MatMut::of(guard.words_mut(), o))).collect(),
    };
    #[cfg(feature = "naive")]
    if cpu.is_naive() && call.kernel.run_naive(&mut io) {
        return Ok(());
    }
    call.kernel.run(&mut io);
    Ok(())
}
