// weighted_pool: weighted sums over history positions, one for each head.
//
//   y[i, h * dim + c] = sum over k of w[i, h * history + k] * x[i * history + k, c]
//
// shapes    x [rows * history, dim] f32 | w [rows, heads * history] f32 | y [rows, heads * dim] f32; offsets and strides in
//           words
// launch    one invocation per (row, head, column); neighbouring lanes take neighbouring columns
// writes    every cell of y once
// sums      k ascending (newest to oldest) in one f32
// cost      reads rows * history * (dim + heads) words, writes rows * heads * dim. Weak spot: each head reads x again.
// twin      crates/rt-kernels/src/kernels/weighted_pool.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    history: u32,
    heads: u32,
    dim: u32,
    x_offset: u32,
    x_stride: u32,
    w_offset: u32,
    w_stride: u32,
    y_offset: u32,
    y_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> w: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    let cols = params.heads * params.dim;
    if cell >= params.rows * cols {
        return;
    }
    let row = cell / cols;
    let head = cell % cols / params.dim;
    let column = cell % params.dim;
    let at = params.w_offset + row * params.w_stride + head * params.history;
    var sum = 0.0;
    for (var k = 0u; k < params.history; k += 1u) {
        sum += w[at + k] * x[params.x_offset + (row * params.history + k) * params.x_stride + column];
    }
    y[params.y_offset + row * params.y_stride + cell % cols] = sum;
}
