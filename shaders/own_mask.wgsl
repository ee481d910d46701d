// own_mask: which candidates are other items of a row's own user.
//
//   bit j % 32 of mask[i, j / 32] = candidate_ids[j] stands in items[start_i .. start_i + length_i] and is not target_ids[i]
//
// shapes    slice [rows, 2] u32, (start, length) | items [any] u32, ascending within each slice | candidate_ids [candidates],
//           target_ids [rows] u32 | mask [rows, ceil(candidates / 32)] u32; offsets and strides in words
// expects   nothing: a slice that does not lie in items is empty
// launch    one invocation per word of mask: 32 binary searches
// writes    every word of mask once
// sums      none
// cost      rows * candidates * log2(length) reads. Weak spot: long lists are searched at random.
// twin      crates/rt-kernels/src/kernels/own_mask.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    candidates: u32,
    items_rows: u32,
    slice_offset: u32,
    slice_stride: u32,
    items_offset: u32,
    items_stride: u32,
    candidate_ids_offset: u32,
    candidate_ids_stride: u32,
    target_ids_offset: u32,
    target_ids_stride: u32,
    mask_offset: u32,
    mask_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> slice: array<u32>;
@group(0) @binding(3) var<storage, read> items: array<u32>;
@group(0) @binding(4) var<storage, read> candidate_ids: array<u32>;
@group(0) @binding(5) var<storage, read> target_ids: array<u32>;
@group(0) @binding(6) var<storage, read_write> mask: array<u32>;

fn item(place: u32) -> u32 {
    return items[params.items_offset + place * params.items_stride];
}

// Does `id` stand in items[start .. end]?
fn is_in(start: u32, end: u32, id: u32) -> bool {
    var low = start;
    var high = end;
    while low < high {
        let middle = low + (high - low) / 2u;
        if item(middle) < id {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    if low >= end {
        return false;
    }
    return item(low) == id;
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let word = (group.y * groups.x + group.x) * WG + lane;
    let words = (params.candidates + 31u) / 32u;
    if word >= params.rows * words {
        return;
    }
    let row = word / words;
    let first = word % words * 32u;
    let slice_at = params.slice_offset + row * params.slice_stride;
    let start = slice[slice_at];
    let length = slice[slice_at + 1u];
    let end = start + select(0u, length, start <= params.items_rows && length <= params.items_rows - start);
    let goal = target_ids[params.target_ids_offset + row * params.target_ids_stride];
    var bits = 0u;
    for (var j = first; j < min(first + 32u, params.candidates); j += 1u) {
        let id = candidate_ids[params.candidate_ids_offset + j * params.candidate_ids_stride];
        if id != goal && is_in(start, end, id) {
            bits |= 1u << (j - first);
        }
    }
    mask[params.mask_offset + row * params.mask_stride + first / 32u] = bits;
}
