//! The CPU path's threads.

use crate::matmul::{Bf16, Precision};
use crate::{Error, Result, turns};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Without work a thread stays awake so long: longer than nearly all gaps between the loops of a step.
const AWAKE: Duration = Duration::from_micros(300);
/// And at all: other steps may give it work without end. Longer steps do not need it.
const AT_MOST: Duration = Duration::from_millis(100);

/// The CPU path: a pool of threads for kernels, and one for those who call them.
///
/// A thread of rayon that waits for a part of a loop takes any other job of its pool meanwhile. Were that a request which
/// waits for the buffers of the run that the thread is in the middle of, it would wait for ever. So nothing but kernels comes
/// into the first pool: a run takes its buffers on the thread that calls it, hands them over and sleeps.
#[derive(Clone)]
pub struct CpuDevice {
    kernels: Arc<rayon::ThreadPool>,
    callers: Arc<rayon::ThreadPool>,
    naive: bool,
    precision: Precision,
}

impl CpuDevice {
    /// A pool of `threads` threads; 0 = one for each core.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the threads cannot be started.
    pub fn new(threads: usize) -> Result<Self> {
        let pool = |name: &'static str, start: fn(usize)| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(move |i| format!("{name}-{i}"))
                .start_handler(start)
                .build()
                .map_err(|e| Error::Device(format!("cannot start {threads} threads: {e}")))?;
            Ok(Arc::new(pool))
        };
        let kernels = pool("recall-tape", |_| turns::this_thread_runs_kernels())?;
        Ok(Self { kernels, callers: pool("recall-calls", |_| {})?, naive: false, precision: Precision::F32 })
    }

    /// As [`CpuDevice::new`], with matrix products that round their operands to bf16 and sum in f32.
    ///
    /// # Errors
    ///
    /// [`Error::NoDevice`] where the processor has no AVX-512 BF16; as [`CpuDevice::new`].
    pub fn bf16(threads: usize) -> Result<Self> {
        let bf16 = Bf16::detect().ok_or_else(|| {
            let set = crate::simd::instruction_set();
            Error::NoDevice(format!(
                "bf16 products are for a processor with AVX-512 BF16: this one has {set} without it"
            ))
        })?;
        Ok(Self { precision: Precision::Bf16(bf16), ..Self::new(threads)? })
    }

    /// Can this processor open [`CpuDevice::bf16`]?
    #[must_use]
    pub fn grants_bf16() -> bool {
        Bf16::detect().is_some()
    }

    /// One thread, and kernels as plain loops (`Kernel::run_naive`), for tests and benches. Needs the feature `naive`.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the thread cannot be started.
    #[cfg(feature = "naive")]
    pub fn naive() -> Result<Self> {
        Ok(Self { naive: true, ..Self::new(1)? })
    }

    /// Does it run plain loops?
    #[must_use]
    pub fn is_naive(&self) -> bool {
        self.naive
    }

    /// Do its matrix products round their operands to bf16?
    pub(crate) fn is_bf16(&self) -> bool {
        matches!(self.precision, Precision::Bf16(_))
    }

    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    /// Number of threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.kernels.current_num_threads()
    }

    /// Runs `f` in a pool of as many threads as the device has, so that its parallel loops use so many. `f` may run programs.
    pub fn install<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        self.callers.install(f)
    }

    /// Runs `f` on the threads that run kernels. The calling thread sleeps until `f` has ended, also if it belongs to a pool of
    /// rayon: only then it may take other work of that pool. In `f` nothing of a device can be run, read or written: that gives
    /// [`Error::Call`].
    pub fn compute<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        if rayon::current_thread_index().is_none() || turns::runs_kernels() {
            return self.kernels.install(f);
        }
        // `install` would let a thread of another pool take other work of that pool while it waits. So it waits here.
        let (mut out, done) = (None, Done::default());
        self.kernels.in_place_scope(|scope| {
            scope.spawn(|_| {
                let _end = done.on_drop();
                out = Some(f());
            });
            done.wait();
        });
        out.expect("the scope passes on a panic of its job, so here the job has ended well")
    }

    /// The same, and keeps the other threads awake over the gaps in `f`: a step is tens of parallel regions with short
    /// gaps, and to wake a thread takes longer than most gaps. After a longer one they sleep and wake as ever.
    pub(crate) fn compute_awake<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        if self.threads() == 1 {
            return self.compute(f);
        }
        self.compute(|| {
            let done = AtomicBool::new(false);
            let own = rayon::current_thread_index();
            rayon::scope(|scope| {
                scope.spawn_broadcast(|_, context| {
                    // The thread that runs `f` meets this too, where it waits for the end of a loop: it must go on. So must one that
                    // had begun with a part of a loop before it came here, and waits for the rest: for it this is a
                    // call inside of that part, and nobody else ends it.
                    let mut idle = 0u32;
                    let begin = Instant::now();
                    let mut since = begin;
                    while Some(context.index()) != own && !done.load(Ordering::Acquire) {
                        if begin.elapsed() > AT_MOST {
                            break;
                        } else if rayon::yield_now() == Some(rayon::Yield::Executed) {
                            idle = 0;
                        } else if idle < 64 {
                            idle += 1;
                            since = Instant::now();
                            std::hint::spin_loop();
                        } else if since.elapsed() < AWAKE {
                            // Other processes, and the thread that it waits for, may need this core.
                            std::thread::yield_now();
                        } else {
                            break;
                        }
                    }
                });
                let _end = SetOnDrop(&done);
                f()
            })
        })
    }
}

