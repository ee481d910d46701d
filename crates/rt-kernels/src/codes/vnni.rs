//! Products of codes by instructions that add four 8-bit products to a sum, which only some processors have.
#![allow(unsafe_code, reason = "only a check at run time tells that the instructions are there")]

use super::{BLOCK, scan::GROUP};

/// Instructions that this processor has: a value proves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vnni(Width);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    /// AVX-512 VNNI: 64 products an instruction.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX-VNNI: 32.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Vnni {
    /// Those that there are, the best first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let all = {
            use std::arch::is_x86_feature_detected as has;
            let wide = has!("avx512f") && has!("avx512vnni");
            let narrow = has!("avx2") && has!("avxvnni");
            [wide.then_some(Self(Width::Avx512)), narrow.then_some(Self(Width::Avx2))]
        };
        #[cfg(not(target_arch = "x86_64"))]
        let all: [Option<Self>; 0] = [];
        all.into_iter().flatten()
    }

    /// The best.
    pub(crate) fn best() -> Option<Self> {
        Self::all().next()
    }

    pub(super) fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Width::Avx512 => "AVX-512 VNNI",
            #[cfg(target_arch = "x86_64")]
            Width::Avx2 => "AVX-VNNI",
        }
    }

    /// A bit for each item of a block whose product is greater than `least`, for as many queries: [`GROUP`] at most.
    pub(crate) fn block(self, codes: &[u32], queries: &[u32], least: &[i32]) -> [u64; GROUP] {
        match least.len() {
            1 => self.block_of::<1>(codes, queries, least),
            2 => self.block_of::<2>(codes, queries, least),
            3 => self.block_of::<3>(codes, queries, least),
            4 => self.block_of::<4>(codes, queries, least),
            5 => self.block_of::<5>(codes, queries, least),
            _ => self.block_of::<GROUP>(codes, queries, least),
        }
    }

    fn block_of<const Q: usize>(self, codes: &[u32], queries: &[u32], least: &[i32]) -> [u64; GROUP] {
        match self.0 {
            // SAFETY: a value is made by `all` alone, where the processor has both features.
            #[cfg(target_arch = "x86_64")]
            Width::Avx512 => unsafe { avx512::<Q>(codes, queries, least) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Width::Avx2 => unsafe { avx2::<Q>(codes, queries, least) },
        }
    }
}

/// Sixteen items an instruction, four columns each; the block's sums of [`GROUP`] queries stay in registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vnni")]
fn avx512<const Q: usize>(codes: &[u32], queries: &[u32], least: &[i32]) -> [u64; GROUP] {
    use std::arch::x86_64::*;
    const LANES: usize = 16;
    let mut sums = [[_mm512_setzero_si512(); BLOCK / LANES]; Q];
    for (items, query) in codes.as_chunks::<BLOCK>().0.iter().zip(queries.as_chunks::<Q>().0) {
        let load = |lanes: &[u32; LANES]| {
            // SAFETY: sixteen words to read, unaligned.
            unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
        };
        let lanes = items.as_chunks().0;
        let items = [load(&lanes[0]), load(&lanes[1]), load(&lanes[2]), load(&lanes[3])];
        for q in 0..Q {
            let query = _mm512_set1_epi32(query[q] as i32);
            for g in 0..items.len() {
                sums[q][g] = _mm512_dpbusd_epi32(sums[q][g], items[g], query);
            }
        }
    }
    let mut bits = [0; GROUP];
    for q in 0..Q {
        let least = _mm512_set1_epi32(least[q]);
        for (g, sum) in sums[q].iter().enumerate() {
            bits[q] |= u64::from(_mm512_cmpgt_epi32_mask(*sum, least)) << (g * LANES);
        }
    }
    bits
}

/// Eight items an instruction; sixteen items at a time, as there are half as many registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avxvnni")]
fn avx2<const Q: usize>(codes: &[u32], queries: &[u32], least: &[i32]) -> [u64; GROUP] {
    use std::arch::x86_64::*;
    const LANES: usize = 8;
    let mut bits = [0; GROUP];
    for at in (0..BLOCK).step_by(2 * LANES) {
        let mut sums = [[_mm256_setzero_si256(); 2]; Q];
        for (items, query) in codes.as_chunks::<BLOCK>().0.iter().zip(queries.as_chunks::<Q>().0) {
            let load = |lanes: &[u32; LANES]| {
                // SAFETY: eight words to read, unaligned.
                unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
            };
            let lanes = items.as_chunks().0;
            let items = [load(&lanes[at / LANES]), load(&lanes[at / LANES + 1])];
            for q in 0..Q {
                let query = _mm256_set1_epi32(query[q] as i32);
                for g in 0..items.len() {
                    sums[q][g] = _mm256_dpbusd_avx_epi32(sums[q][g], items[g], query);
                }
            }
        }
        for q in 0..Q {
            let least = _mm256_set1_epi32(least[q]);
            for (g, sum) in sums[q].iter().enumerate() {
                let passes = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(*sum, least)));
                bits[q] |= (passes as u64) << (at + g * LANES);
            }
        }
    }
    bits
}
