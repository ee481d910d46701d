//! Clocks of CPU time.

/// CPU seconds of the calling thread; 0 where the system does not say.
pub(super) fn thread_seconds() -> f64 {
    #[cfg(unix)]
    return of(rustix::time::ClockId::ThreadCPUTime);
    #[cfg(not(unix))]
    0.0
}

/// CPU seconds of this process, all threads, those of a software driver included; 0 where the system does not say.
pub(super) fn process_seconds() -> f64 {
    #[cfg(unix)]
    return of(rustix::time::ClockId::ProcessCPUTime);
    #[cfg(not(unix))]
    0.0
}

#[cfg(unix)]
fn of(clock: rustix::time::ClockId) -> f64 {
    let time = rustix::time::clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn work_counts_and_sleep_does_not() {
        let (thread, process) = (thread_seconds(), process_seconds());
        std::thread::sleep(std::time::Duration::from_millis(200));
        let slept = thread_seconds() - thread;
        assert!(slept < 0.1, "{slept} s of CPU time in a sleep of 0.2 s");
        let mut x = 1u64;
        while thread_seconds() - thread < slept + 0.02 {
            x = std::hint::black_box(x.wrapping_mul(3));
        }
        assert!(process_seconds() - process >= 0.02, "the thread's work is the process's");
    }
}
