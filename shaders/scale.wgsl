// scale: a factor times a matrix.
//
//   out = factor * a
//
// shapes    a, out [rows, cols] f32; offsets and strides in words
// launch    one invocation per (row, column); neighbouring lanes take neighbouring columns
// writes    every cell of out once
// sums      none
// cost      moves 2 * rows * cols words. Weak spot: a division per cell finds the row.
// twin      crates/rt-kernels/src/kernels/add.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    cols: u32,
    factor: f32,
    a_offset: u32,
    a_stride: u32,
    out_offset: u32,
    out_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

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
    out[params.out_offset + row * params.out_stride + column] = params.factor * a[params.a_offset + row * params.a_stride + column];
}
