// activation_backward: gradient of an element-wise activation, from its output.
//
//   dx = dy f'(x), with f' from y = f(x)
//
// shapes    y, dy, dx [rows, cols] f32; offsets and strides in words
// launch    one invocation per (row, column); neighbouring lanes take neighbouring columns
// writes    every cell of dx once
// sums      none
// cost      moves 3 * rows * cols words. Weak spot: a division per cell finds the row.
// twin      crates/rt-kernels/src/kernels/activation.rs

override WG: u32 = 64u;

// 0 none, 1 relu, 2 tanh, 3 sigmoid
override ACTIVATION: u32 = 1u;

struct Params {
    rows: u32,
    cols: u32,
    y_offset: u32,
    y_stride: u32,
    dy_offset: u32,
    dy_stride: u32,
    dx_offset: u32,
    dx_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

fn derivative(y: f32, dy: f32) -> f32 {
    if ACTIVATION == 1u {
        return select(dy, 0.0, y <= 0.0);
    }
    if ACTIVATION == 2u {
        return dy * (1.0 - y * y);
    }
    if ACTIVATION == 3u {
        return dy * (y * (1.0 - y));
    }
    return dy;
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
    dx[params.dx_offset + row * params.dx_stride + column] =
        derivative(y[params.y_offset + row * params.y_stride + column], dy[params.dy_offset + row * params.dy_stride + column]);
}
