// segment_sum: sums of the source rows of each distinct id of one table.
//
//   out[k, :] = sum of source[sources[e], :] over e in starts[first[table] + k] .. starts[first[table] + k + 1]
//
// shapes    source [any, dim] f32 | sources u32 (of group) | segments u32 (the table's, of segment_pack) | chunks f32 (of
//           segment_chunks) | out [rows, dim] f32
// launch    one invocation per (k, column) for the worst case; those past the number of distinct ids return
// writes    every cell of the first count rows of out once
// sums      ascending e in one f32; of a run of 2 CHUNK entries or more the sums of its chunks first (of segment_chunks)
// cost      reads every source row of the table once, writes count * dim words
// twin      crates/rt-kernels/src/kernels/segment_sum.rs

override WG: u32 = 64u;
override CHUNK: u32 = 256u;

struct Params {
    rows: u32,
    dim: u32,
    source_offset: u32,
    source_stride: u32,
    sources_offset: u32,
    sources_stride: u32,
    segments_offset: u32,
    chunks_offset: u32,
    chunks_stride: u32,
    out_offset: u32,
    out_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> source: array<f32>;
@group(0) @binding(3) var<storage, read> sources: array<u32>;
@group(0) @binding(4) var<storage, read> segments: array<u32>;
@group(0) @binding(5) var<storage, read> chunks: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    let k = cell / params.dim;
    let column = cell % params.dim;
    if k >= segments[params.segments_offset] {
        return; // the grid is the worst case
    }
    let end = segments[params.segments_offset + 2u * k + 3u];
    var e = segments[params.segments_offset + 2u * k + 1u];
    var g = 0.0;
    if end - e >= 2u * CHUNK {
        let filled = (end - e) / CHUNK;
        let first = (e - segments[params.segments_offset + 1u]) / CHUNK;
        for (var j = first; j < first + filled; j += 1u) {
            g += chunks[params.chunks_offset + j * params.chunks_stride + column];
        }
        e += filled * CHUNK;
    }
    for (; e < end; e += 1u) {
        let row = sources[params.sources_offset + e * params.sources_stride];
        g += source[params.source_offset + row * params.source_stride + column];
    }
    out[params.out_offset + k * params.out_stride + column] = g;
}
