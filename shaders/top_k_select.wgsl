// top_k_select: the k largest keys of each query, best first, ties in ascending item.
//
//   four passes of a radix select find the k-th largest key; what lies above it, and the first items that equal it, are
//   collected in order of items; each counts how many come before it, which is its place
//
// shapes    keys [queries, items] u32 without gaps, 0 = never listed | chosen [queries, k, 2] u32 | value [queries, k] f32 |
//           id [queries, k] u32; offsets and strides in words
// launch    one workgroup of 256 lanes per query
// writes    every cell of value and id once (id 0xffffffff and value -1e30 where no item is left)
// sums      integers alone; counts by atomics, whose order is not used
// cost      reads 5 * items words and k * k / 256 pairs a lane. Weak spot: large k.
// twin      crates/rt-kernels/src/kernels/top_k.rs

struct Params {
    queries: u32,
    items: u32,
    k: u32,
    first: u32,
    value_offset: u32,
    value_stride: u32,
    id_offset: u32,
    id_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> keys: array<u32>;
@group(0) @binding(3) var<storage, read_write> chosen: array<u32>;
@group(0) @binding(4) var<storage, read_write> value: array<f32>;
@group(0) @binding(5) var<storage, read_write> id: array<u32>;

const LANES: u32 = 256u;
var<workgroup> histogram: array<atomic<u32>, 256>;
var<workgroup> scan: array<u32, 256>;
var<workgroup> prefix: u32;
var<workgroup> wanted: u32;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let query = group.y * groups.x + group.x;
    let inside = query < params.queries;
    let from_word = select(0u, query * params.items, inside);
    if lane == 0u {
        prefix = 0u;
        wanted = params.k;
    }
    workgroupBarrier();
    for (var turn = 0u; turn < 4u; turn += 1u) {
        let shift = 24u - 8u * turn;
        atomicStore(&histogram[lane], 0u);
        workgroupBarrier();
        for (var c = lane; c < params.items; c += LANES) {
            let key = keys[from_word + c];
            // In two shifts: one by 32 is not defined, and the first pass has no digits above it.
            if (key >> shift) >> 8u == (prefix >> shift) >> 8u {
                atomicAdd(&histogram[(key >> shift) & 255u], 1u);
            }
        }
        workgroupBarrier();
        if lane == 0u {
            var left = wanted;
            var digit = 255u;
            loop {
                let count = atomicLoad(&histogram[digit]);
                if count >= left || digit == 0u {
                    break;
                }
                left -= count;
                digit -= 1u;
            }
            prefix |= digit << shift;
            wanted = left;
        }
        workgroupBarrier();
    }
    // The k-th largest key, and how many that equal it are taken.
    let threshold = prefix;
    let ties = wanted;
    var above_before = 0u;
    var equal_before = 0u;
    for (var start = 0u; start < params.items; start += LANES) {
        let c = start + lane;
        var key = 0u;
        if c < params.items {
            key = keys[from_word + c];
        }
        let above = u32(key > threshold);
        let equal = u32(key == threshold && key != 0u);
        scan[lane] = above + (equal << 16u);
        workgroupBarrier();
        for (var width = 1u; width < LANES; width *= 2u) {
            var left = 0u;
            if lane >= width {
                left = scan[lane - width];
            }
            workgroupBarrier();
            scan[lane] += left;
            workgroupBarrier();
        }
        let before = scan[lane] - above - (equal << 16u);
        let rank_above = above_before + (before & 0xffffu);
        let rank_equal = equal_before + (before >> 16u);
        let taken = above == 1u || (equal == 1u && rank_equal < ties);
        let place = rank_above + min(rank_equal, ties);
        if taken && inside && place < params.k {
            let slot = (query * params.k + place) * 2u;
            chosen[slot] = key;
            chosen[slot + 1u] = c + params.first;
        }
        let total = scan[LANES - 1u];
        above_before += total & 0xffffu;
        equal_before += total >> 16u;
        workgroupBarrier();
    }
    storageBarrier();
    workgroupBarrier();
    if !inside {
        return;
    }
    let count = min(above_before + min(equal_before, ties), params.k);
    for (var j = lane; j < params.k; j += LANES) {
        if j < count {
            let slot = (query * params.k + j) * 2u;
            let key = chosen[slot];
            let item = chosen[slot + 1u];
            var rank = 0u;
            for (var other = 0u; other < count; other += 1u) {
                let place = (query * params.k + other) * 2u;
                let key_other = chosen[place];
                rank += u32(key_other > key || (key_other == key && chosen[place + 1u] < item));
            }
            let bits = select(~key, key & 0x7fffffffu, (key & 0x80000000u) != 0u);
            value[params.value_offset + query * params.value_stride + rank] = bitcast<f32>(bits);
            id[params.id_offset + query * params.id_stride + rank] = item;
        } else {
            value[params.value_offset + query * params.value_stride + j] = -1e30;
            id[params.id_offset + query * params.id_stride + j] = 0xffffffffu;
        }
    }
}
