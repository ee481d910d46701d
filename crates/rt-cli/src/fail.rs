//! Errors with the program's exit codes: 2 for what the user gave, 1 for what the machine could not do, 130 and 143 where a signal
//! ended training.

use std::fmt;

/// A failure: one line, and an exit code.
#[derive(Debug)]
pub(crate) struct Fail {
    pub what: String,
    pub code: u8,
}

pub(crate) type Done<T = ()> = Result<T, Fail>;

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Fail {
    /// Flags, configuration or data.
    pub(crate) fn user(what: impl Into<String>) -> Self {
        Self { what: what.into(), code: 2 }
    }

    /// Did a signal end it?
    pub(crate) fn is_interrupt(&self) -> bool {
        self.code > 128
    }

    /// Device, memory or disk.
    pub(crate) fn machine(what: impl Into<String>) -> Self {
        Self { what: what.into(), code: 1 }
    }
}

impl From<rt_models::Error> for Fail {
    fn from(e: rt_models::Error) -> Self {
        Self { what: e.to_string(), code: e.exit_code() }
    }
}

impl From<rt_data::Error> for Fail {
    fn from(e: rt_data::Error) -> Self {
        Self::user(e.to_string())
    }
}

impl From<rt_kernels::Error> for Fail {
    fn from(e: rt_kernels::Error) -> Self {
        Self::machine(e.to_string())
    }
}

impl From<rt_tensor::Error> for Fail {
    fn from(e: rt_tensor::Error) -> Self {
        Self::machine(e.to_string())
    }
}
