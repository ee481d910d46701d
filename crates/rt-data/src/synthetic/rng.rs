//! SplitMix64 streams: small, the same on every platform, one stream a purpose and number, so that drawing more of
//! one thing changes nothing else.

/// One stream of draws.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    state: u64,
}

/// The increment of SplitMix64 (Steele, Lea, Flood 2014): 2^64 / golden ratio, odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Stream {
    /// The stream number `index` of `purpose` under `seed`.
    pub(crate) fn new(seed: u64, purpose: u64, index: u64) -> Self {
        let purpose = mix(seed.wrapping_add(GOLDEN)) ^ purpose.wrapping_mul(GOLDEN);
        Self { state: mix(mix(purpose).wrapping_add(index.wrapping_mul(GOLDEN))) }
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// Uniform in [0, 1), 53 bits.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `0..n` by multiply and shift (the bias is below n / 2^32).
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (((self.bits() >> 32) * n as u64) >> 32) as usize
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

    #[test]
    fn published_values_of_splitmix64() {
        // Seed 1234567, from the reference implementation's published test values.
        let mut stream = Stream { state: 1_234_567 };
        let wanted = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(wanted.map(|_| stream.bits()), wanted);
    }

    #[test]
    fn moments() {
        let mut stream = Stream::new(1, 2, 3);
        let n = 20_000;
        let mean = |draw: &mut dyn FnMut() -> f64| (0..n).map(|_| draw()).sum::<f64>() / f64::from(n);
        assert!((mean(&mut || stream.uniform()) - 0.5).abs() < 0.01);
        assert!(mean(&mut || stream.normal()).abs() < 0.03);
        assert!((mean(&mut || stream.normal().powi(2)) - 1.0).abs() < 0.05);
        assert!((mean(&mut || stream.exponential()) - 1.0).abs() < 0.03);
        assert!((0..n).all(|_| stream.below(7) < 7));
    }
}
