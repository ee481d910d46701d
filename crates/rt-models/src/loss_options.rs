//! Which settings of the loss go together.

use crate::config::{Config, Frequency, Loss, Norm, bad};
use crate::{Error, Result};

impl Config {
    /// Negatives where no setting says how many: a pool that the batch shares is larger than what each example has of its own.
    pub(crate) fn default_negatives(&self) -> usize {
        if self.loss == Loss::Sampled || self.negatives_shared { 1024 } else { 3 }
    }

    /// Checks the settings of the loss against each other.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] naming the keys.
    pub(crate) fn check_losses(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.label_smoothing) {
            return Err(bad("label_smoothing", &self.label_smoothing.to_string(), "0 to 1"));
        }
        if self.label_smoothing > 0.0 {
            let softmax = [Loss::InBatch, Loss::Full, Loss::Sampled, Loss::List];
            self.needs_loss("label_smoothing", &self.label_smoothing.to_string(), &softmax)?;
        }
        let temperature = self.softmax_temperature();
        if self.learn_temperature && temperature < 0.01 {
            return Err(bad("temperature", &temperature.to_string(), "at least 0.01 with learn_temperature"));
        }
        if self.norm == Norm::Batch && self.ema > 0.0 {
            let what =
                "running statistics are those of the weights, not of their averages: set ema = 0, or norm = layer";
            return Err(Error::Config(format!("`norm = batch` with `ema = {}`: {what}", self.ema)));
        }
        let (in_batch, shared) = ([Loss::InBatch], [Loss::InBatch, Loss::Full, Loss::Sampled]);
        if self.symmetric {
            self.needs_loss("symmetric", "true", &in_batch)?;
            for (key, on, value) in [
                ("mask_own", self.masks_own(), "true".to_owned()),
                ("hard_negatives", self.hard_negatives > 0, self.hard_negatives.to_string()),
                ("mixed", self.mixed > 0, self.mixed.to_string()),
                ("queue", self.queue > 0, self.queue.to_string()),
            ] {
                if on {
                    let what = "the loss from items to users has the batch's users alone as candidates";
                    return Err(Error::Config(format!("`symmetric = true` with `{key} = {value}`: {what}")));
                }
            }
        }
        if self.masks_own() {
            self.needs_loss("mask_own", "true", &shared)?;
        }
        if self.hard_negatives > 0 {
            self.needs_loss("hard_negatives", &self.hard_negatives.to_string(), &shared)?;
        }
        if self.hard_from == 0 {
            return Err(bad("hard_from", "0", "at least 1"));
        }
        if self.hard_from > 1 && self.hard_negatives == 0 {
            let what = format!("`hard_from = {}` without `hard_negatives`: give the number that stays", self.hard_from);
            return Err(Error::Config(what));
        }
        for (key, value) in [("mixed", self.mixed), ("queue", self.queue)] {
            if value > 0 {
                self.needs_loss(key, &value.to_string(), &in_batch)?;
                if self.frequency == Frequency::Stream {
                    let what = "what is drawn or kept beside the batch has no frequency in the stream of batches";
                    return Err(Error::Config(format!("`{key} = {value}` with `frequency = stream`: {what}")));
                }
                if self.norm == Norm::Batch && key == "mixed" {
                    let what = "batch normalisation takes its statistics from the batch's own items";
                    return Err(Error::Config(format!("`{key} = {value}` with `norm = batch`: {what}")));
                }
            }
        }
        if self.accumulate > 1 {
            for (key, on) in [("queue", self.queue > 0), ("frequency", self.frequency == Frequency::Stream)] {
                if on {
                    let what = "it counts steps of one batch each; set accumulate = 1";
                    return Err(Error::Config(format!("`accumulate = {}` with `{key}`: {what}", self.accumulate)));
                }
            }
        }
        let most = 1 << 24;
        let candidates = self.queue.saturating_add(1).saturating_mul(self.batch).saturating_add(self.mixed);
        if candidates > most {
            let what = format!(
                "`mixed = {}` and `queue = {}` with `batch = {}` make {candidates} candidates: at most {most}",
                self.mixed, self.queue, self.batch
            );
            return Err(Error::Config(what));
        }
        Ok(())
    }

    /// Refuses a key that says nothing to the loss that is set.
    fn needs_loss(&self, key: &str, value: &str, losses: &[Loss]) -> Result<()> {
        if losses.contains(&self.loss) {
            return Ok(());
        }
        let names: Vec<&str> = losses.iter().map(|l| l.name()).collect();
        let what =
            format!("`{key} = {value}` with `loss = {}`: goes with loss = {}", self.loss.name(), names.join(", "));
        Err(Error::Config(what))
    }
}
