// weighted_pool_dx: gradient of a weighted sum over history positions for the rows that were summed.
//
//   dx[i * history + k, c] = sum over h of w[i, h * history + k] * dy[i, h * dim + c]
//
// shapes    w [rows, heads * history] f32 | dy [rows, heads * dim] f32 | dx [rows * history, dim] f32; offsets and strides
//           in words
// launch    one invocation per (row, position, column); neighbouring lanes take neighbouring columns
// writes    every cell of dx once
// sums      h ascending in one f32
// cost      writes rows * history * dim words. Weak spot: each position reads its row of dy again.
// twin      crates/rt-kernels/src/kernels/weighted_pool.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    history: u32,
    heads: u32,
    dim: u32,
    w_offset: u32,
    w_stride: u32,
    dy_offset: u32,
    dy_stride: u32,
    dx_offset: u32,
    dx_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    if cell >= params.rows * params.history * params.dim {
        return;
    }
    let position = cell / params.dim;
    let column = cell % params.dim;
    let row = position / params.history;
    let k = position % params.history;
    var sum = 0.0;
    for (var h = 0u; h < params.heads; h += 1u) {
        sum += w[params.w_offset + row * params.w_stride + h * params.history + k]
            * dy[params.dy_offset + row * params.dy_stride + h * params.dim + column];
    }
    dx[params.dx_offset + position * params.dx_stride + column] = sum;
}
