// scatter_rows: adds the rows of a segment_sum to a dense matrix.
//
//   dense[keys[first[table] + k] - base, :] += rows[k, :]
//
// shapes    rows [capacity, dim] f32 | keys, first u32 (the output of group) | dense [any, dim] f32
// launch    one invocation per (k, column) for the worst case; those past the number of distinct ids return
// writes    the rows of dense that have a key, each cell once (keys are distinct)
// sums      one addition a cell
// cost      reads 2 * count * dim words, writes count * dim
// twin      crates/rt-kernels/src/kernels/segment_sum.rs

override WG: u32 = 64u;

struct Params {
    capacity: u32,
    dim: u32,
    table: u32,
    base: u32,
    dense_rows: u32,
    rows_offset: u32,
    rows_stride: u32,
    keys_offset: u32,
    keys_stride: u32,
    first_offset: u32,
    first_stride: u32,
    dense_offset: u32,
    dense_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> rows: array<f32>;
@group(0) @binding(3) var<storage, read> keys: array<u32>;
@group(0) @binding(4) var<storage, read> first: array<u32>;
@group(0) @binding(5) var<storage, read_write> dense: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    if cell >= params.capacity * params.dim {
        return;
    }
    let k = cell / params.dim;
    let column = cell % params.dim;
    let segment = first[params.first_offset + params.table * params.first_stride] + k;
    if segment >= first[params.first_offset + (params.table + 1u) * params.first_stride] {
        return; // the grid is the worst case
    }
    let id = keys[params.keys_offset + segment * params.keys_stride] - params.base;
    if id >= params.dense_rows {
        return; // no row of dense
    }
    dense[params.dense_offset + id * params.dense_stride + column] +=
        rows[params.rows_offset + k * params.rows_stride + column];
}
