// segment_chunks: sums over whole chunks of the long runs of several tables, so that a hot id is no long serial loop.
//
//   chunk j of a run of entries s .. e is s + CHUNK j .. s + CHUNK (j + 1); runs of fewer than 2 CHUNK entries have none
//   chunks[(s - begin) / CHUNK + j, :] = sum of source[sources[e], :] over chunk j, for every chunk that the run fills
//
// begin is the first entry of the table. The place is free of clashes: a chunk that starts within some CHUNK entries and is
// filled ends past them, so no other run starts a chunk there.
//
// shapes    a .. d: matrices of source rows f32, slot says which one is a table's | sources u32 (of group) | runs u32 (of
//           segment_pack) | chunks f32, [blocks, dim] for each table, one after the other
// launch    one invocation per (table, block of CHUNK entries, column) for the most entries that a table can have
// writes    a row of chunks for every filled chunk; other rows keep what they hold
// sums      ascending e in one f32
// cost      a binary search for the run of each block; long runs' source rows once. Weak spot: the lanes of a block all
//           search alike.
// twin      crates/rt-kernels/src/kernels/segment_runs.rs

override WG: u32 = 64u;
override CHUNK: u32 = 256u;

const TABLES: u32 = 16u;

struct Table {
    cell: u32, // first invocation
    cells: u32,
    dim: u32,
    slot: u32,
    source_offset: u32,
    source_stride: u32,
    runs: u32, // first word of its runs
    chunks: u32, // first word of its sums
}

struct Params {
    tables: u32,
    sources_offset: u32,
    sources_stride: u32,
    reserved: u32,
    list: array<Table, TABLES>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read> c: array<f32>;
@group(0) @binding(5) var<storage, read> d: array<f32>;
@group(0) @binding(6) var<storage, read> sources: array<u32>;
@group(0) @binding(7) var<storage, read> runs: array<u32>;
@group(0) @binding(8) var<storage, read_write> chunks: array<f32>;

fn value(slot: u32, at: u32) -> f32 {
    switch slot {
        case 0u: { return a[at]; }
        case 1u: { return b[at]; }
        case 2u: { return c[at]; }
        default: { return d[at]; }
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let invocation = (group.y * groups.x + group.x) * WG + lane;
    var t = 0u;
    while t + 1u < params.tables && invocation >= params.list[t + 1u].cell {
        t += 1u;
    }
    let cell = invocation - params.list[t].cell;
    let at = params.list[t].runs;
    let count = runs[at];
    if cell >= params.list[t].cells || count == 0u {
        return;
    }
    let dim = params.list[t].dim;
    let column = cell % dim;
    let first = runs[at + 1u] + cell / dim * CHUNK;
    // The last run that starts before the block's end.
    var k = 0u;
    var past = count;
    while k + 1u < past {
        let middle = (k + past) / 2u;
        if runs[at + 2u * middle + 1u] < first + CHUNK {
            k = middle;
        } else {
            past = middle;
        }
    }
    let start = runs[at + 2u * k + 1u];
    let end = runs[at + 2u * k + 3u];
    var e = start;
    if start < first {
        e += (first - start + CHUNK - 1u) / CHUNK * CHUNK;
    }
    if end - start < 2u * CHUNK || e + CHUNK > end {
        return;
    }
    let last = e + CHUNK;
    let slot = params.list[t].slot;
    let place = params.list[t].source_offset + column;
    let stride = params.list[t].source_stride;
    var sum = 0.0;
    for (; e < last; e += 1u) {
        let row = sources[params.sources_offset + e * params.sources_stride];
        sum += value(slot, place + row * stride);
    }
    chunks[params.list[t].chunks + cell] = sum;
}
