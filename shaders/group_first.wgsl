// group_first: where each table's distinct keys begin; last dispatch of the grouping.
//
//   first[t] = number of distinct keys below bases[t];  first[tables] = distinct keys;  starts[distinct keys] = entries
//
// shapes    keys [any] u32 | totals [2] u32 (distinct, nulls) | first [tables + 1] u32 | starts [any] u32
// launch    one workgroup of 64 lanes per 64 tables; this one does tables table .. table + 63
// writes    first once each, and the end of the last run
// sums      none: a binary search a lane
// cost      a few words a table
// twin      crates/rt-kernels/src/kernels/group/cpu.rs

struct Params {
    n: u32,
    tables: u32,
    table: u32,
    keys_offset: u32,
    keys_stride: u32,
    starts_offset: u32,
    starts_stride: u32,
    first_offset: u32,
    first_stride: u32,
    reserved_0: u32,
    reserved_1: u32,
    reserved_2: u32,
    bases: array<vec4<u32>, 16>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> keys: array<u32>;
@group(0) @binding(3) var<storage, read> totals: array<u32>;
@group(0) @binding(4) var<storage, read_write> starts: array<u32>;
@group(0) @binding(5) var<storage, read_write> first: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
    let t = params.table + lane;
    if t > params.tables {
        return;
    }
    let distinct = totals[0];
    if t == params.tables {
        first[params.first_offset + t * params.first_stride] = distinct;
        starts[params.starts_offset + distinct * params.starts_stride] = params.n - totals[1];
        return;
    }
    let base = params.bases[lane / 4u][lane % 4u];
    var low = 0u;
    var high = distinct;
    while low < high {
        let middle = (low + high) / 2u;
        if keys[params.keys_offset + middle * params.keys_stride] < base {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    first[params.first_offset + t * params.first_stride] = low;
}
