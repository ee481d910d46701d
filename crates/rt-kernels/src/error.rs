//! Errors of devices and kernels.

/// What can go wrong on a device or in a kernel call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A device was asked for that is not there.
    #[error("no such device: {0}")]
    NoDevice(String),
    /// The device went away (unplugged, driver reset, time-out).
    #[error("the device was lost: {0}")]
    DeviceLost(String),
    /// The device refused an operation.
    #[error("the device refused: {0}")]
    Device(String),
    /// More memory was asked for than there is.
    #[error("{what} needs {} MiB and {} MiB can be had: use a smaller batch, table or width", need >> 20, have >> 20)]
    Memory {
        /// What the memory was for.
        what: String,
        /// Bytes asked for.
        need: u64,
        /// Bytes that can be had.
        have: u64,
    },
    /// An operand does not have the shape that its kernel needs.
    #[error("{kernel}: operand `{operand}` is {got}, needs {want}")]
    Shape {
        /// The kernel.
        kernel: &'static str,
        /// The operand's name.
        operand: &'static str,
        /// What was given.
        got: String,
        /// What is needed.
        want: String,
    },
    /// A step that a program cannot run, with the reason; nothing has run.
    #[error("step {step}: {what}")]
    Step {
        /// Its number.
        step: u32,
        /// What is wrong.
        what: String,
    },
    /// A call that cannot be made on any device, with the reason.
    #[error("{kernel}: {what}")]
    Call {
        /// The kernel.
        kernel: &'static str,
        /// What is wrong.
        what: String,
    },
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
