//! SplitMix64 (Steele, Lea and Flood 2014): small, and the same on every platform.

/// What the state grows by for each word: 2^64 / golden ratio, odd.
pub(crate) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser: each bit of the result depends on all bits of `z`.
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number in `0..n` from 64 random bits, by multiply and shift.
pub(crate) fn below(word: u64, n: u64) -> u64 {
    ((u128::from(word) * u128::from(n)) >> 64) as u64
}

/// The generator: 2^64 words, each once.
#[derive(Debug, Clone)]
pub(crate) struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    pub(crate) fn new(state: u64) -> Self {
        Self { state }
    }

    /// The next 64 random bits.
    pub(crate) fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }
}

/// With these, everything of `rand` draws from it.
#[cfg(feature = "synthetic")]
impl rand::TryRng for SplitMix64 {
    type Error = std::convert::Infallible;

    /// The upper half of a word.
    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok((self.word() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(self.word())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        rand::rand_core::utils::fill_bytes_via_next_word(bytes, || self.try_next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the reference implementation's published test values.
    const WANTED: [u64; 3] = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];

    #[test]
    fn published_values() {
        let mut words = SplitMix64::new(1_234_567);
        assert_eq!(WANTED.map(|_| words.word()), WANTED);
    }

    #[cfg(feature = "synthetic")]
    #[test]
    fn rand_gets_the_same_words() {
        use rand::Rng;
        let new = || SplitMix64::new(1_234_567);
        let mut words = new();
        assert_eq!(WANTED.map(|_| words.next_u64()), WANTED);
        let mut words = new();
        assert_eq!(WANTED.map(|_| words.next_u32()), WANTED.map(|word| (word >> 32) as u32));
        for length in 0..=24 {
            let mut bytes = vec![0; length];
            new().fill_bytes(&mut bytes);
            assert_eq!(bytes, WANTED.map(u64::to_le_bytes).concat()[..length]);
        }
    }
}
