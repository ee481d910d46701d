//! Errors of configuring, training, evaluating, saving and loading.

use std::path::PathBuf;

/// What can go wrong with a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration key or value is wrong.
    #[error("configuration: {0}")]
    Config(String),
    /// The data cannot serve this model.
    #[error(transparent)]
    Data(#[from] rt_data::Error),
    /// Recording or running failed.
    #[error(transparent)]
    Tensor(#[from] rt_tensor::Error),
    /// The device failed.
    #[error(transparent)]
    Kernels(#[from] rt_kernels::Error),
    /// An id that the model does not know.
    #[error("{what} `{id}` is not known to the model{hint}")]
    Unknown {
        /// User or item.
        what: &'static str,
        /// The raw id.
        id: String,
        /// What would be right.
        hint: String,
    },
    /// A request that the model cannot answer.
    #[error("{0}")]
    Request(String),
    /// A folder that is no model, or a damaged one.
    #[error("{}: {what}", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong and what would be right.
        what: String,
    },
    /// The system refused to read or write.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Training went wrong.
    #[error("training: {0}")]
    Training(String),
    /// Evaluation failed.
    #[error("evaluation: {0}")]
    Evaluation(String),
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The exit code that the program gives for it: 2 for configuration, data and models, 1 for device, memory, disk and
    /// diverged training.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Data(_) | Self::Unknown { .. } | Self::Request(_) | Self::Folder { .. } => 2,
            Self::Tensor(_) | Self::Kernels(_) | Self::Io { .. } | Self::Training(_) | Self::Evaluation(_) => 1,
        }
    }
}
