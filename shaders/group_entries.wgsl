// group_entries: the entries of several uses of tables, first dispatch of the grouping.
//
//   a column of ids:    pairs[entry + i] = (0 < ids[i] < rows ? base + ids[i] : 0, source + i)
//   slices of a bag:    pairs[entry + i * max_len + k] = (key of position k of row i, source + i * windows + zone(k))
//
// k counts from the newest; zone(k) is the first window that holds k, past the row's hole k - 1. The key is base + id, and null (0) past the slice or
// its last window, where the mask bit is not set, at the row's hole, for id 0 and for ids past the table; a slice that does not lie
// in items is empty.
//
// shapes    a .. f: the operands of the uses, u32; slots says which one is which: ids (or items [any]), slice [rows, 2]
//           (start, length), mask [rows, mask_words], hole [rows] | pairs [capacity] of (key, source row) u32
// expects   the uses' entries follow each other from the first one's on; ends ascend, at most 16; no slice is longer than
//           max_len
// launch    one invocation per entry of the uses
// writes    each pair of the uses once
// sums      none
// cost      reads at most 1 word a position, writes 2. Weak spots: short slices in a long max_len are null entries, which
//           the sort carries along; a lane looks for its use, 16 steps at most.
// twin      crates/rt-kernels/src/kernels/group/cpu.rs

override WG: u32 = 64u;

const USES: u32 = 16u;

struct Use {
    entry: u32,
    entries: u32,
    base: u32,
    source: u32,
    max_len: u32, // 0: a column of ids
    windows: u32,
    mask_words: u32, // 0: no mask
    has_hole: u32,
    rows: u32, // of the table
    items_rows: u32,
    reserved_0: u32,
    reserved_1: u32,
    // ids or items, slice, mask, hole
    slots: vec4<u32>,
    offsets: vec4<u32>,
    strides: vec4<u32>,
    ends: array<vec4<u32>, 4>,
}

struct Params {
    uses: u32,
    reserved_0: u32,
    reserved_1: u32,
    reserved_2: u32,
    list: array<Use, USES>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> a: array<u32>;
@group(0) @binding(3) var<storage, read> b: array<u32>;
@group(0) @binding(4) var<storage, read> c: array<u32>;
@group(0) @binding(5) var<storage, read> d: array<u32>;
@group(0) @binding(6) var<storage, read> e: array<u32>;
@group(0) @binding(7) var<storage, read> f: array<u32>;
@group(0) @binding(8) var<storage, read_write> pairs: array<vec2<u32>>;

fn word(slot: u32, at: u32) -> u32 {
    switch slot {
        case 0u: { return a[at]; }
        case 1u: { return b[at]; }
        case 2u: { return c[at]; }
        case 3u: { return d[at]; }
        case 4u: { return e[at]; }
        default: { return f[at]; }
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let entry = params.list[0].entry + (group.y * groups.x + group.x) * WG + lane;
    var u = 0u;
    while u < params.uses && entry >= params.list[u].entry + params.list[u].entries {
        u += 1u;
    }
    if u >= params.uses {
        return;
    }
    let slots = params.list[u].slots;
    let offsets = params.list[u].offsets;
    let strides = params.list[u].strides;
    let base = params.list[u].base;
    let i = entry - params.list[u].entry;
    let max_len = params.list[u].max_len;
    if max_len == 0u {
        let id = word(slots.x, offsets.x + i * strides.x);
        pairs[entry] = vec2(select(0u, base + id, id != 0u && id < params.list[u].rows), params.list[u].source + i);
        return;
    }
    let windows = params.list[u].windows;
    let row = i / max_len;
    let k = i % max_len;
    let start = word(slots.y, offsets.y + row * strides.y);
    var len = word(slots.y, offsets.y + row * strides.y + 1u);
    let items_rows = params.list[u].items_rows;
    len = select(0u, len, start <= items_rows && len <= items_rows - start);
    let newest = start + len - 1u;
    var hole = 0xFFFFFFFFu;
    if params.list[u].has_hole != 0u {
        // A position; a place behind the slice wraps to one past it.
        hole = newest - word(slots.w, offsets.w + row * strides.w);
    }
    let counted = k - select(0u, 1u, k > hole);
    var zone = 0u;
    while zone < windows && counted >= params.list[u].ends[zone / 4u][zone % 4u] {
        zone += 1u;
    }
    var key = 0u;
    if k < len && zone < windows {
        var kept = k != hole;
        if k / 32u < params.list[u].mask_words {
            let bits = word(slots.z, offsets.z + row * strides.z + k / 32u);
            kept = kept && ((bits >> (k % 32u)) & 1u) == 1u;
        }
        let id = word(slots.x, offsets.x + (newest - k) * strides.x);
        key = select(0u, base + id, kept && id != 0u && id < params.list[u].rows);
    }
    pairs[entry] = vec2(key, params.list[u].source + row * windows + zone);
}
