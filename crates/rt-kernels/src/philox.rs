//! Philox 4x32-10, the counter-based generator behind every draw (Salmon et al., SC 2011, "Parallel random numbers:
//! as easy as 1, 2, 3"). Checked against the published test vectors.
//!
//! [`philox`] and [`draw`] give any word at once, which is what kernels need. [`PhiloxRng`] gives the same words in a row, through the
//! traits of `rand_core`.

mod rng;

use crate::parallel::chunks_f32;
pub use rng::PhiloxRng;

/// Streams: the last word of the counter, so that draws for different purposes never meet. A kernel's `stream`
/// attribute is one of these plus a number of its own.
pub mod stream {
    /// Initial values of parameters.
    pub const INIT: u32 = 0x1000_0000;
    /// Shuffling of examples.
    pub const SHUFFLE: u32 = 0x2000_0000;
    /// Dropout of activations.
    pub const DROPOUT: u32 = 0x3000_0000;
    /// Dropout of history items.
    pub const HISTORY: u32 = 0x4000_0000;
    /// Negative draws.
    pub const NEGATIVES: u32 = 0x5000_0000;
    /// Which examples an epoch has.
    pub const EXAMPLES: u32 = 0x6A00_0000;
    /// Ranks of mined negatives.
    pub const MINED: u32 = 0x6B00_0000;
    /// Dropout of whole ids.
    pub const IDS: u32 = 0x6000_0000;
}

/// The four words of counter `counter` under `key`.
#[inline(always)]
#[must_use]
pub fn philox(key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    let (mut k, mut c) = (key, counter);
    for round in 0..10 {
        if round > 0 {
            k[0] = k[0].wrapping_add(0x9E37_79B9);
            k[1] = k[1].wrapping_add(0xBB67_AE85);
        }
        let p0 = u64::from(c[0]) * 0xD251_1F53;
        let p1 = u64::from(c[2]) * 0xCD9E_8D57;
        c = [(p1 >> 32) as u32 ^ c[1] ^ k[0], p1 as u32, (p0 >> 32) as u32 ^ c[3] ^ k[1], p0 as u32];
    }
    c
}

/// Draw number `index` of a step and stream: word `index % 4` of counter (index / 4, step, 0, stream).
#[inline(always)]
#[must_use]
pub fn draw(seed: [u32; 2], step: u32, stream: u32, index: u32) -> u32 {
    philox(seed, [index / 4, step, 0, stream])[(index % 4) as usize]
}

/// Counters that are worked side by side.
const LANES: usize = 16;

/// Draws `first .. first + out.len()` of a step and stream, as [`draw`] gives them one by one. For use inside
/// [`crate::simd::vectorize`].
#[inline(always)]
pub fn draws(seed: [u32; 2], step: u32, stream: u32, first: u32, out: &mut [u32]) {
    const BLOCK: u32 = 4 * LANES as u32;
    let (mut done, mut at) = (0, first);
    while done < out.len() {
        let skip = (at % BLOCK) as usize;
        let words = block(seed, step, stream, at / BLOCK * LANES as u32);
        let take = (BLOCK as usize - skip).min(out.len() - done);
        out[done..done + take].copy_from_slice(&words[skip..skip + take]);
        done += take;
        at = at.wrapping_add(take as u32);
    }
}

/// The words of `LANES` counters from `first` on, in the order of their index.
#[inline(always)]
fn block(seed: [u32; 2], step: u32, stream: u32, first: u32) -> [u32; 4 * LANES] {
    let mut c = [[0u32; LANES], [step; LANES], [0; LANES], [stream; LANES]];
    for (l, c0) in c[0].iter_mut().enumerate() {
        *c0 = first.wrapping_add(l as u32);
    }
    let mut k = seed;
    for round in 0..10 {
        if round > 0 {
            k[0] = k[0].wrapping_add(0x9E37_79B9);
            k[1] = k[1].wrapping_add(0xBB67_AE85);
        }
        for l in 0..LANES {
            let p0 = u64::from(c[0][l]) * 0xD251_1F53;
            let p1 = u64::from(c[2][l]) * 0xCD9E_8D57;
            c[0][l] = (p1 >> 32) as u32 ^ c[1][l] ^ k[0];
            c[1][l] = p1 as u32;
            c[2][l] = (p0 >> 32) as u32 ^ c[3][l] ^ k[1];
            c[3][l] = p0 as u32;
        }
    }
    let mut words = [0; 4 * LANES];
    for l in 0..LANES {
        for w in 0..4 {
            words[4 * l + w] = c[w][l];
        }
    }
    words
}

