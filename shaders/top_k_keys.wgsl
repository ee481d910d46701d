// top_k_keys: scores as integers in the same order.
//
//   key = bits with the sign flipped if positive, all bits flipped if negative; 0 for NaN and minus infinity, which are
//   never listed
//
// shapes    scores [queries, items], the words of f32: floats may be assumed to be finite, words may not | keys [queries, items] u32 without gaps; offset and stride in words
// launch    one invocation per score
// writes    every key once
// sums      none
// cost      moves 2 * queries * items words
// twin      crates/rt-kernels/src/kernels/top_k.rs

override WG: u32 = 64u;

struct Params {
    queries: u32,
    items: u32,
    scores_offset: u32,
    scores_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> scores: array<u32>;
@group(0) @binding(3) var<storage, read_write> keys: array<u32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    if cell >= params.queries * params.items {
        return;
    }
    var bits = scores[params.scores_offset + cell / params.items * params.scores_stride + cell % params.items];
    bits = select(bits, 0u, bits == 0x80000000u); // -0 ties with 0
    let listed = (bits & 0x7fffffffu) <= 0x7f800000u && bits != 0xff800000u;
    let key = select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
    keys[cell] = select(0u, key, listed);
}
