//! The one order of scores: everything that ranks, on every device, compares these integers.
//!
//! Floats do not order themselves: NaN compares with nothing, sorts first or last by its sign, and a driver may assume that there is
//! none. The bits of a score do.

/// The key of a score that is never listed.
pub const UNLISTED: u32 = 0;

/// A score as an integer of the same order, greater for a greater score; both zeros have one key. NaN and minus infinity have
/// [`UNLISTED`], which no other score has: they are never listed.
#[inline(always)]
#[must_use]
pub fn key(score: f32) -> u32 {
    let bits = score.to_bits();
    match bits {
        0..=0x7F80_0000 => bits | 0x8000_0000,
        0x8000_0000 => 0x8000_0000,
        0x8000_0001..=0xFF7F_FFFF => !bits,
        // NaN, minus infinity, and beyond it the NaNs with a sign.
        0x7F80_0001..=0x7FFF_FFFF | 0xFF80_0000.. => UNLISTED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_order_of_the_scores_and_none_for_what_is_never_listed() {
        let scores = [f32::MIN, -1e30, -1.0, -1e-45, 0.0, 1e-45, 1.0, 1e30, f32::MAX, f32::INFINITY];
        for pair in scores.windows(2) {
            assert!(key(pair[0]) < key(pair[1]), "{pair:?}");
        }
        assert_eq!(key(-0.0), key(0.0));
        assert!(key(f32::MIN) > UNLISTED);
        for odd in [f32::NEG_INFINITY, f32::NAN, -f32::NAN, f32::from_bits(0x7F80_0001), f32::from_bits(0xFF80_0001)] {
            assert_eq!(key(odd), UNLISTED, "{:#x}", odd.to_bits());
        }
    }
}
