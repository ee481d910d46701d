// scale_by: a matrix times a factor that lies on the device.
//
//   out = factor x
//
// shapes    x, out [rows, cols] f32 | factor [1] f32; offsets and strides in words
// launch    one invocation per cell
// writes    every cell of out once
// sums      none
// cost      moves 2 * rows * cols words
// twin      crates/rt-kernels/src/kernels/clip.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    cols: u32,
    x_offset: u32,
    x_stride: u32,
    factor_offset: u32,
    factor_stride: u32,
    out_offset: u32,
    out_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> factor: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

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
    out[params.out_offset + row * params.out_stride + column] =
        factor[params.factor_offset] * x[params.x_offset + row * params.x_stride + column];
}
