// take: rows of data that has no gradient, words of either type.
//
//   out[i, :] = table[ids[i], :]; zeros for an id past the table
//
// shapes    table [any, cols] words | ids [rows] u32 | out [rows, cols] words; offsets and strides in words
// launch    one invocation per (row, column)
// writes    every word of out once
// sums      none
// cost      reads rows * (cols + 1) words, writes rows * cols
// twin      crates/rt-kernels/src/kernels/take.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    cols: u32,
    table_rows: u32,
    table_offset: u32,
    table_stride: u32,
    ids_offset: u32,
    ids_stride: u32,
    out_offset: u32,
    out_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> table: array<u32>;
@group(0) @binding(3) var<storage, read> ids: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * WG + lane;
    if i >= params.rows * params.cols {
        return;
    }
    let row = i / params.cols;
    let column = i % params.cols;
    let id = ids[params.ids_offset + row * params.ids_stride];
    var found = 0u;
    if id < params.table_rows {
        found = table[params.table_offset + id * params.table_stride + column];
    }
    out[params.out_offset + row * params.out_stride + column] = found;
}