/// The seed as a key.
#[must_use]
pub fn key(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

/// `n` draws of the normal distribution (Box-Muller over pairs of draws) for parameter number `parameter`.
#[must_use]
pub fn normal(seed: u64, parameter: u32, n: usize, deviation: f32) -> Vec<f32> {
    let mut out = vec![0.0; n];
    normal_from(seed, parameter, 0, deviation, &mut out);
    out
}

/// Draws `first .. first + out.len()` of [`normal`]; `first` is a multiple of 4. Large ones are shared among the threads of the
/// pool that it runs in.
///
/// # Panics
///
/// Where `first` is no multiple of 4: a counter gives four words.
pub fn normal_from(seed: u64, parameter: u32, first: usize, deviation: f32, out: &mut [f32]) {
    by_four(seed, parameter, first, out, |w| {
        let mut four = [0.0; 4];
        for (pair, out) in w.chunks_exact(2).zip(four.chunks_exact_mut(2)) {
            // (0, 1]: the logarithm is finite.
            let u = (f64::from(pair[0]) + 1.0) / 4_294_967_296.0;
            let angle = std::f64::consts::TAU * f64::from(pair[1]) / 4_294_967_296.0;
            let radius = (-2.0 * u.ln()).sqrt() * f64::from(deviation);
            out[0] = (radius * angle.cos()) as f32;
            out[1] = (radius * angle.sin()) as f32;
        }
        four
    });
}

/// `n` draws uniform in [-bound, bound) for parameter number `parameter`.
#[must_use]
pub fn uniform(seed: u64, parameter: u32, n: usize, bound: f32) -> Vec<f32> {
    let mut out = vec![0.0; n];
    uniform_from(seed, parameter, 0, bound, &mut out);
    out
}

/// Draws `first .. first + out.len()` of [`uniform`], as [`normal_from`].
///
/// # Panics
///
/// As [`normal_from`].
pub fn uniform_from(seed: u64, parameter: u32, first: usize, bound: f32, out: &mut [f32]) {
    let one = |word| ((f64::from(word) / 2_147_483_648.0 - 1.0) * f64::from(bound)) as f32;
    by_four(seed, parameter, first, out, |w| w.map(one));
}

/// Cells of a task of initial values.
const TASK: usize = 1 << 14;

/// Initial values from the four words of each counter.
fn by_four(seed: u64, parameter: u32, first: usize, out: &mut [f32], values: impl Fn([u32; 4]) -> [f32; 4] + Sync) {
    assert_eq!(first % 4, 0, "draws come by four");
    let task = |first: usize, out: &mut [f32]| {
        for (i, out) in out.chunks_mut(4).enumerate() {
            let w = philox(key(seed), [(first / 4 + i) as u32, parameter, 0, stream::INIT]);
            out.copy_from_slice(&values(w)[..out.len()]);
        }
    };
    if out.len() <= TASK {
        // No pool is started for a few.
        return task(first, out);
    }
    chunks_f32(out, TASK, &|i, out| task(first + i * TASK, out));
}

/// Fisher-Yates shuffle of `order` for epoch `epoch`.
pub fn shuffle(seed: u64, epoch: u32, order: &mut [u32]) {
    for i in (1..order.len()).rev() {
        let word = draw(key(seed), epoch, stream::SHUFFLE, i as u32);
        order.swap(i, ((u64::from(word) * (i as u64 + 1)) >> 32) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random123's known-answer vectors for philox4x32-10.
    #[test]
    fn published_vectors() {
        assert_eq!(philox([0, 0], [0; 4]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 2], [u32::MAX; 4]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox([0xa409_3822, 0x299f_31d0], [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn draws_side_by_side_are_the_draws_one_by_one() {
        for (first, n) in [(0, 1), (0, 64), (1, 63), (63, 2), (65, 300), (4_000_000_001, 130)] {
            let mut words = vec![0; n];
            crate::simd::vectorize(|| draws([7, 9], 3, stream::DROPOUT, first, &mut words));
            for (i, word) in words.iter().enumerate() {
                assert_eq!(*word, draw([7, 9], 3, stream::DROPOUT, first + i as u32), "{first} + {i}");
            }
        }
    }

    #[test]
    fn initial_values_in_pieces_are_those_at_once() {
        let n = 3 * TASK + 7;
        let (normal, uniform) = (normal(7, 3, n, 0.5), uniform(7, 3, n, 0.5));
        for first in [0, 4, TASK - 4, 2 * TASK + 8, n - 7] {
            let mut piece = vec![0.0; (n - first).min(TASK + 5)];
            normal_from(7, 3, first, 0.5, &mut piece);
            assert!(piece == normal[first..first + piece.len()], "normal from {first}");
            uniform_from(7, 3, first, 0.5, &mut piece);
            assert!(piece == uniform[first..first + piece.len()], "uniform from {first}");
        }
    }

    #[test]
    fn a_shuffle_is_a_permutation_and_depends_on_the_epoch() {
        let mut a: Vec<u32> = (0..1000).collect();
        let mut b = a.clone();
        shuffle(7, 1, &mut a);
        shuffle(7, 2, &mut b);
        assert_ne!(a, b);
        a.sort_unstable();
        assert!(a.iter().copied().eq(0..1000));
    }
}
