// clip_factor: what gradients are multiplied with so that their norm is at most clip.
//
//   norm = sqrt(sum of parts);  factor = clip / norm where norm > clip, else 1
//
// shapes    parts [n] f32 | factor [1] f32; offsets and strides in words
// launch    one invocation
// writes    the factor
// sums      parts ascending in one f32
// cost      reads n words
// twin      crates/rt-kernels/src/kernels/clip.rs

struct Params {
    n: u32,
    clip: f32,
    parts_offset: u32,
    parts_stride: u32,
    factor_offset: u32,
    factor_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> parts: array<f32>;
@group(0) @binding(3) var<storage, read_write> factor: array<f32>;

@compute @workgroup_size(1)
fn main() {
    var sum = 0.0;
    for (var p = 0u; p < params.n; p += 1u) {
        sum += parts[params.parts_offset + p * params.parts_stride];
    }
    let norm = sqrt(sum);
    var value = 1.0;
    if norm > params.clip {
        value = params.clip / norm;
    }
    factor[params.factor_offset] = value;
}
