//! What went wrong on a device. wgpu reports through callbacks, and panics where nobody listens; here every report
//! is kept until the next operation returns it as an [`Error`].

use crate::{Error, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct State {
    lost: Option<String>,
    refused: Option<String>,
}

/// The first error of a device that no one has been told of, and whether the device is lost.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<State>>);

impl Faults {
    /// Listens to a device.
    pub(crate) fn listen(&self, device: &wgpu::Device) {
        let faults = self.clone();
        device.on_uncaptured_error(Arc::new(move |error| {
            faults.state().refused.get_or_insert(one_line(&error));
        }));
        let faults = self.clone();
        device.set_device_lost_callback(move |reason, message| {
            let why = match reason {
                wgpu::DeviceLostReason::Destroyed => "it was destroyed".to_owned(),
                wgpu::DeviceLostReason::Unknown if message.is_empty() => "the driver gave no reason".to_owned(),
                wgpu::DeviceLostReason::Unknown => message,
            };
            faults.state().lost.get_or_insert(why);
        });
    }

    /// The stored error, if any. A lost device stays lost; a refusal is told once.
    pub(crate) fn check(&self) -> Result<()> {
        let mut state = self.state();
        if let Some(why) = &state.lost {
            return Err(Error::DeviceLost(why.clone()));
        }
        match state.refused.take() {
            Some(what) => Err(Error::Device(what)),
            None => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `create` and gives wgpu's refusal of it, if any, as text. Scopes belong to the thread that opens them, so
/// `create` has to stay on this one.
pub(crate) fn scoped<T>(device: &wgpu::Device, create: impl FnOnce() -> T) -> std::result::Result<T, Refusal> {
    let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
    let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let made = create();
    let memory = pollster::block_on(memory.pop());
    let internal = pollster::block_on(internal.pop());
    let validation = pollster::block_on(validation.pop());
    match (memory, internal.or(validation)) {
        (Some(_), _) => Err(Refusal::OutOfMemory),
        (None, Some(error)) => Err(Refusal::Other(one_line(&error))),
        (None, None) => Ok(made),
    }
}

/// Why wgpu did not make an object.
pub(crate) enum Refusal {
    /// The device has no memory left.
    OutOfMemory,
    /// Anything else.
    Other(String),
}

impl Refusal {
    /// As an error about `what`.
    pub(crate) fn about(self, what: &str) -> Error {
        match self {
            Self::OutOfMemory => Error::Device(format!("{what}: the device is out of memory")),
            Self::Other(why) => Error::Device(format!("{what}: {why}")),
        }
    }
}

/// wgpu's errors are small trees over several lines; a message of ours is one line.
fn one_line(error: &wgpu::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}
