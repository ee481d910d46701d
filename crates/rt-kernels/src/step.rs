//! What changes from step to step: one uniform of 64 bytes.

use crate::{Error, Examples, Result};
use bytemuck::{Pod, Zeroable};

/// Numbers that a replayed program takes anew at each step. On the GPU this is the uniform at binding 1;
/// the WGSL struct has the same fields in the same order (held together by a test).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
pub struct Step {
    /// Number of the step, from 1 (Adam's t).
    pub step: u32,
    /// First example of the batch in the shuffled order.
    pub offset: u32,
    /// Examples of the batch that count; the rest are padding with weight zero.
    pub valid: u32,
    /// Low half of the seed, the Philox key.
    pub seed_lo: u32,
    /// High half of the seed.
    pub seed_hi: u32,
    /// Learning rate of dense parameters.
    pub lr: f32,
    /// Learning rate of table rows.
    pub lr_rows: f32,
    /// 1 / (1 - beta1^t) of dense parameters.
    pub bias1: f32,
    /// 1 / (1 - beta2^t) of dense parameters.
    pub bias2: f32,
    /// 1 / valid.
    pub inv_valid: f32,
    /// ln(max(valid - 1, 1)): the number of in-batch negatives of an example.
    pub ln_negatives: f32,
    /// 1 / (1 - beta1^t) of table rows.
    pub bias1_rows: f32,
    /// 1 / (1 - beta2^t) of table rows.
    pub bias2_rows: f32,
    /// Zero.
    pub reserved: [u32; 3],
}

impl Step {
    /// Step number `step` (from 1) of seed `seed`, `valid` examples from `offset`; learning rates are 0 and Adam's moments are
    /// not corrected ([`Step::with_rates`]).
    #[must_use]
    pub fn new(step: u32, seed: u64, offset: u32, valid: u32) -> Self {
        Self {
            step,
            offset,
            valid,
            seed_lo: seed as u32,
            seed_hi: (seed >> 32) as u32,
            bias1: 1.0,
            bias2: 1.0,
            bias1_rows: 1.0,
            bias2_rows: 1.0,
            inv_valid: 1.0 / valid.max(1) as f32,
            ln_negatives: (f64::from(valid.saturating_sub(1).max(1))).ln() as f32,
            ..Self::default()
        }
    }

    /// Fails for a step that a program of these needs cannot run.
    pub(crate) fn check(&self, needs: Option<Examples>) -> Result<()> {
        let refuse = |what: String| Err(Error::Step { step: self.step, what });
        for (name, rate) in [("dense parameters", self.lr), ("table rows", self.lr_rows)] {
            if !(rate >= 0.0 && rate.is_finite()) {
                return refuse(format!("the learning rate of {name} is {rate}: it has to be a number of at least 0"));
            }
        }
        let numbers = [
            ("bias1", self.bias1),
            ("bias2", self.bias2),
            ("bias1_rows", self.bias1_rows),
            ("bias2_rows", self.bias2_rows),
            ("inv_valid", self.inv_valid),
            ("ln_negatives", self.ln_negatives),
        ];
        if let Some((name, x)) = numbers.into_iter().find(|(_, x)| !x.is_finite()) {
            return refuse(format!("{name} is {x}: it has to be finite"));
        }
        let Some(Examples { rows, list }) = needs else { return Ok(()) };
        // A part of a step takes no more than it has rows for.
        let (offset, taken) = (u64::from(self.offset), u64::from(self.valid).min(rows as u64));
        if taken > 0 && offset + taken > list as u64 {
            return refuse(format!("it takes examples {offset} to {} of {list}", offset + taken));
        }
        Ok(())
    }

    /// Of the `n` rows from `first` on that a part of the step has: how many are examples, and ln(max(that - 1, 1)).
    #[must_use]
    pub(crate) fn part(&self, first: usize, n: usize) -> (usize, f32) {
        let valid = (self.valid as usize).saturating_sub(first).min(n);
        let whole = valid == self.valid as usize;
        (valid, if whole { self.ln_negatives } else { (valid.saturating_sub(1).max(1) as f32).ln() })
    }

    /// The same with learning rates and Adam's bias corrections for this step number, of tables with the same betas.
    #[must_use]
    pub fn with_rates(mut self, lr: f32, lr_rows: f32, beta1: f32, beta2: f32) -> Self {
        self.lr = lr;
        self.lr_rows = lr_rows;
        self.bias1 = self.correction(beta1);
        self.bias2 = self.correction(beta2);
        self.with_row_betas(beta1, beta2)
    }

    /// The same with the bias corrections of other betas for table rows.
    #[must_use]
    pub fn with_row_betas(mut self, beta1: f32, beta2: f32) -> Self {
        self.bias1_rows = self.correction(beta1);
        self.bias2_rows = self.correction(beta2);
        self
    }

    /// 1 / (1 - beta^t). Past step 2^31 the power is 0 for every f32 below 1.
    fn correction(&self, beta: f32) -> f32 {
        let t = i32::try_from(self.step.max(1)).unwrap_or(i32::MAX);
        (1.0 / (1.0 - f64::from(beta).powi(t))) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrections_end_at_one_and_stay_there() {
        let at = |step| Step::new(step, 0, 0, 1).with_rates(0.1, 0.1, 0.9, 0.999).with_row_betas(0.5, 0.99);
        for step in [1 << 20, i32::MAX as u32, 1 << 31, u32::MAX] {
            let s = at(step);
            assert_eq!([s.bias1, s.bias2, s.bias1_rows, s.bias2_rows], [1.0; 4], "step {step}");
        }
        let s = at(2);
        let want = [0.9f32, 0.999, 0.5, 0.99].map(|beta| (1.0 / (1.0 - f64::from(beta).powi(2))) as f32);
        assert_eq!([s.bias1, s.bias2, s.bias1_rows, s.bias2_rows], want);
    }
}
