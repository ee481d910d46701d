//! Streams of draws, one a purpose and number, so that drawing more of one thing changes nothing else.

use crate::splitmix::{GOLDEN, SplitMix64, mix};
use rand::{Rng, RngExt};

/// One stream of draws. Ranges, shuffles and curves are not rand's, whose next version may draw them from other words.
#[derive(Debug, Clone)]
pub(crate) struct Stream(SplitMix64);

impl Stream {
    /// The stream number `index` of `purpose` under `seed`.
    pub(crate) fn new(seed: u64, purpose: u64, index: u64) -> Self {
        let purpose = mix(seed.wrapping_add(GOLDEN)) ^ purpose.wrapping_mul(GOLDEN);
        Self(SplitMix64::new(mix(mix(purpose).wrapping_add(index.wrapping_mul(GOLDEN)))))
    }

    /// Uniform in [0, 1): the upper 53 bits of a word.
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0.random()
    }

    /// Uniform in `0..n` by multiply and shift (the bias is below n / 2^32).
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.0.next_u32()) * n as u64) >> 32) as usize
    }

    /// Nearly normal, mean 0, variance 1: twelve uniforms less six, which needs no logarithm or cosine.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    /// Exponential with mean 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        -super::math::ln(1.0 - self.uniform())
    }

    /// Fisher-Yates.
    pub(crate) fn shuffle<T>(&mut self, values: &mut [T]) {
        for place in (1..values.len()).rev() {
            values.swap(place, self.below(place + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    /// Every synthetic data set hangs on it.
    #[test]
    fn uniform_is_the_upper_53_bits() {
        let (mut stream, mut words) = (Stream::new(1, 2, 3), Stream::new(1, 2, 3).0);
        for _ in 0..1000 {
            assert_eq!(stream.uniform(), (words.word() >> 11) as f64 / (1u64 << 53) as f64);
        }
    }

    #[test]
    fn moments() {
        let mut stream = Stream::new(1, 2, 3);
        let n = 20_000;
        let mean = |draw: &mut dyn FnMut() -> f64| (0..n).map(|_| draw()).sum::<f64>() / f64::from(n);
        assert_abs_diff_eq!(mean(&mut || stream.uniform()), 0.5, epsilon = 0.01);
        assert_abs_diff_eq!(mean(&mut || stream.normal()), 0.0, epsilon = 0.03);
        assert_abs_diff_eq!(mean(&mut || stream.normal().powi(2)), 1.0, epsilon = 0.05);
        assert_abs_diff_eq!(mean(&mut || stream.exponential()), 1.0, epsilon = 0.03);
        assert!((0..n).all(|_| stream.below(7) < 7));
    }
}
