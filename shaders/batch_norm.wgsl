// batch_norm: columns with mean 0 and variance 1, then a gain and a bias for each.
//
//   y = gain (x - mean) / sqrt(variance + 1e-5) + bias
//
// shapes    x, y [rows, cols] f32 | mean, variance, gain, bias [1, cols] f32; offsets and strides in words
// launch    one invocation per (row, column); neighbouring lanes take neighbouring columns
// writes    every cell of y once
// sums      none
// cost      moves 2 * rows * cols + 4 * cols words. Weak spot: a root and a division per cell.
// twin      crates/rt-kernels/src/kernels/batch_norm.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    cols: u32,
    x_offset: u32,
    x_stride: u32,
    mean_offset: u32,
    mean_stride: u32,
    variance_offset: u32,
    variance_stride: u32,
    gain_offset: u32,
    gain_stride: u32,
    bias_offset: u32,
    bias_stride: u32,
    y_offset: u32,
    y_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> mean: array<f32>;
@group(0) @binding(4) var<storage, read> variance: array<f32>;
@group(0) @binding(5) var<storage, read> gain: array<f32>;
@group(0) @binding(6) var<storage, read> bias: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;

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
    let deviation = sqrt(variance[params.variance_offset + column] + 1e-5);
    let h = (x[params.x_offset + row * params.x_stride + column] - mean[params.mean_offset + column]) / deviation;
    y[params.y_offset + row * params.y_stride + column] =
        gain[params.gain_offset + column] * h + bias[params.bias_offset + column];
}
