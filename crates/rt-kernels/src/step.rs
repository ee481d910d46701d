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
    /// 1 / (1 - beta1^t).
    pub bias1: f32,
    /// 1 / (1 - beta2^t).
    pub bias2: f32,
    /// 1 / valid.
    pub inv_valid: f32,
    /// ln(max(valid - 1, 1)): the number of in-batch negatives of an example.
    pub ln_negatives: f32,
    /// Zero.
    pub reserved: [u32; 5],
}

impl Step {
    /// Step number `step` (from 1) of seed `seed`, `valid` examples from `offset`, with learning rates
    /// `lr` (dense) and `lr_rows` (tables) and Adam's betas.
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
            inv_valid: 1.0 / valid.max(1) as f32,
            ln_negatives: (f64::from(valid.saturating_sub(1).max(1))).ln() as f32,
            ..Self::default()
        }
    }

    /// Fails for a step that a program of these needs cannot run.
    pub(crate) fn check(&self, needs: Option<Examples>) -> Result<()> {
        let refuse = |what: String| Err(Error::Step { step: self.step, what });
        let numbers = [
            ("lr", self.lr),
            ("lr_rows", self.lr_rows),
            ("bias1", self.bias1),
            ("bias2", self.bias2),
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

    /// The same with learning rates and Adam's bias corrections for this step number.
    #[must_use]
    pub fn with_rates(mut self, lr: f32, lr_rows: f32, beta1: f32, beta2: f32) -> Self {
        let correction = |beta: f32| (1.0 / (1.0 - f64::from(beta).powi(self.step.max(1) as i32))) as f32;
        self.lr = lr;
        self.lr_rows = lr_rows;
        self.bias1 = correction(beta1);
        self.bias2 = correction(beta2);
        self
    }
}
