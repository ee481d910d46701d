// clip_factor: what gradients are multiplied with so that their norm is at most clip.
//
//   norm = sqrt(sum of parts[0]), or 2^80 sqrt(sum of parts[1]) if that overflows; factor = clip / norm if norm > clip, NaN if it is
//   NaN, else 1
//
// shapes    parts [n, 2] f32, scaled_clip = clip / 2^80 | factor [1] f32; offsets and strides in words
// launch    one invocation
// writes    the factor
// sums      parts ascending in one f32 each
// cost      reads 2 n words
// twin      crates/rt-kernels/src/kernels/clip.rs

struct Params {
    n: u32,
    clip: f32,
    scaled_clip: f32,
    reserved: u32,
    parts_offset: u32,
    parts_stride: u32,
    factor_offset: u32,
    factor_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> parts: array<f32>;
@group(0) @binding(3) var<storage, read_write> factor: array<f32>;

// By its bits: compilers may take comparisons of floats to be between numbers.
fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

@compute @workgroup_size(1)
fn main() {
    var sum = vec2(0.0);
    for (var p = 0u; p < params.n; p += 1u) {
        let place = params.parts_offset + p * params.parts_stride;
        sum += vec2(parts[place], parts[place + 1u]);
    }
    var norm = sqrt(sum.x);
    var clip = params.clip;
    if !is_finite(sum.x) {
        norm = sqrt(sum.y);
        clip = params.scaled_clip;
    }
    var value = 1.0;
    if norm > clip {
        value = clip / norm;
    }
    if !is_finite(sum.y) {
        value = clip / sum.y; // 0 for infinity, NaN for NaN
    }
    factor[params.factor_offset] = value;
}
