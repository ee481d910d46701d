//! Philox as a generator that counts by itself.

use super::{key, philox};
use rand_core::block::{BlockRng, Generator};
use rand_core::{SeedableRng, TryRng, utils};
use std::convert::Infallible;

/// Philox 4x32-10 (Salmon et al., SC 2011) as a generator of `rand_core`: it works with everything of `rand`.
///
/// A block is four words of 32 bits: [`philox`] of a key and a counter of four words. The first two words of the counter are the
/// number of the block, lower one first, and the other two name the stream. So a stream has 2^64 blocks (2^68 bytes), then
/// it starts again; streams of one key never meet, and any place is reached at once ([`PhiloxRng::at`]).
///
/// Words are used in their order, low bytes first, on every machine: a `u64` is two words, the lower one first; bytes that end inside
/// a word leave out the rest of it. It is no generator for secrets.
///
/// ```
/// use rand::RngExt;
/// use rt_kernels::philox::{PhiloxRng, draw, key};
/// use rt_kernels::rand_core::{Rng, SeedableRng};
///
/// let mut rng = PhiloxRng::new(42, 7);
/// assert_eq!(rng.next_u32(), draw(key(42), 0, 7, 0)); // what kernels draw in step 0
/// assert_eq!(rng.next_u32(), draw(key(42), 0, 7, 1));
///
/// let dice: Vec<u32> = PhiloxRng::seed_from_u64(42).random_iter::<u32>().map(|word| 1 + word % 6).take(3).collect();
/// let share: f64 = rng.random();
/// assert!(dice.iter().all(|n| (1..=6).contains(n)) && (0.0..1.0).contains(&share));
/// ```
#[derive(Debug, Clone)]
pub struct PhiloxRng(BlockRng<Blocks>);

/// The next block is that of this key and counter.
#[derive(Debug, Clone)]
struct Blocks {
    key: [u32; 2],
    counter: [u32; 4],
}

impl Generator for Blocks {
    type Output = [u32; 4];

    fn generate(&mut self, output: &mut [u32; 4]) {
        *output = philox(self.key, self.counter);
        let (low, carry) = self.counter[0].overflowing_add(1);
        self.counter[0] = low;
        self.counter[1] = self.counter[1].wrapping_add(u32::from(carry));
    }
}

impl PhiloxRng {
    /// Stream number `stream` of a seed, from its start: word i is [`draw`](super::draw)`(key(seed), 0, stream, i)`.
    #[must_use]
    pub fn new(seed: u64, stream: u32) -> Self {
        Self::at(key(seed), [0, 0, 0, stream])
    }

    /// The generator whose next word is the first of [`philox`]`(key, counter)`. With the counter [i, step, 0, stream] it is word 4 i
    /// of what kernels draw in a step.
    #[must_use]
    pub fn at(key: [u32; 2], counter: [u32; 4]) -> Self {
        Self(BlockRng::new(Blocks { key, counter }))
    }
}

impl SeedableRng for PhiloxRng {
    /// The key, then the two words that name the stream, low bytes first.
    type Seed = [u8; 16];

    fn from_seed(seed: Self::Seed) -> Self {
        let [low, high, third, fourth] = utils::read_words(&seed);
        Self::at([low, high], [0, 0, third, fourth])
    }

    /// Stream 0 of a seed. Ten rounds mix the key into the words: seeds need no mixing of their own.
    fn seed_from_u64(seed: u64) -> Self {
        Self::new(seed, 0)
    }
}

impl TryRng for PhiloxRng {
    type Error = Infallible;

