// bag: pooled rows of history slices, several windows in one pass.
//
//   out[i, y * apart + c] = sum over kept positions k < min(ends[y], len_i) of table[items[start_i + len_i - 1 - k], c]
//                         (* 1 / number of kept positions with mean; 0 if there is none)
//
// With zones the positions of y start at ends[y - 1] instead of 0: no two overlap. A hole in the slice has no position there: past
// it k - 1 is compared with the ends, so that a window holds as many items as without one. No position is past max_len.
//
// A position is kept if its mask bit is set (positions past the mask are), it is not the row's hole and its id is not 0 and a row of
// the table. A slice that does not lie in items is empty.
//
// shapes    table [any, dim] f32 | items [any] u32 | slice [rows, 2] u32 (start, length) | mask [rows, mask_words] u32 |
//           hole [rows] u32 (a place in items) | out [rows, (windows - 1) * apart + dim] f32: apart is dim, and more
//           where the table is one slab of columns
// expects   ends ascend, at most 16
// launch    one invocation per (row, column); neighbouring lanes take neighbouring columns
// writes    the dim cells of each window once
// sums      newest to oldest in one running f32 a column, written out at each window's end
// cost      reads rows * positions * (dim + 1) words, writes rows * windows * dim. Weak spot: rows of very different
//           lengths in one workgroup wait for the longest; the lanes of a row all read the same ids (a broadcast).
// twin      crates/rt-kernels/src/kernels/bag.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    dim: u32,
    windows: u32,
    mean: u32,
    mask_words: u32, // 0: no mask
    has_hole: u32,
    items_rows: u32,
    vocab: u32,
    items_offset: u32,
    items_stride: u32,
    slice_offset: u32,
    slice_stride: u32,
    mask_offset: u32,
    mask_stride: u32,
    hole_offset: u32,
    hole_stride: u32,
    table_offset: u32,
    table_stride: u32,
    out_offset: u32,
    out_stride: u32,
    apart: u32, // columns from one window's first to the next one's
    zones: u32, // 1: sum and count start anew after each window
    max_len: u32, // positions of a slice that count
    reserved_0: u32,
    ends: array<vec4<u32>, 4>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> table: array<f32>;
@group(0) @binding(3) var<storage, read> items: array<u32>;
@group(0) @binding(4) var<storage, read> slice: array<u32>;
@group(0) @binding(5) var<storage, read> mask: array<u32>;
@group(0) @binding(6) var<storage, read> holes: array<u32>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;

// True if position k (from the newest) of a row counts: its mask bit is set or lies past the mask, it is not the hole.
fn kept(row: u32, k: u32, hole: u32) -> bool {
    if k == hole {
        return false;
    }
    let word = k / 32u;
    if word >= params.mask_words {
        return true;
    }
    return ((mask[params.mask_offset + row * params.mask_stride + word] >> (k % 32u)) & 1u) == 1u;
}

// Positions that the last `items` items of `len` positions span, the hole not counted among them.
fn span(items: u32, len: u32, hole: u32) -> u32 {
    let positions = min(len, items);
    return positions + select(0u, 1u, hole < positions && positions < len);
}

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
    let row = cell / params.dim;
    let column = cell % params.dim;
    let start = slice[params.slice_offset + row * params.slice_stride];
    var len = slice[params.slice_offset + row * params.slice_stride + 1u];
    len = select(0u, len, start <= params.items_rows && len <= params.items_rows - start);
    let newest = start + len - 1u;
    len = min(len, params.max_len);
    var hole = 0xFFFFFFFFu;
    if params.has_hole != 0u {
        // A position; a place behind the slice wraps to one past it.
        hole = newest - holes[params.hole_offset + row * params.hole_stride];
    }
    var sum = 0.0;
    var count = 0u;
    var k = 0u;
    for (var y = 0u; y < params.windows; y += 1u) {
        if params.zones != 0u {
            sum = 0.0;
            count = 0u;
        }
        let end = span(params.ends[y / 4u][y % 4u], len, hole);
        for (; k < end; k += 1u) {
            let id = items[params.items_offset + (newest - k) * params.items_stride];
            if id != 0u && id < params.vocab && kept(row, k, hole) {
                sum += table[params.table_offset + id * params.table_stride + column];
                count += 1u;
            }
        }
        var scale = 1.0;
        if params.mean != 0u && count > 0u {
            scale = 1.0 / f32(count);
        }
        out[params.out_offset + row * params.out_stride + y * params.apart + column] = sum * scale;
    }
}
