// bag_backward: gradient rows of a bag, one for each zone of a slice.
//
//   zones[i * windows + z, :] = sum over windows y >= z of dout[i, y * dim ..] * scale_y
//   scale_y = 1, with mean 1 / (kept positions of window y), 0 if there is none
//
// With alone (a bag of zones, which do not overlap) it is dout[i, z * dim ..] * scale_z, counted in the zone.
//
// Zone z holds the positions from ends[z - 1] to ends[z]: all its items have this gradient. Counted and kept as in bag.wgsl, of a
// table of vocab rows.
//
// shapes    dout [rows, windows * dim] f32 | items [any] u32 | slice [rows, 2] u32 | mask [rows, mask_words] u32 |
//           hole [rows] u32 | zones [rows * windows, dim] f32
// expects   ends ascend, at most 16
// launch    one invocation per (row, column)
// writes    every cell of zones once
// sums      from the last window down to the zone's own, in one f32
// cost      reads and writes rows * windows * dim words and, with mean, reads rows * positions ids. Weak spot: every lane
//           of a row counts that row's positions again (the reads are a broadcast).
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
    dout_offset: u32,
    dout_stride: u32,
    zones_offset: u32,
    zones_stride: u32,
    alone: u32,
    max_len: u32, // positions of a slice that count
    reserved_0: u32,
    reserved_1: u32,
    ends: array<vec4<u32>, 4>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> dout: array<f32>;
@group(0) @binding(3) var<storage, read> items: array<u32>;
@group(0) @binding(4) var<storage, read> slice: array<u32>;
@group(0) @binding(5) var<storage, read> mask: array<u32>;
@group(0) @binding(6) var<storage, read> holes: array<u32>;
@group(0) @binding(7) var<storage, read_write> zones: array<f32>;

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
    var scale: array<f32, 16>;
    if params.mean != 0u {
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
        var count = 0u;
        var k = 0u;
        for (var y = 0u; y < params.windows; y += 1u) {
            if params.alone != 0u {
                count = 0u;
            }
            let end = span(params.ends[y / 4u][y % 4u], len, hole);
            for (; k < end; k += 1u) {
                let id = items[params.items_offset + (newest - k) * params.items_stride];
                if id != 0u && id < params.vocab && kept(row, k, hole) {
                    count += 1u;
                }
            }
            scale[y] = select(0.0, 1.0 / f32(max(count, 1u)), count > 0u);
        }
    } else {
        for (var y = 0u; y < params.windows; y += 1u) {
            scale[y] = 1.0;
        }
    }
    var sum = 0.0;
    for (var z = params.windows; z > 0u; z -= 1u) {
        let y = z - 1u;
        if params.alone != 0u {
            sum = 0.0;
        }
        sum = dout[params.dout_offset + row * params.dout_stride + y * params.dim + column] * scale[y] + sum;
        zones[params.zones_offset + (row * params.windows + y) * params.zones_stride + column] = sum;
    }
}
