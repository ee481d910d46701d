// weighted_pool_dw: gradient of a weighted sum over history positions for the weights.
//
//   dw[i, h * history + k] = sum over c of x[i * history + k, c] * dy[i, h * dim + c]
//
// shapes    x [rows * history, dim] f32 | dy [rows, heads * dim] f32 | dw [rows, heads * history] f32; offsets and strides
//           in words
// launch    one invocation per (row, head, position)
// writes    every cell of dw once
// sums      c ascending in one f32
// cost      reads rows * history * dim words for each head. Weak spot: neighbouring lanes read dim words apart.
// twin      crates/rt-kernels/src/kernels/weighted_pool.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    history: u32,
    heads: u32,
    dim: u32,
    x_offset: u32,
    x_stride: u32,
    dy_offset: u32,
    dy_stride: u32,
    dw_offset: u32,
    dw_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dw: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    let cols = params.heads * params.history;
    if cell >= params.rows * cols {
        return;
    }
    let row = cell / cols;
    let head = cell % cols / params.history;
    let k = cell % params.history;
    let at_x = params.x_offset + (row * params.history + k) * params.x_stride;
    let at_dy = params.dy_offset + row * params.dy_stride + head * params.dim;
    var sum = 0.0;
    for (var c = 0u; c < params.dim; c += 1u) {
        sum += x[at_x + c] * dy[at_dy + c];
    }
    dw[params.dw_offset + row * params.dw_stride + cell % cols] = sum;
}
