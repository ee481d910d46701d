// group_bag: the entries of the slices of a bag, first step of the grouping.
//
//   pairs[entry + i * max_len + k] = (key of position k of row i, source + i * windows + zone(k))
//
// k counts from the newest; zone(k) is the first window that holds k. The key is base + id, and null (0) past the slice or
// its last window, where the mask bit is not set, at the row's hole, and for id 0.
//
// shapes    items [any] u32 | slice [rows, 2] u32 (start, length) | mask [rows, mask_words] u32 | hole [rows] u32 |
//           pairs [capacity] of (key, source row) u32
// expects   ends ascend, at most 16; no slice is longer than max_len
// launch    one invocation per (row, position)
// writes    pairs[entry .. entry + rows * max_len], each once
// sums      none
// cost      reads at most 1 word a position, writes 2. Weak spot: short slices in a long max_len are null entries, which
//           the sort carries along.
// twin      crates/rt-kernels/src/kernels/group/cpu.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    max_len: u32,
    windows: u32,
    mask_words: u32, // 0: no mask
    has_hole: u32,
    base: u32,
    source: u32,
    entry: u32,
    items_offset: u32,
    items_stride: u32,
    slice_offset: u32,
    slice_stride: u32,
    mask_offset: u32,
    mask_stride: u32,
    hole_offset: u32,
    hole_stride: u32,
    ends: array<vec4<u32>, 4>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> items: array<u32>;
@group(0) @binding(3) var<storage, read> slice: array<u32>;
@group(0) @binding(4) var<storage, read> mask: array<u32>;
@group(0) @binding(5) var<storage, read> holes: array<u32>;
@group(0) @binding(6) var<storage, read_write> pairs: array<vec2<u32>>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let e = (group.y * groups.x + group.x) * WG + lane;
    if e >= params.rows * params.max_len {
        return;
    }
    let row = e / params.max_len;
    let k = e % params.max_len;
    let start = slice[params.slice_offset + row * params.slice_stride];
    let len = slice[params.slice_offset + row * params.slice_stride + 1u];
    var zone = 0u;
    while zone < params.windows && k >= params.ends[zone / 4u][zone % 4u] {
        zone += 1u;
    }
    var key = 0u;
    if k < len && zone < params.windows {
        let place = start + len - 1u - k;
        var kept = true;
        if params.has_hole != 0u {
            kept = place != holes[params.hole_offset + row * params.hole_stride];
        }
        if k / 32u < params.mask_words {
            let word = mask[params.mask_offset + row * params.mask_stride + k / 32u];
            kept = kept && ((word >> (k % 32u)) & 1u) == 1u;
        }
        let id = items[params.items_offset + place * params.items_stride];
        key = select(0u, params.base + id, kept && id != 0u);
    }
    pairs[params.entry + e] = vec2(key, params.source + row * params.windows + zone);
}
