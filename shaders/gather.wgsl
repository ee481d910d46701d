// gather: rows of a table by id.
//
//   out[i, :] = table[ids[i], :]; zeros for an id past the table
//
// shapes    table [any, dim] f32 | ids [rows] u32 | out [rows, dim] f32; offsets and strides in words
// launch    one invocation per (row, column); neighbouring lanes take neighbouring columns
// writes    every cell of out once
// sums      none
// cost      reads rows * (dim + 1) words, writes rows * dim. Weak spot: a random row of few columns wastes most of a
//           memory transaction.
// twin      crates/rt-kernels/src/kernels/gather.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    dim: u32,
    table_offset: u32,
    table_stride: u32,
    ids_offset: u32,
    ids_stride: u32,
    out_offset: u32,
    out_stride: u32,
    table_rows: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> table: array<f32>;
@group(0) @binding(3) var<storage, read> ids: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    if cell >= params.rows * params.dim {
        return;
    }
    let row = cell / params.dim;
    let column = cell % params.dim;
    let id = ids[params.ids_offset + row * params.ids_stride];
    var found = 0.0;
    if id < params.table_rows {
        found = table[params.table_offset + id * params.table_stride + column];
    }
    out[params.out_offset + row * params.out_stride + column] = found;
}
