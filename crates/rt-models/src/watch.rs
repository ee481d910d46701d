//! Losses looked at while an epoch runs: a loss that is no number ends training soon, and no step waits for it.

use crate::{Error, Result};
use rt_tensor::{Program, Watch};
use std::collections::VecDeque;

/// Steps between two looks at the losses.
pub(crate) const EVERY: usize = 64;
/// Copies under way at a time: the host is at most a few steps ahead of the device, so one nearly always suffices; an epoch's
/// losses may lie in two pieces.
const SLOTS: usize = 4;

/// Watches the ring `loss` of a training program.
pub(crate) struct LossWatch {
    watch: Watch,
    ring: usize,
    /// Epoch and first step, from 0, of each copy under way.
    sent: VecDeque<(usize, usize)>,
}

impl LossWatch {
    /// `ring`: steps whose losses the program keeps.
    pub(crate) fn new(program: &Program, ring: usize) -> Result<Self> {
        let watch = program.watch("loss", EVERY.min(ring), SLOTS)?;
        Ok(Self { watch, ring, sent: VecDeque::new() })
    }

    /// After step `step` (from 0) of an epoch, which is step `t` of training: asks for the losses of the last [`EVERY`] steps
    /// where it is time, and looks at those that have come.
    ///
    /// # Errors
    ///
    /// [`Error::Training`] for a loss that is not finite; device errors.
    pub(crate) fn after(&mut self, epoch: usize, step: usize, t: u32) -> Result<()> {
        if (step + 1).is_multiple_of(EVERY) && EVERY <= self.ring {
            let first = (t as usize + 1 - EVERY) % self.ring;
            let rows = EVERY.min(self.ring - first);
            for (from, rows, done) in [(first, rows, 0), (0, EVERY - rows, rows)] {
                // Where all copies are under way these losses are looked at when the epoch ends.
                if rows > 0 && self.watch.start(from, rows)? {
                    self.sent.push_back((epoch, step + 1 - EVERY + done));
                }
            }
        }
        self.look()
    }

    /// Looks at what has come.
    pub(crate) fn look(&mut self) -> Result<()> {
        while !self.sent.is_empty() {
            let Some(losses) = self.watch.poll()? else { return Ok(()) };
            if let Some((epoch, first)) = self.sent.pop_front() {
                check_finite(&losses, epoch, first)?;
            }
        }
        Ok(())
    }
}

/// Fails for a loss that is not finite. `first` is the step, from 0, of the first of them.
pub(crate) fn check_finite(losses: &[f32], epoch: usize, first: usize) -> Result<()> {
    match losses.iter().position(|l| !l.is_finite()) {
        None => Ok(()),
        Some(i) => Err(Error::Training(format!(
            "the loss is {} in epoch {epoch}, step {}: use a smaller lr or a larger temperature",
            losses[i],
            first + i + 1
        ))),
    }
}
