//! Logarithm and exponential from basic operations alone: a C library's differ in the last bit between platforms,
//! and the data has to be the same everywhere.

/// Natural logarithm of a positive, normal number; relative error below 1e-14.
pub(crate) fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as i64 - 1023;
    let mut mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    // ln m = 2 artanh s, s = (m - 1) / (m + 1), |s| < 0.172.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let series = (0..10).rev().fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 1));
    2.0 * s * series + exponent as f64 * std::f64::consts::LN_2
}

/// `e^x` for x <= 0, relative error below 3e-7; exactly 0 below -80. Written so that it vectorises.
pub(crate) fn exp(x: f32) -> f32 {
    /// 1.5 * 2^23: adding it rounds to an integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let clamped = if x < -80.0 { -80.0 } else { x };
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let r = (clamped - k * 0.693_359_4) - k * -2.121_944_4e-4;
    let p = 1.0 + r * (1.0 + r * (0.5 + r * (0.166_666_66 + r * (0.041_666_6 + r * (8.334_52e-3 + r * 1.388_9e-3)))));
    let power = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    let value = p * f32::from_bits(power);
    if x < -80.0 { 0.0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::abs_diff_eq;

    #[test]
    fn agree_with_std() {
        for k in 1..4000 {
            let x = f64::from(k) * 0.37e-2;
            assert!(abs_diff_eq!(ln(x), x.ln(), epsilon = 1e-14 * x.ln().abs().max(1.0)), "ln {x}");
            let y = -(k as f32) * 0.02;
            if y >= -80.0 {
                let wanted = f64::from(y).exp();
                assert!(abs_diff_eq!(f64::from(exp(y)), wanted, epsilon = 3e-7 * wanted), "exp {y}");
            }
        }
        assert_eq!((exp(0.0), exp(-81.0), exp(-1e30)), (1.0, 0.0, 0.0));
        assert_eq!(ln(1.0), 0.0);
    }
}
