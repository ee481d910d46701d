// activation: element-wise activation.
//
//   y = f(x)
//
// shapes    x, y [rows, cols] f32; offsets and strides in words
// launch    one invocation per (row, column); neighbouring lanes take neighbouring columns
// writes    every cell of y once
// sums      none
// cost      moves 2 * rows * cols words. Weak spot: a division per cell finds the row.
// twin      crates/rt-kernels/src/kernels/activation.rs

override WG: u32 = 64u;

// 0 none, 1 relu, 2 tanh, 3 sigmoid
override ACTIVATION: u32 = 1u;

struct Params {
    rows: u32,
    cols: u32,
    x_offset: u32,
    x_stride: u32,
    y_offset: u32,
    y_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

// By its bits: compilers may take comparisons of floats to be between numbers.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn activate(x: f32) -> f32 {
    if is_nan(x) {
        return x;
    }
    if ACTIVATION == 1u {
        return select(x, 0.0, x < 0.0);
    }
    if ACTIVATION == 2u {
        // WGSL's tanh may overflow far out; exp(-2|x|) does not. Near zero the quotient would cancel.
        let magnitude = abs(x);
        let e = exp(-2.0 * magnitude);
        let s = magnitude * magnitude;
        let near = magnitude * (1.0 + s * (-1.0 / 3.0 + s * (2.0 / 15.0 + s * (-17.0 / 315.0 + s * (62.0 / 2835.0)))));
        let value = select((1.0 - e) / (1.0 + e), near, magnitude < 0.3);
        return select(value, -value, x < 0.0);
    }
    if ACTIVATION == 3u {
        let e = exp(-abs(x));
        let small = e / (1.0 + e);
        return select(1.0 - small, small, x < 0.0);
    }
    return x;
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
    y[params.y_offset + row * params.y_stride + column] = activate(x[params.x_offset + row * params.x_stride + column]);
}
