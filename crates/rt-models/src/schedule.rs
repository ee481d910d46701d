//! How training runs: learning rates over the steps, and what its settings may be.

use crate::config::{Config, Schedule, bad};
use crate::{Error, Result};

impl Config {
    /// What `lr` and `lr_rows` are multiplied with at step `t`, from 1, of `total` steps in epoch `epoch`, from 1.
    ///
    /// Warm-up: `t / warmup` up to step `warmup`. Then `constant`: 1; `cosine`: from 1 at the first step to `lr_floor` at the
    /// last along half a cosine (Loshchilov and Hutter, ICLR 2017, without restarts); `step`: `lr_decay` to the power of the
    /// full spans of `lr_decay_epochs` epochs that are over, not below `lr_floor`.
    pub(crate) fn rate_factor(&self, t: usize, total: usize, epoch: usize) -> f32 {
        if t <= self.warmup {
            return t as f32 / self.warmup as f32;
        }
        match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Cosine => {
                let last = total.saturating_sub(self.warmup + 1).max(1);
                let share = (t - self.warmup - 1) as f64 / last as f64;
                let floor = f64::from(self.lr_floor);
                (floor + (1.0 - floor) * 0.5 * (1.0 + (std::f64::consts::PI * share.min(1.0)).cos())) as f32
            }
            Schedule::Step => {
                let spans = (epoch - 1) / self.lr_decay_epochs;
                let spans = i32::try_from(spans).unwrap_or(i32::MAX);
                self.lr_decay.powi(spans).max(self.lr_floor)
            }
        }
    }

    /// Fails where the warm-up takes the whole run: the rate would never be `lr`.
    pub(crate) fn check_warmup(&self, total: usize) -> Result<()> {
        if self.warmup > 0 && self.warmup >= total {
            let what =
                format!("`warmup = {}`: the whole run has {total} steps; the warm-up has to be shorter", self.warmup);
            return Err(Error::Config(what));
        }
        Ok(())
    }

    /// The part of [`Config::check`] that is about how training runs.
    pub(crate) fn check_training(&self) -> Result<()> {
        if !(0.0..1.0).contains(&self.ema) {
            return Err(bad("ema", &self.ema.to_string(), "at least 0 and below 1"));
        }
        if !(0.0..=1.0).contains(&self.lr_floor) {
            return Err(bad("lr_floor", &self.lr_floor.to_string(), "a share from 0 to 1"));
        }
        if !(self.lr_decay > 0.0 && self.lr_decay <= 1.0) {
            return Err(bad("lr_decay", &self.lr_decay.to_string(), "above 0 and at most 1"));
        }
        if self.lr_decay_epochs == 0 {
            return Err(bad("lr_decay_epochs", "0", "at least 1"));
        }
        for (key, value) in [("clip", self.clip), ("weight_decay_rows", self.weight_decay_rows)] {
            if value < 0.0 {
                return Err(bad(key, &value.to_string(), "at least 0"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelKind;
    use approx::abs_diff_eq;

    fn config(settings: &[&str]) -> Config {
        let mut config = Config::new(ModelKind::Dssm);
        for pair in settings {
            config.set_pair(pair).unwrap();
        }
        config.check().unwrap();
        config
    }

    #[test]
    fn rates_follow_the_schedule() {
        let close = |a: f32, b: f32| assert!(abs_diff_eq!(a, b, epsilon = 1e-6), "{a} is not {b}");
        let constant = config(&[]);
        assert!((1..=100).all(|t| constant.rate_factor(t, 100, 1) == 1.0), "the default changes no bit");
        let warm = config(&["warmup=4"]);
        for (t, want) in [(1, 0.25), (3, 0.75), (4, 1.0), (5, 1.0)] {
            close(warm.rate_factor(t, 100, 1), want);
        }
        let cosine = config(&["schedule=cosine", "warmup=10", "lr_floor=0.2"]);
        // Steps 11 to 111: the first at 1, the middle one halfway, the last at the floor.
        for (t, want) in [(5, 0.5), (11, 1.0), (61, 0.6), (111, 0.2)] {
            close(cosine.rate_factor(t, 111, 1), want);
        }
        let falls: Vec<f32> = (11..=111).map(|t| cosine.rate_factor(t, 111, 1)).collect();
        assert!(falls.windows(2).all(|w| w[0] > w[1]));
        let step = config(&["schedule=step", "lr_decay=0.5", "lr_decay_epochs=2", "lr_floor=0.2"]);
        for (epoch, want) in [(1, 1.0), (2, 1.0), (3, 0.5), (4, 0.5), (5, 0.25), (7, 0.2), (1_000_000, 0.2)] {
            close(step.rate_factor(9, 100, epoch), want);
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for (pair, want) in [
            ("ema=1", "below 1"),
            ("lr_floor=1.5", "from 0 to 1"),
            ("lr_decay=0", "above 0"),
            ("lr_decay_epochs=0", "at least 1"),
            ("clip=-1", "at least 0"),
            ("weight_decay_rows=-0.1", "at least 0"),
        ] {
            let mut config = Config::new(ModelKind::Dssm);
            config.set_pair(pair).unwrap();
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(want) && error.contains(pair.split('=').next().unwrap()), "{error}");
        }
        assert!(config(&["warmup=10"]).check_warmup(10).unwrap_err().to_string().contains("has 10 steps"));
        config(&["warmup=10"]).check_warmup(11).unwrap();
    }
}
