//! Ctrl-C and SIGTERM while a model trains: the first ends training with the best weights so far, a second ends the program at once.

use crate::fail::{Done, Fail};
use rt_models::Progress;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The signals since it was made.
pub(crate) struct Interrupt {
    /// The exit code of the last one; 0 before the first.
    code: Arc<AtomicUsize>,
    /// Does the next one end the program?
    at_once: Arc<AtomicBool>,
}

impl Interrupt {
    pub(crate) fn watch() -> Done<Self> {
        let (code, at_once) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        for (signal, exit) in [(SIGINT, 130), (SIGTERM, 143)] {
            // In this order: the first signal still finds the flag down.
            let all = flag::register_conditional_shutdown(signal, exit, at_once.clone())
                .and_then(|_| flag::register(signal, at_once.clone()))
                .and_then(|_| flag::register_usize(signal, code.clone(), exit as usize));
            all.map_err(|e| Fail::machine(format!("signals: {e}")))?;
        }
        Ok(Self { code, at_once })
    }

    /// The exit code for the signal that came.
    pub(crate) fn code(&self) -> Option<u8> {
        u8::try_from(self.code.load(Ordering::Relaxed)).ok().filter(|code| *code > 0)
    }

    /// A callback of training that shows it and ends it when a signal came.
    pub(crate) fn stopping(
        &self,
        mut show: impl FnMut(&Progress<'_>) -> ControlFlow<()>,
    ) -> impl FnMut(&Progress<'_>) -> ControlFlow<()> {
        move |p| {
            let flow = show(p);
            if self.code().is_some() { ControlFlow::Break(()) } else { flow }
        }
    }

    /// Training is over and nobody asks any more: the next signal ends the program.
    pub(crate) fn release(&self) {
        self.at_once.store(true, Ordering::Relaxed);
    }

    /// What the program ends with after an interrupted training.
    pub(crate) fn failure(&self, epoch: usize, out: &Path) -> Fail {
        let which = match epoch {
            0 => "no epoch was judged yet: the weights as they were".to_owned(),
            epoch => format!("the weights of epoch {epoch}, the best so far,"),
        };
        Fail { what: format!("interrupted; {which} are in {}", out.display()), code: self.code().unwrap_or(130) }
    }
}
