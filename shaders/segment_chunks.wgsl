// segment_chunks: sums over whole chunks of the long runs of one table, so that a hot id is no long serial loop.
//
//   chunk j of a run of entries s .. e is s + CHUNK j .. s + CHUNK (j + 1); runs of fewer than 2 CHUNK entries have none
//   chunks[(s - begin) / CHUNK + j, :] = sum of source[sources[e], :] over chunk j, for every chunk that the run fills
//
// begin is the first entry of the table. The place is free of clashes: a chunk that starts within some CHUNK entries and is
// filled ends past them, so no other run starts a chunk there.
//
// shapes    source [any, dim] f32 | sources u32 (of group) | segments u32 (of segment_pack) | chunks [blocks, dim] f32
// launch    one invocation per (block of CHUNK entries, column) for the most entries that the table can have
// writes    a row of chunks for every filled chunk; other rows keep what they hold
// sums      ascending e in one f32
// cost      a binary search for the run of each block; long runs' source rows once. Weak spot: the lanes of a block all
//           search alike.
// twin      crates/rt-kernels/src/kernels/segment_sum.rs

override WG: u32 = 64u;
override CHUNK: u32 = 256u;

struct Params {
    blocks: u32,
    dim: u32,
    source_offset: u32,
    source_stride: u32,
    sources_offset: u32,
    sources_stride: u32,
    reserved_0: u32,
    reserved_1: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> source: array<f32>;
@group(0) @binding(3) var<storage, read> sources: array<u32>;
@group(0) @binding(4) var<storage, read> segments: array<u32>;
@group(0) @binding(5) var<storage, read_write> chunks: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    let count = segments[0];
    if cell >= params.blocks * params.dim || count == 0u {
        return;
    }
    let block = cell / params.dim;
    let column = cell % params.dim;
    let first = segments[1] + block * CHUNK;
    // The last run that starts before the block's end.
    var k = 0u;
    var past = count;
    while k + 1u < past {
        let middle = (k + past) / 2u;
        if segments[2u * middle + 1u] < first + CHUNK {
            k = middle;
        } else {
            past = middle;
        }
    }
    let start = segments[2u * k + 1u];
    let end = segments[2u * k + 3u];
    var e = start;
    if start < first {
        e += (first - start + CHUNK - 1u) / CHUNK * CHUNK;
    }
    if end - start < 2u * CHUNK || e + CHUNK > end {
        return;
    }
    let last = e + CHUNK;
    var sum = 0.0;
    for (; e < last; e += 1u) {
        let row = sources[params.sources_offset + e * params.sources_stride];
        sum += source[params.source_offset + row * params.source_stride + column];
    }
    chunks[cell] = sum;
}
