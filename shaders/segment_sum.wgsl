// segment_sum: sums of the source rows of each distinct id of one table.
//
//   out[k, :] = sum of source[sources[e], :] over e in starts[first[table] + k] .. starts[first[table] + k + 1]
//
// shapes    source [any, dim] f32 | sources, starts, first u32 (the output of group) | out [rows, dim] f32
// launch    one invocation per (k, column) for the worst case; those past the number of distinct ids return
// writes    every cell of the first count rows of out once
// sums      ascending e in one f32
// cost      reads every source row of the table once, writes count * dim words. Weak spot: one hot id is one serial loop.
// twin      crates/rt-kernels/src/kernels/segment_sum.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    dim: u32,
    table: u32,
    source_offset: u32,
    source_stride: u32,
    sources_offset: u32,
    sources_stride: u32,
    starts_offset: u32,
    starts_stride: u32,
    first_offset: u32,
    first_stride: u32,
    out_offset: u32,
    out_stride: u32,
    reserved_0: u32,
    reserved_1: u32,
    reserved_2: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> source: array<f32>;
@group(0) @binding(3) var<storage, read> sources: array<u32>;
@group(0) @binding(4) var<storage, read> starts: array<u32>;
@group(0) @binding(5) var<storage, read> first: array<u32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

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
    let k = cell / params.dim;
    let column = cell % params.dim;
    let segment = first[params.first_offset + params.table * params.first_stride] + k;
    if segment >= first[params.first_offset + (params.table + 1u) * params.first_stride] {
        return; // the grid is the worst case
    }
    let end = starts[params.starts_offset + (segment + 1u) * params.starts_stride];
    var sum = 0.0;
    for (var e = starts[params.starts_offset + segment * params.starts_stride]; e < end; e += 1u) {
        let row = sources[params.sources_offset + e * params.sources_stride];
        sum += source[params.source_offset + row * params.source_stride + column];
    }
    out[params.out_offset + k * params.out_stride + column] = sum;
}
