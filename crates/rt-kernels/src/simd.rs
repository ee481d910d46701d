//! SIMD chosen at run time, through `pulp`: loops are written once over fixed-size lanes, inlined into a
//! function compiled for the best instruction set that the processor has.

/// Runs `f` compiled for the best instruction set at hand. What `f` calls must be `#[inline(always)]` to be
/// compiled with it.
#[inline]
pub fn vectorize<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}

/// Name of the instruction set that [`vectorize`] uses.
#[must_use]
pub fn instruction_set() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        match pulp::Arch::new() {
            pulp::x86::Arch::V4(_) => "AVX-512",
            pulp::x86::Arch::V3(_) => "AVX2",
            _ => "SSE2",
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        "NEON"
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        "scalar"
    }
}

/// Lanes of the accumulators in hand-cut loops: one AVX-512 register, two AVX2.
pub const LANES: usize = 16;

/// Dot product with [`LANES`] partial sums, added pairwise. For use inside [`vectorize`].
#[inline(always)]
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut acc = [0.0f32; LANES];
    let (mut ca, mut cb) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (x, y) in (&mut ca).zip(&mut cb) {
        for l in 0..LANES {
            acc[l] = x[l].mul_add(y[l], acc[l]);
        }
    }
    for (l, (x, y)) in ca.remainder().iter().zip(cb.remainder()).enumerate() {
        acc[l] = x.mul_add(*y, acc[l]);
    }
    sum_lanes(acc)
}

/// `y += a * x`. For use inside [`vectorize`].
#[inline(always)]
pub fn axpy(a: f32, x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = a.mul_add(*x, *y);
    }
}

/// Sum of the lanes, pairwise.
#[inline(always)]
#[must_use]
pub fn sum_lanes(mut acc: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for l in 0..width {
            acc[l] += acc[l + width];
        }
        width /= 2;
    }
    acc[0]
}

/// Polynomial `exp` in f32 (range reduction by ln 2, degree 6), relative error below 2^-21 for results in the normal
/// range, exactly 0 below -87. For use inside [`vectorize`]: it is branch-free, so loops over it vectorise.
#[inline(always)]
#[must_use]
pub fn exp(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to the nearest integer
    let clamped = if x > 88.0 { 88.0 } else { x };
    let clamped = if clamped < -87.0 { -87.0 } else { clamped };
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    // ln 2 in two parts, the first exact in few bits.
    let r = n.mul_add(-0.693_359_4, clamped);
    let r = n.mul_add(2.121_944_4e-4, r);
    let mut p = 1.388_889e-3f32;
    p = p.mul_add(r, 8.333_334e-3);
    p = p.mul_add(r, 4.166_666_6e-2);
    p = p.mul_add(r, 1.666_666_7e-1);
    p = p.mul_add(r, 0.5);
    p = p.mul_add(r, 1.0);
    p = p.mul_add(r, 1.0);
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    if x < -87.0 { 0.0 } else { p * scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_to_f64_and_zero_far_out() {
        let mut worst = 0.0f64;
        for i in 0..=200_000 {
            let x = -87.0 + 174.0 * (i as f32) / 200_000.0;
            let want = f64::from(x).exp();
            worst = worst.max((f64::from(vectorize(|| exp(x))) - want).abs() / want);
        }
        assert!(worst < 1.0 / f64::from(1 << 21), "relative error {worst:e}");
        assert_eq!(exp(-88.0), 0.0);
        assert_eq!(exp(-1e30), 0.0);
    }

    #[test]
    fn dot_takes_every_element_at_any_length() {
        for n in [0, 1, 15, 16, 17, 64, 100] {
            let a: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let ones = vec![1.0; n];
            assert_eq!(dot(&a, &ones), (n * n.saturating_sub(1) / 2) as f32);
        }
    }
}
