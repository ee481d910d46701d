// l2_normalize: rows scaled to length one.
//
//   norm_i = max(|x_i|, 1e-12); y_i = x_i / norm_i
//
// shapes    x, y [rows, dim] f32 | norm [rows] f32; offsets and strides in words
// launch    one workgroup of 64 lanes per row
// writes    every cell of y and norm once
// sums      lane l sums columns l, l + 64, ... ascending; lanes are added pairwise
// cost      moves 2 * rows * dim + rows words. Weak spot: rows of few columns leave lanes idle.
// twin      crates/rt-kernels/src/kernels/l2_normalize.rs

struct Params {
    rows: u32,
    dim: u32,
    has_norm: u32,
    x_offset: u32,
    x_stride: u32,
    y_offset: u32,
    y_stride: u32,
    norm_offset: u32,
    norm_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> norm: array<f32>;

const LANES: u32 = 64u;
var<workgroup> sums: array<f32, LANES>;

// By its bits: compilers may take comparisons of floats to be between numbers.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.y * groups.x + group.x;
    let dim = select(0u, params.dim, row < params.rows);
    let from_word = params.x_offset + row * params.x_stride;
    var sum = 0.0;
    for (var c = lane; c < dim; c += LANES) {
        let value = x[from_word + c];
        sum += value * value;
    }
    sums[lane] = sum;
    workgroupBarrier();
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        if lane < width {
            sums[lane] += sums[lane + width];
        }
        workgroupBarrier();
    }
    let length = select(max(sqrt(sums[0]), 1e-12), sums[0], is_nan(sums[0]));
    let to_word = params.y_offset + row * params.y_stride;
    for (var c = lane; c < dim; c += LANES) {
        y[to_word + c] = x[from_word + c] / length;
    }
    if lane == 0u && row < params.rows && params.has_norm != 0u {
        norm[params.norm_offset + row * params.norm_stride] = length;
    }
}
