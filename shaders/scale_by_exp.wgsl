// scale_by_exp: a matrix times a learned factor.
//
//   y = exp(s) x
//
// shapes    x, y [rows, cols] f32 | s [1] f32; offsets and strides in words
// launch    one invocation per (row, column); neighbouring lanes take neighbouring columns
// writes    every cell of y once
// sums      none
// cost      moves 2 * rows * cols words. Weak spot: each invocation makes the exponential again.
// twin      crates/rt-kernels/src/kernels/scale_by_exp.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    cols: u32,
    x_offset: u32,
    x_stride: u32,
    s_offset: u32,
    s_stride: u32,
    y_offset: u32,
    y_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> s: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// By its bits: compilers may take comparisons of floats to be between numbers.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    if cell >= params.rows * params.cols {
        return;
    }
    let row = cell / params.cols;
    let column = cell % params.cols;
    let exponent = s[params.s_offset];
    y[params.y_offset + row * params.y_stride + column] =
        select(exp(exponent), exponent, is_nan(exponent)) * x[params.x_offset + row * params.x_stride + column];
}
