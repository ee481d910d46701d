//! Losses and gradients looked at while an epoch runs: one that is no number ends training soon, and no step waits for it.

use crate::{Error, Result};
use rt_tensor::{GRADIENT_NORM, Program, Watch};

/// Steps between two looks at the losses.
pub(crate) const EVERY: usize = 64;
/// Copies under way at a time: the host is at most a few steps ahead of the device, so one nearly always suffices; an epoch's
/// losses may lie in two pieces.
const SLOTS: usize = 4;

/// An output that keeps a value of each of the last steps.
struct Ring {
    name: &'static str,
    watch: Watch,
    /// Steps that it keeps.
    rows: usize,
}

impl Ring {
    fn new(program: &Program, name: &'static str, rows: usize) -> Result<Self> {
        Ok(Self { name, watch: program.watch(name, EVERY.min(rows), SLOTS)?, rows })
    }

    /// Asks for the last [`EVERY`] steps, the last of which is step `t` of training; if all copies are under way, they are looked
    /// at when the epoch ends.
    fn ask(&mut self, t: usize) -> Result<()> {
        let first = (t + 1 - EVERY) % self.rows;
        let rows = EVERY.min(self.rows - first);
        for (from, rows) in [(first, rows), (0, EVERY - rows)] {
            if rows > 0 {
                self.watch.start(from, rows)?;
            }
        }
        Ok(())
    }

    /// Has a value come that is not finite?
    fn is_odd(&mut self) -> Result<bool> {
        let mut odd = false;
        while let Some(values) = self.watch.poll()? {
            odd |= values.iter().any(|x| !x.is_finite());
        }
        Ok(odd)
    }

    /// The values of the steps `t + 1 - steps ..= t`; waits for the device.
    fn last(&self, program: &Program, steps: usize, t: usize) -> Result<Vec<f32>> {
        let all = program.read_f32(self.name)?;
        Ok((t + 1 - steps..=t).map(|t| all[t % self.rows]).collect())
    }
}

/// Watches the losses of a training program, and the norms of its gradients.
pub(crate) struct LossWatch {
    losses: Ring,
    norms: Ring,
}

impl LossWatch {
    /// `ring`: steps whose losses the program keeps.
    pub(crate) fn new(program: &Program, ring: usize) -> Result<Self> {
        // The cell of the next step is no value (`Tape::optimize`), so there is one more.
        Ok(Self { losses: Ring::new(program, "loss", ring)?, norms: Ring::new(program, GRADIENT_NORM, ring + 1)? })
    }

    /// After step `step` (from 0) of an epoch, which is step `t` of training: asks for the losses and norms of the last [`EVERY`]
    /// steps if it is time, and looks at those that have come.
    ///
    /// # Errors
    ///
    /// [`Error::Training`] for a loss or a norm that is not finite; device errors.
    pub(crate) fn after(&mut self, program: &Program, epoch: usize, step: usize, t: u32) -> Result<()> {
        if (step + 1).is_multiple_of(EVERY) && EVERY <= self.losses.rows {
            self.losses.ask(t as usize)?;
            self.norms.ask(t as usize)?;
        }
        if self.losses.is_odd()? || self.norms.is_odd()? {
            self.epoch(program, epoch, step + 1, t)?;
        }
        Ok(())
    }

    /// The losses of an epoch's first `steps` steps, the last of which is step `t` of training; waits for the device.
    ///
    /// # Errors
    ///
    /// As [`LossWatch::after`].
    pub(crate) fn epoch(&mut self, program: &Program, epoch: usize, steps: usize, t: u32) -> Result<Vec<f32>> {
        let losses = self.losses.last(program, steps, t as usize)?;
        let norms = self.norms.last(program, steps, t as usize)?;
        check_finite(&losses, &norms, epoch)?;
        // What is still under way has been looked at.
        self.losses.is_odd()?;
        self.norms.is_odd()?;
        Ok(losses)
    }
}

/// Fails at the first step of an epoch whose loss, or the norm of whose gradient, is not finite.
fn check_finite(losses: &[f32], norms: &[f32], epoch: usize) -> Result<()> {
    let Some(i) = losses.iter().zip(norms).position(|(loss, norm)| !loss.is_finite() || !norm.is_finite()) else {
        return Ok(());
    };
    let (what, value) = if losses[i].is_finite() { ("the gradient's norm", norms[i]) } else { ("the loss", losses[i]) };
    let step = i + 1;
    Err(Error::Training(format!(
        "{what} is {value} in epoch {epoch}, step {step}: use a smaller lr or a larger temperature"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_counts_and_of_one_step_the_loss() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let said = |losses: &[f32], norms: &[f32]| check_finite(losses, norms, 3).map_err(|e| e.to_string());
        assert!(said(&[1.0, 2.0], &[0.0, 1e30]).is_ok());
        let loss = said(&[1.0, nan], &[1.0, nan]).unwrap_err();
        assert!(loss.contains("the loss is NaN in epoch 3, step 2: use a smaller lr"), "{loss}");
        let norm = said(&[1.0, 1.0, nan], &[1.0, inf, nan]).unwrap_err();
        assert!(norm.contains("the gradient's norm is inf in epoch 3, step 2: use a smaller lr"), "{norm}");
    }
}
