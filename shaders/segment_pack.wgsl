// segment_pack: the runs of one table packed into one buffer, so that what sums them stays within seven bindings.
//
//   segments = [count, start 0, row 0, start 1, row 1, ..., start count-1, row count-1, end of the last run]
//
// A row is its key less base.
//
// shapes    keys, starts, first u32 (the output of group) | segments [2 * capacity + 2] u32
// launch    one invocation per (distinct id + 1) for the worst case
// writes    segments[0 ..= 2 * count + 1], each word once; the end of run k is the start of run k + 1
// sums      none
// cost      4 words a distinct id
// twin      none: the CPU twin reads the output of group itself

override WG: u32 = 64u;

struct Params {
    capacity: u32,
    table: u32,
    base: u32,
    reserved_0: u32,
    keys_offset: u32,
    keys_stride: u32,
    starts_offset: u32,
    starts_stride: u32,
    first_offset: u32,
    first_stride: u32,
    reserved_1: u32,
    reserved_2: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> keys: array<u32>;
@group(0) @binding(3) var<storage, read> starts: array<u32>;
@group(0) @binding(4) var<storage, read> first: array<u32>;
@group(0) @binding(5) var<storage, read_write> segments: array<u32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let k = (group.y * groups.x + group.x) * WG + lane;
    let begin = first[params.first_offset + params.table * params.first_stride];
    let last = first[params.first_offset + (params.table + 1u) * params.first_stride];
    let count = min(last - begin, params.capacity);
    if k > count {
        return;
    }
    let start = starts[params.starts_offset + (begin + k) * params.starts_stride];
    if k == count {
        segments[0] = count;
        segments[2u * k + 1u] = start;
        return;
    }
    segments[2u * k + 1u] = start;
    segments[2u * k + 2u] = keys[params.keys_offset + (begin + k) * params.keys_stride] - params.base;
}
