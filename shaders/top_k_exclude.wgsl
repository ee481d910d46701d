// top_k_exclude: takes each query's excluded items out.
//
//   keys[q, excluded[s] - first] = 0 for s in start_q .. start_q + len_q
//
// shapes    slice [queries, 2] u32 (start, len) | excluded [any] u32 | keys [queries, items] u32 without gaps; offsets and strides
//           in words
// expects   nothing: a slice that does not lie in excluded is empty
// launch    for each query parts workgroups of 64 lanes, of which each takes span entries of the list
// writes    a key for each excluded item; an item that is excluded twice gets the same 0 twice
// sums      none
// cost      moves 2 words for each excluded item
// twin      crates/rt-kernels/src/kernels/top_k.rs

struct Params {
    queries: u32,
    items: u32,
    first: u32,
    excluded_rows: u32,
    slice_offset: u32,
    slice_stride: u32,
    excluded_offset: u32,
    excluded_stride: u32,
    parts: u32,
    span: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> slice: array<u32>;
@group(0) @binding(3) var<storage, read> excluded: array<u32>;
@group(0) @binding(4) var<storage, read_write> keys: array<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = group.y * groups.x + group.x;
    let query = number / params.parts;
    if query >= params.queries {
        return;
    }
    let start = slice[params.slice_offset + query * params.slice_stride];
    var len = slice[params.slice_offset + query * params.slice_stride + 1u];
    len = select(0u, len, start <= params.excluded_rows && len <= params.excluded_rows - start);
    let first_entry = number % params.parts * params.span;
    let end = first_entry + min(len - min(len, first_entry), params.span);
    for (var s = first_entry + lane; s < end; s += 64u) {
        let item = excluded[params.excluded_offset + (start + s) * params.excluded_stride];
        if item >= params.first && item - params.first < params.items {
            keys[query * params.items + item - params.first] = 0u;
        }
    }
}
