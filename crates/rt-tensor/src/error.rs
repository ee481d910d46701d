//! Errors of recording, compiling and running a tape.

/// What can go wrong with a tape.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Operands of an op do not fit each other.
    #[error("{op}: {what}")]
    Shape {
        /// The op.
        op: &'static str,
        /// Which shapes, and what they have to be.
        what: String,
    },
    /// A parameter was declared twice with different shapes.
    #[error("parameter `{name}` was declared as {first:?} and again as {again:?}")]
    Declared {
        /// The parameter.
        name: String,
        /// The first shape.
        first: [usize; 2],
        /// The other.
        again: [usize; 2],
    },
    /// A gradient is wanted that does not exist: never a silent zero.
    #[error("no gradient: {0}")]
    NoGradient(String),
    /// A name that the program or the store does not have.
    #[error("no {what} named `{name}`")]
    NoSuch {
        /// Parameter, input or output.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Data of the wrong size or type for its place.
    #[error("`{name}`: {what}")]
    Data {
        /// The parameter, input or output.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// A step met ids on the device that are out of range, which nothing had proven: null entries stood in for them, which read
    /// zeros and change nothing.
    #[error("step {step}: {what} (`{input}`)")]
    Ids {
        /// The step.
        step: u32,
        /// The state, or what made the ids.
        input: String,
        /// The first row of them, from 0.
        row: usize,
        /// The id, and what it has to be.
        what: String,
    },
    /// The device or a kernel refused.
    #[error(transparent)]
    Kernels(#[from] rt_kernels::Error),
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

pub(crate) fn shape(op: &'static str, what: impl Into<String>) -> Error {
    Error::Shape { op, what: what.into() }
}
