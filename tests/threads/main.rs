//! Many threads at once: readers and writers beside a training loop, requests to a model from every kind of pool.

mod readers;
mod requests;

use rt_models::Device;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// Fails where `f` stops for ever, with what it was.
fn ends(what: &str, f: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let (say, hear) = std::sync::mpsc::channel();
        scope.spawn(move || {
            // Whoever listens is gone where the test has given up.
            let _ = say.send(catch_unwind(AssertUnwindSafe(f)));
        });
        match hear.recv_timeout(Duration::from_secs(240)) {
            Ok(Ok(())) => {}
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => {
                // The threads that wait cannot be ended, and the scope would wait for them.
                eprintln!("{what}: it stands still");
                std::process::abort();
            }
        }
    });
}

/// Runs `f` where parallel loops use the device's own pool.
fn inside<R: Send>(device: &Device, f: impl FnOnce() -> R + Send) -> R {
    match device {
        Device::Cpu(cpu) => cpu.install(f),
        #[cfg(feature = "gpu")]
        Device::Gpu(_) => f(),
    }
}
