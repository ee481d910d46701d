// history_ids: history slices written out, ids by row and position.
//
//   ids[i * history + k] = items[start_i + len_i - 1 - k], k from the newest; 0 where k is past the slice, or not kept
//
// Kept as in bag.wgsl: its mask bit is set (positions past the mask are). The row's hole has no position: items before it move up by
// one, their mask bits stay with their positions in the slice, of which the newest `history` count.
//
// shapes    items [any] u32 | slice [rows, 2] u32 (start, length) | mask [rows, mask_words] u32 | hole [rows] u32 (a place
//           in items) | ids [rows * history] u32; offsets and strides in words
// expects   nothing: a slice that does not lie in items is empty
// launch    one invocation per (row, position)
// writes    every word of ids once
// sums      none
// cost      moves 2 * rows * (history + 1) words
// twin      crates/rt-kernels/src/kernels/history_ids.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    history: u32,
    mask_words: u32, // 0: no mask
    has_hole: u32,
    items_rows: u32,
    items_offset: u32,
    items_stride: u32,
    slice_offset: u32,
    slice_stride: u32,
    mask_offset: u32,
    mask_stride: u32,
    hole_offset: u32,
    hole_stride: u32,
    ids_offset: u32,
    ids_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> items: array<u32>;
@group(0) @binding(3) var<storage, read> slice: array<u32>;
@group(0) @binding(4) var<storage, read> mask: array<u32>;
@group(0) @binding(5) var<storage, read> holes: array<u32>;
@group(0) @binding(6) var<storage, read_write> ids: array<u32>;

// The mask bit of a position; positions past the mask are kept.
fn bit(row: u32, k: u32) -> bool {
    let word = k / 32u;
    if word >= params.mask_words {
        return true;
    }
    return ((mask[params.mask_offset + row * params.mask_stride + word] >> (k % 32u)) & 1u) == 1u;
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    if cell >= params.rows * params.history {
        return;
    }
    let row = cell / params.history;
    let k = cell % params.history;
    let start = slice[params.slice_offset + row * params.slice_stride];
    var len = slice[params.slice_offset + row * params.slice_stride + 1u];
    len = select(0u, len, start <= params.items_rows && len <= params.items_rows - start);
    let newest = start + len - 1u;
    var hole = 0xFFFFFFFFu;
    if params.has_hole != 0u {
        // A position; a place behind the slice wraps to one past it.
        hole = newest - holes[params.hole_offset + row * params.hole_stride];
    }
    let at = k + select(0u, 1u, k >= hole);
    var id = 0u;
    if at < min(len, params.history) && bit(row, at) {
        id = items[params.items_offset + (newest - at) * params.items_stride];
    }
    ids[params.ids_offset + cell * params.ids_stride] = id;
}
