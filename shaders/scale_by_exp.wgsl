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
    y[params.y_offset + row * params.y_stride + column] =
        exp(s[params.s_offset]) * x[params.x_offset + row * params.x_stride + column];
}
