// prelu: PReLU with a slope for each column.
//
//   y = max(x, 0) + slope * min(x, 0)
//
// shapes    x, y [rows, cols] f32 | slope [1, cols] f32; offsets and strides in words
// launch    one invocation per (row, column); neighbouring lanes take neighbouring columns
// writes    every cell of y once
// sums      none
// cost      moves 2 * rows * cols + cols words. Weak spot: a division per cell finds the row.
// twin      crates/rt-kernels/src/kernels/prelu.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    cols: u32,
    x_offset: u32,
    x_stride: u32,
    slope_offset: u32,
    slope_stride: u32,
    y_offset: u32,
    y_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> slope: array<f32>;
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
    let value = x[params.x_offset + row * params.x_stride + column];
    let low = slope[params.slope_offset + column] * value;
    y[params.y_offset + row * params.y_stride + column] = select(low, value, value > 0.0);
}
