// segment_pack: the runs of several tables packed, each table's in a range of its own, so that what sums them stays within
// seven bindings.
//
//   a table's range = [count, start 0, row 0, start 1, row 1, ..., start count-1, row count-1, end of the last run]
//
// A row is its key less the table's base.
//
// shapes    keys, starts, first u32 (the output of group) | runs u32, 2 * capacity + 2 words a table
// launch    one invocation per (table, distinct id + 1) for the worst case
// writes    words 0 ..= 2 * count + 1 of each range, each once; the end of run k is the start of run k + 1
// sums      none
// cost      4 words a distinct id. Weak spot: a lane looks for its table, 16 steps at most.
// twin      crates/rt-kernels/src/kernels/segment_runs.rs

override WG: u32 = 64u;

const TABLES: u32 = 16u;

struct Params {
    tables: u32,
    table: u32, // number of the first
    keys_offset: u32,
    keys_stride: u32,
    starts_offset: u32,
    starts_stride: u32,
    first_offset: u32,
    first_stride: u32,
    list: array<vec4<u32>, TABLES>, // first invocation, capacity, base, first word of its range
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> keys: array<u32>;
@group(0) @binding(3) var<storage, read> starts: array<u32>;
@group(0) @binding(4) var<storage, read> first: array<u32>;
@group(0) @binding(5) var<storage, read_write> runs: array<u32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    var t = 0u;
    while t + 1u < params.tables && cell >= params.list[t + 1u].x {
        t += 1u;
    }
    let table = params.list[t];
    let k = cell - table.x;
    let begin = first[params.first_offset + (params.table + t) * params.first_stride];
    let last = first[params.first_offset + (params.table + t + 1u) * params.first_stride];
    let count = min(last - min(last, begin), table.y);
    if k > count {
        return; // the grid is the worst case
    }
    let start = starts[params.starts_offset + (begin + k) * params.starts_stride];
    runs[table.w + 2u * k + 1u] = start;
    if k == count {
        runs[table.w] = count;
        return;
    }
    runs[table.w + 2u * k + 2u] = keys[params.keys_offset + (begin + k) * params.keys_stride] - table.z;
}