/// Tells a thread that another has ended something.
#[derive(Default)]
struct Done {
    ended: Mutex<bool>,
    end: Condvar,
}

impl Done {
    fn wait(&self) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        while !*ended {
            ended = self.end.wait(ended).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// It ends where this is dropped, by a panic too.
    fn on_drop(&self) -> impl Drop + '_ {
        struct End<'a>(&'a Done);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                *self.0.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
                self.0.end.notify_all();
            }
        }
        End(self)
    }
}

/// Sets its flag when it goes, by a panic too.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    #[test]
    fn steps_of_several_threads_share_a_pool() {
        let cpu = CpuDevice::new(2).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let cpu = cpu.clone();
                scope.spawn(move || {
                    for _ in 0..50 {
                        let step =
                            || (0..20).map(|i| (0..1000u64).into_par_iter().map(|x| x * i + thread).sum::<u64>());
                        let got: Vec<u64> = cpu.compute_awake(|| step().collect());
                        let want: Vec<u64> = (0..20).map(|i| 499_500 * i + 1000 * thread).collect();
                        assert_eq!(got, want);
                    }
                });
            }
        });
    }

    /// A thread that is told to stay awake while it waits for a part of what it has begun comes back to it.
    #[test]
    fn a_thread_that_stays_awake_ends_what_it_has_begun() {
        let cpu = CpuDevice::new(2).unwrap();
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let set = |flag: &AtomicBool| flag.store(true, Ordering::Release);
            let wait = |flag: &AtomicBool, f: fn()| {
                while !flag.load(Ordering::Acquire) {
                    f()
                }
            };
            let [begun, told, taken, done] = std::array::from_fn(|_| AtomicBool::new(false));
            let step = || {
                wait(&begun, std::hint::spin_loop);
                cpu.compute_awake(|| {
                    set(&told);
                    wait(&done, || {
                        let _ = rayon::yield_now();
                    });
                });
            };
            let other = || {
                set(&begun);
                wait(&told, std::hint::spin_loop);
                let part = || {
                    set(&taken);
                    std::thread::sleep(std::time::Duration::from_millis(50));
                };
                rayon::join(|| wait(&taken, std::hint::spin_loop), part);
                set(&done);
            };
            cpu.compute(|| rayon::join(step, other));
            ended.send(())
        });
        end.recv_timeout(std::time::Duration::from_secs(60)).expect("it ends");
    }

    #[test]
    fn a_panic_in_a_step_ends_it() {
        let cpu = CpuDevice::new(2).unwrap();
        let step = std::panic::AssertUnwindSafe(|| cpu.compute_awake(|| assert_eq!(1, 2, "in a step")));
        assert!(std::panic::catch_unwind(step).is_err());
        assert_eq!(cpu.compute_awake(|| (0..100).into_par_iter().sum::<i32>()), 4950);
    }
}
