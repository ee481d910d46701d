// gelu_backward: gradient of GELU in its tanh form.
//
//   s = sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)); dx = dy (s + x s (1 - s) 2 sqrt(2 / pi) (1 + 3 * 0.044715 x^2))
//
// shapes    x, dy, dx [rows, cols] f32; offsets and strides in words
// launch    one invocation per (row, column); neighbouring lanes take neighbouring columns
// writes    every cell of dx once
// sums      none
// cost      moves 3 * rows * cols words. Weak spot: a division per cell finds the row.
// twin      crates/rt-kernels/src/kernels/gelu.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    cols: u32,
    x_offset: u32,
    x_stride: u32,
    dy_offset: u32,
    dy_stride: u32,
    dx_offset: u32,
    dx_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

const SLOPE: f32 = 1.595769; // 2 sqrt(2 / pi)
const CUBE: f32 = 0.044715;

fn sigmoid(x: f32) -> f32 {
    let e = exp(-abs(x));
    let small = e / (1.0 + e);
    return select(1.0 - small, small, x < 0.0);
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
    let value = x[params.x_offset + row * params.x_stride + column];
    let s = sigmoid(SLOPE * (value + CUBE * value * value * value));
    let slope = s + value * s * (1.0 - s) * SLOPE * (1.0 + 3.0 * CUBE * value * value);
    dx[params.dx_offset + row * params.dx_stride + column] = dy[params.dy_offset + row * params.dy_stride + column] * slope;
}
