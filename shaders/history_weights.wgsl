// history_weights: weights of history positions, a softmax over those that are kept (whose id is not 0).
//
//   w[i, h * history + k] = exp(s_hk - max) / sum over kept j of exp(s_hj - max); 0 where k is not kept
//   s_hk = param[h * history + k], with decay -exp(param[h]) * gaps[i, k]
//
// shapes    ids [rows * history] u32 | param [heads * history] f32, with decay [heads] | gaps [rows, history] f32 | w
//           [rows, heads * history] f32; offsets and strides in words
// launch    one invocation per (row, head)
// writes    every cell of w once
// sums      newest to oldest in one f32
// cost      moves rows * history * (1 + heads) words, reads them three times. Weak spot: neighbouring lanes read and write
//           history words apart.
// twin      crates/rt-kernels/src/kernels/history_weights.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    history: u32,
    heads: u32,
    decay: u32,
    ids_offset: u32,
    ids_stride: u32,
    param_offset: u32,
    param_stride: u32,
    gaps_offset: u32,
    gaps_stride: u32,
    w_offset: u32,
    w_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> ids: array<u32>;
@group(0) @binding(3) var<storage, read> learned: array<f32>;
@group(0) @binding(4) var<storage, read> gaps: array<f32>;
@group(0) @binding(5) var<storage, read_write> w: array<f32>;

fn kept(row: u32, k: u32) -> bool {
    return ids[params.ids_offset + (row * params.history + k) * params.ids_stride] != 0u;
}

// By its bits: compilers may take comparisons of floats to be between numbers.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// exp(difference), NaN if it is.
fn share(difference: f32) -> f32 {
    return select(exp(difference), difference, is_nan(difference));
}

fn score(row: u32, head: u32, k: u32) -> f32 {
    if params.decay != 0u {
        return -exp(learned[params.param_offset + head]) * gaps[params.gaps_offset + row * params.gaps_stride + k];
    }
    return learned[params.param_offset + head * params.history + k];
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    if cell >= params.rows * params.heads {
        return;
    }
    let row = cell / params.heads;
    let head = cell % params.heads;
    var largest = -1e30;
    for (var k = 0u; k < params.history; k += 1u) {
        if kept(row, k) {
            largest = max(largest, score(row, head, k));
        }
    }
    var sum = 0.0;
    for (var k = 0u; k < params.history; k += 1u) {
        if kept(row, k) {
            sum += share(score(row, head, k) - largest);
        }
    }
    for (var k = 0u; k < params.history; k += 1u) {
        var weight = 0.0;
        if kept(row, k) {
            weight = share(score(row, head, k) - largest) / sum;
        }
        w[params.w_offset + row * params.w_stride + head * params.history + k] = weight;
    }
}