    #[inline]
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.next_word())
    }

    #[inline]
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64_from_u32())
    }

    #[inline]
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill_bytes(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{draw, draws, stream};
    use super::*;
    use approx::assert_abs_diff_eq;
    use rand::seq::SliceRandom;
    use rand::{Rng, RngExt};

    fn words(mut rng: PhiloxRng) -> [u32; 4] {
        [0; 4].map(|_: u32| rng.next_u32())
    }

    /// Random123's known-answer vectors for philox4x32-10.
    #[test]
    fn published_vectors() {
        let zeros = [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8];
        assert_eq!(words(PhiloxRng::from_seed([0; 16])), zeros);
        assert_eq!(words(PhiloxRng::seed_from_u64(0)), zeros);
        let ones = PhiloxRng::at([u32::MAX; 2], [u32::MAX; 4]);
        assert_eq!(words(ones), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = PhiloxRng::at([0xa409_3822, 0x299f_31d0], [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]);
        assert_eq!(words(pi), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn words_are_the_draws_of_kernels() {
        let (seed, step) = (0x1234_5678_9abc_def0, 9);
        let mut want = vec![0; 1000];
        draws(key(seed), step, stream::DROPOUT, 0, &mut want);
        let mut rng = PhiloxRng::at(key(seed), [0, step, 0, stream::DROPOUT]);
        assert!(want.iter().all(|word| rng.next_u32() == *word));
        let mut rng = PhiloxRng::new(seed, stream::DROPOUT);
        assert!((0..1000).all(|i| rng.next_u32() == draw(key(seed), 0, stream::DROPOUT, i)));
    }

    #[test]
    fn blocks_are_counted_in_64_bits_and_start_again_inside_their_stream() {
        let key = [3, 4];
        for (counter, next) in [([u32::MAX, 5, 6, 7], [0, 6, 6, 7]), ([u32::MAX, u32::MAX, 6, 7], [0, 0, 6, 7])] {
            let mut rng = PhiloxRng::at(key, counter);
            let two: Vec<u32> = (0..8).map(|_| rng.next_u32()).collect();
            assert_eq!(two, [philox(key, counter), philox(key, next)].concat(), "{counter:?}");
        }
    }

    #[test]
    fn a_seed_is_the_key_and_the_stream_low_bytes_first() {
        let seed = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
        let want = philox([0x0403_0201, 0x0807_0605], [0, 0, 0x0c0b_0a09, 0x100f_0e0d]);
        assert_eq!(words(PhiloxRng::from_seed(seed)), want);
    }

    #[test]
    fn wide_words_and_bytes_are_the_words_in_their_order() {
        let mut one = PhiloxRng::new(5, 6);
        let words: Vec<u32> = (0..40).map(|_| one.next_u32()).collect();
        // From every place of a block.
        for skip in 0..5 {
            let skipped = || {
                let mut rng = PhiloxRng::new(5, 6);
                (0..skip).for_each(|_| _ = rng.next_u32());
                rng
            };
            let mut wide = skipped();
            for pair in words[skip..skip + 12].chunks(2) {
                assert_eq!(wide.next_u64(), u64::from(pair[1]) << 32 | u64::from(pair[0]), "{skip}");
            }
            let all: Vec<u8> = words[skip..].iter().flat_map(|word| word.to_le_bytes()).collect();
            for length in 0..70 {
                let (mut rng, mut bytes) = (skipped(), vec![0; length]);
                rng.fill_bytes(&mut bytes);
                assert_eq!(bytes, all[..length], "{length} bytes after {skip} words");
                // The rest of a word that was begun is left out.
                assert_eq!(rng.next_u32(), words[skip + length.div_ceil(4)], "{length} bytes after {skip} words");
            }
        }
    }

    #[test]
    fn distributions_of_rand_work_on_it() {
        let n = 20_000;
        let mut rng = PhiloxRng::seed_from_u64(1);
        let share = |rng: &mut PhiloxRng| rng.random::<f64>();
        let mean = (0..n).map(|_| share(&mut rng)).sum::<f64>() / f64::from(n);
        // Four deviations of the mean of n uniform numbers.
        assert_abs_diff_eq!(mean, 0.5, epsilon = 4.0 * (1.0 / (12.0 * f64::from(n))).sqrt());
        let ones = (0..n).filter(|_| rng.random_range(0..10) == 1).count() as f64;
        assert_abs_diff_eq!(ones, 0.1 * f64::from(n), epsilon = 4.0 * (0.09 * f64::from(n)).sqrt());
        let mut order: Vec<u32> = (0..1000).collect();
        order.shuffle(&mut rng);
        assert!(!order.is_sorted());
        order.sort_unstable();
        assert!(order.iter().copied().eq(0..1000));
    }

    #[test]
    fn streams_and_seeds_differ() {
        let first = |seed, stream| PhiloxRng::new(seed, stream).next_u64();
        let all = [first(1, 0), first(2, 0), first(1, 1), first(1 << 32, 0), first(1, 1 << 31)];
        assert!(all.iter().enumerate().all(|(i, a)| !all[..i].contains(a)), "{all:x?}");
    }
}
