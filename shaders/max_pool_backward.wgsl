// max_pool_backward: gradient of maxima over history positions.
//
//   dx[i * history + k, c] = sum of dy[i, w * dim + c] over the windows w with place[i, w * dim + c] = k
//
// shapes    place [rows, windows * dim] u32 | dy [rows, windows * dim] f32 | dx [rows * history, dim] f32; offsets and
//           strides in words
// launch    one invocation per (row, position, column); neighbouring lanes take neighbouring columns
// writes    every cell of dx once
// sums      windows ascending in one f32
// cost      writes rows * history * dim words. Weak spot: each position reads its row's places again, windows words a cell.
// twin      crates/rt-kernels/src/kernels/max_pool.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    history: u32,
    dim: u32,
    windows: u32,
    place_offset: u32,
    place_stride: u32,
    dy_offset: u32,
    dy_stride: u32,
    dx_offset: u32,
    dx_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> place: array<u32>;
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
    for (var w = 0u; w < params.windows; w += 1u) {
        let c = w * params.dim + column;
        if place[params.place_offset + row * params.place_stride + c] == k {
            sum += dy[params.dy_offset + row * params.dy_stride + c];
        }
    }
    dx[params.dx_offset + position * params.dx_stride + column] = sum;
}
