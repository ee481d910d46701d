//! Programs: calls checked and prepared once, then replayed.

use crate::cpu::{CpuIo, Mat, MatMut};
use crate::device::Inner;
use crate::kernels::is_own;
use crate::memory::CpuCell;
use crate::turns::{self, Grant, Hold, Holds};
use crate::{Buffer, CpuDevice, Device, Error, Examples, Kernel, Operand, Operands, Result, Step, Target};
use std::sync::{Arc, TryLockError};

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
///
/// Other threads may read and write the buffers meanwhile, and run other programs on them: they get what the buffers hold
/// between two runs, and no run fails because of them. On the CPU a run takes all of its buffers before the first call, to
/// read or to write as its calls do, waits for them in its turn, and gives them back after the last call. On a GPU the
/// submissions of a run follow each other in the device's queue, and nothing comes between them.
pub struct Program {
    device: Device,
    calls: Vec<Call>,
    buffers: Vec<Buffer>,
    /// What its kernels need of each step, the least of all.
    examples: Option<Examples>,
    /// What a run on the CPU takes, and the number of the buffer of each.
    holds: Holds,
    held: Vec<usize>,
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
            check(device, call, &buffers)?;
            let words = call.kernel.scratch(target);
            let own = target == Target::Gpu && is_own(&*call.kernel);
            let later = own && call.kernel.later(&call.operands).is_some();
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
            buffers.push(device.zeros(None, *words, "kernel scratch")?);
        }
        let apart = buffers.len();
        if apart_words > 0 {
            buffers.push(device.zeros(None, apart_words, "parts of products")?);
        }
        for (call, (words, later)) in calls.iter_mut().zip(wanted) {
            let dense = |(i, words): (usize, usize)| Operand::dense(first + i, 1, words);
            let parts = |(offset, words)| Operand { offset, ..Operand::dense(apart, 1, words) };
            call.operands.scratch = words.into_iter().enumerate().map(dense).chain(later.map(parts)).collect();
        }
        let (holds, held) = holds(device, &calls, &buffers)?;
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
            holds: holds.into(),
            held,
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

    /// Runs all calls. On a GPU this encodes and submits without waiting. On the CPU the calling thread waits for buffers that
    /// others use and sleeps during the run ([`CpuDevice::compute`]).
    ///
    /// # Errors
    ///
    /// [`Error::DeviceLost`], [`Error::Device`]; [`Error::Step`] for a step with examples past the list that the calls take them from,
    /// or a rate that is not finite; on the CPU [`Error::Call`] if a kernel calls this, or if the words of a buffer are not whole
    /// because a kernel panicked. No call has run then.
    pub fn run(&mut self, step: &Step) -> Result<()> {
        step.check(self.examples)?;
        match &self.device {
            Device::Cpu(cpu) => {
                let (calls, buffers, grant) = (&self.calls, &self.buffers, self.take()?);
                cpu.compute_awake(move || {
                    let _given_back_here = grant;
                    calls.iter().try_for_each(|call| run_on_cpu(cpu, call, buffers, step))
                })
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
                let (calls, buffers, grant) = (&self.calls, &self.buffers, self.take()?);
                cpu.compute_awake(move || {
                    let _given_back_here = grant;
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
                let (calls, buffers, grant) = (&self.calls, &self.buffers, self.take()?);
                cpu.compute(move || {
                    let _given_back_here = grant;
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

    /// Takes what a run needs, on the thread that calls it: see [`turns`].
    fn take(&self) -> Result<Grant> {
        turns::take(&self.holds).map_err(|why| {
            let what = why.why(|i| format!("buffer {}", self.held[i]));
            Error::Call { kernel: "run", what }
        })
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

/// Checks a call: its operands against its kernel, and their ends and types against their buffers.
fn check(device: &Device, call: &Call, buffers: &[Buffer]) -> Result<()> {
    let Operands { reads, writes, .. } = &call.operands;
    crate::kernel::check(&*call.kernel, &call.operands)?;
    let refuse = |what: String| Err(Error::Call { kernel: call.kernel.name(), what });
    // An operand that the kernel takes has a slot.
    let signature = call.kernel.signature();
    for (slot, operand) in signature.reads.iter().chain(&signature.writes).zip(reads.iter().chain(writes)) {
        let (Some(o), name) = (operand, slot.name) else { continue };
        let Some(buffer) = buffers.get(o.buffer) else {
            return refuse(format!("operand `{name}` is in buffer {} of {}", o.buffer, buffers.len()));
        };
        if !buffer.is_of(device) {
            return refuse(format!("operand `{name}` is in a buffer of another device"));
        }
        let words = buffer.words();
        if o.end().is_none_or(|end| end > words) {
            let size = format!("[{}, {}] with stride {} from word {}", o.rows, o.cols, o.stride, o.offset);
            return refuse(format!("operand `{name}` is {size}, its buffer has {words} words"));
        }
        if let Some(dtype) = buffer.dtype().filter(|dtype| !slot.takes(*dtype)) {
            return refuse(format!("operand `{name}` is of {:?}, its buffer holds {dtype:?}", slot.dtype));
        }
    }
    let all = || reads.iter().chain(writes).flatten();
    for w in writes.iter().flatten() {
        if let Some(o) = all().find(|o| o.buffer != w.buffer && buffers[o.buffer].same(&buffers[w.buffer])) {
            let [a, b] = [w.buffer, o.buffer];
            return refuse(format!("buffers {a} and {b} are the same words, of which the call writes some"));
        }
    }
    Ok(())
}

/// What these calls need of each step: the rows of the last of them, and the shortest list.
fn examples(calls: &[Call]) -> Option<Examples> {
    let all = calls.iter().filter_map(|call| call.kernel.examples(&call.operands));
    all.reduce(|a, b| Examples { rows: a.rows.max(b.rows), list: a.list.min(b.list) })
}

/// What a run of these calls takes on the CPU, and the number of the buffer of each: one hold for words that stand under
/// several numbers.
fn holds(device: &Device, calls: &[Call], buffers: &[Buffer]) -> Result<(Vec<Hold>, Vec<usize>)> {
    if device.target() == Target::Gpu {
        return Ok((Vec::new(), Vec::new()));
    }
    // Of each buffer: is it used, and written?
    let mut uses = vec![(false, false); buffers.len()];
    for Call { operands, .. } in calls {
        let reads = operands.reads.iter().flatten().map(|o| (o.buffer, false));
        let writes = operands.writes.iter().flatten().chain(&operands.scratch).map(|o| (o.buffer, true));
        for (buffer, write) in reads.chain(writes) {
            let number = buffers[..buffer].iter().position(|b| b.same(&buffers[buffer])).unwrap_or(buffer);
            uses[number].0 = true;
            uses[number].1 |= write;
        }
    }
    let used = (0..buffers.len()).filter(|i| uses[*i].0);
    let hold = |i: usize| {
        let turn = &cell(buffers, i)?.turn;
        Ok((if uses[i].1 { Hold::write(turn) } else { Hold::read(turn) }, i))
    };
    used.map(hold).collect()
}

/// The memory of a buffer of a program on the CPU.
fn cell(buffers: &[Buffer], i: usize) -> Result<&CpuCell> {
    match buffers.get(i).map(|b| &b.inner) {
        Some(Inner::Cpu(cell)) => Ok(cell),
        #[cfg(feature = "gpu")]
        Some(Inner::Gpu(_)) => {
            Err(Error::Call { kernel: "program", what: format!("buffer {i} is on a GPU, the program on the CPU") })
        }
        None => Err(Error::Call { kernel: "program", what: format!("it has no buffer {i}") }),
    }
}

fn run_on_cpu(cpu: &CpuDevice, call: &Call, buffers: &[Buffer], step: &Step) -> Result<()> {
    let memory = |o: &Operand| Ok(&cell(buffers, o.buffer)?.memory);
    let operands = &call.operands;
    let mut reads = Vec::with_capacity(operands.reads.len());
    for operand in &operands.reads {
        reads.push(match operand {
            Some(o) => Some((at_once(call, memory(o)?.try_read())?, o)),
            None => None,
        });
    }
    let mut writes = Vec::with_capacity(operands.writes.len());
    for operand in &operands.writes {
        writes.push(match operand {
            Some(o) => Some((at_once(call, memory(o)?.try_write())?, o)),
            None => None,
        });
    }
    let mut scratch = Vec::with_capacity(operands.scratch.len());
    for o in &operands.scratch {
        scratch.push((at_once(call, memory(o)?.try_write())?, o));
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

/// The memory that a run has its turn with: nobody else uses it. Whether its words are whole, the turn says.
fn at_once<T>(call: &Call, got: std::result::Result<T, TryLockError<T>>) -> Result<T> {
    match got {
        Ok(guard) => Ok(guard),
        Err(TryLockError::Poisoned(guard)) => Ok(guard.into_inner()),
        Err(TryLockError::WouldBlock) => {
            let what = "a buffer is used out of turn, which is a fault of this crate".to_owned();
            Err(Error::Call { kernel: call.kernel.name(), what })
        }
    }
}
