// softmax_lse: running log-sum-exp over candidate tiles.
//
//   (m_i, s_i) with lse_i = m_i + ln s_i over the candidates that are neither masked nor the positive; with SMOOTHED the sum and
//   the number of their logits too
//
// shapes    u [rows, dim], v [candidates, dim] f32 | logq [candidates] f32 | candidate_ids [candidates] u32 |
//           mask [rows, ceil(candidates / 32)] u32, a bit is set where a candidate is left out | info [rows, 6] u32 |
//           partial_sums [parts, rows, 2] f32, with SMOOTHED [parts, rows, 4]; offsets and strides in words
// launch    a workgroup of 16 x 16 lanes for 64 rows and each of `parts` ranges of `span` candidates (a multiple of 64);
//           it walks over tiles of 64 candidates, of which a lane has 4 x 4 logits
// writes    every cell of partial_sums once
// sums      products over columns ascending in one f32; a lane keeps a running maximum and sum over its candidates,
//           ascending; the 16 lanes of a row are merged in order
// cost      2 * rows * candidates * dim operations; reads v once for 64 rows
// twin      crates/rt-kernels/src/kernels/softmax_loss/cpu.rs

// 1: sum and number of the logits are wanted
override SMOOTHED: u32 = 0u;

struct Params {
    rows: u32,
    candidates: u32,
    dim: u32,
    scale: f32,
    flags: u32, // 1 logq is there, 2 hits are masked, 4 the positive is corrected too, 8 own_logq is there, 16 mask is there
    smoothing: f32,
    parts: u32,
    span: u32,
    u_offset: u32,
    u_stride: u32,
    v_offset: u32,
    v_stride: u32,
    logq_offset: u32,
    logq_stride: u32,
    candidate_ids_offset: u32,
    candidate_ids_stride: u32,
    mask_offset: u32,
    mask_stride: u32,
}

// info: six words a row: the positive's logit (f32), its candidate or NONE, log-sum-exp (f32), weight (f32), the share of the target
// that smoothing gives to each candidate (f32), the target's id
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> u: array<f32>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read> logq: array<f32>;
@group(0) @binding(5) var<storage, read> candidate_ids: array<u32>;
@group(0) @binding(6) var<storage, read> mask: array<u32>;
@group(0) @binding(7) var<storage, read> info: array<u32>;
@group(0) @binding(8) var<storage, read_write> partial_sums: array<f32>;

const TILE: u32 = 64u;
const DEPTH: u32 = 16u;
const MASKED: f32 = -1e30;

// Word k * 16 + q holds rows (candidates) 4 q .. 4 q + 3 of the tile at column k.
var<workgroup> u_tile: array<vec4<f32>, 256>;
var<workgroup> v_tile: array<vec4<f32>, 256>;

fn read_u(row: u32, column: u32) -> f32 {
    var x = 0.0;
    if row < params.rows && column < params.dim {
        x = u[params.u_offset + row * params.u_stride + column];
    }
    return x;
}

fn read_v(candidate: u32, column: u32) -> f32 {
    var x = 0.0;
    if candidate < params.candidates && column < params.dim {
        x = v[params.v_offset + candidate * params.v_stride + column];
    }
    return x;
}

// Logits of four rows with one candidate, MASKED where it is left out, from their products and words of the mask.
fn logits(
    candidate: u32,
    products: vec4<f32>,
    positives: vec4<u32>,
    targets: vec4<u32>,
    masks: vec4<u32>,
) -> vec4<f32> {
    if candidate >= params.candidates {
        return vec4(MASKED);
    }
    var q = 0.0;
    if (params.flags & 1u) != 0u {
        q = logq[params.logq_offset + candidate * params.logq_stride];
    }
    let bit = (masks >> vec4(candidate % 32u)) & vec4(1u);
    var out = (positives == vec4(candidate)) | vec4(q >= 1e29) | (bit != vec4(0u));
    if (params.flags & 2u) != 0u {
        let id = candidate_ids[params.candidate_ids_offset + candidate * params.candidate_ids_stride];
        out = out | (targets == vec4(id));
    }
    return select(params.scale * products - q, vec4(MASKED), out);
}

// Words of the mask of four rows at a candidate.
fn mask_words(row: u32, candidate: u32) -> vec4<u32> {
    var words = vec4<u32>();
    if (params.flags & 16u) != 0u {
        let column = min(candidate, params.candidates - 1u) / 32u;
        for (var r = 0u; r < 4u; r += 1u) {
            words[r] = mask[params.mask_offset + min(row + r, params.rows - 1u) * params.mask_stride + column];
        }
    }
    return words;
}

// By their bits: compilers may take comparisons of floats to be between numbers.
fn are_nan(x: vec4<f32>) -> vec4<bool> {
    return (bitcast<vec4<u32>>(x) & vec4(0x7fffffffu)) > vec4(0x7f800000u);
}

// exp(z - top), exactly 0 where masked.
fn share(z: vec4<f32>, top: vec4<f32>) -> vec4<f32> {
    return select(exp(max(z - top, vec4(-80.0))), vec4(0.0), z <= vec4(-1e29));
}

// x, 0 where z is masked.
fn counted(z: vec4<f32>, x: vec4<f32>) -> vec4<f32> {
    return select(x, vec4(0.0), z <= vec4(-1e29));
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = group.y * groups.x + group.x;
    let tiles = (params.rows + TILE - 1u) / TILE;
    if number >= tiles * params.parts {
        return;
    }
    let part = number / tiles;
    let first_row = number % tiles * TILE;
    let end = min((part + 1u) * params.span, params.candidates);
    let x = lane % 16u;
    let y = lane / 16u;
    let row = first_row + 4u * y;
    var positives = vec4<u32>();
    var targets = vec4<u32>();
    for (var r = 0u; r < 4u; r += 1u) {
        let i = min(row + r, params.rows - 1u);
        positives[r] = info[i * 6u + 1u];
        if (params.flags & 2u) != 0u {
            targets[r] = info[i * 6u + 5u];
        }
    }
    var running = vec4(MASKED);
    var sum = vec4(0.0);
    var total = vec4(0.0);
    var number_of = vec4(0.0);
    var seen = vec4(0.0); // the maximum may drop NaN, a sum of all logits does not
    for (var first = part * params.span; first < end; first += TILE) {
        // c0 .. c3 hold the products of rows 4 y .. 4 y + 3 with candidates 4 x .. 4 x + 3.
        var c0 = vec4(0.0);
        var c1 = vec4(0.0);
        var c2 = vec4(0.0);
        var c3 = vec4(0.0);
        for (var depth = 0u; depth < params.dim; depth += DEPTH) {
            let r = first_row + 4u * y;
            let c = first + 4u * y;
            let k = depth + x; // neighbouring lanes read neighbouring columns
            u_tile[x * 16u + y] = vec4(read_u(r, k), read_u(r + 1u, k), read_u(r + 2u, k), read_u(r + 3u, k));
            v_tile[x * 16u + y] = vec4(read_v(c, k), read_v(c + 1u, k), read_v(c + 2u, k), read_v(c + 3u, k));
            workgroupBarrier();
            for (var i = 0u; i < DEPTH; i += 1u) {
                let a = u_tile[i * 16u + y];
                let b = v_tile[i * 16u + x];
                c0 += a * b.x;
                c1 += a * b.y;
                c2 += a * b.z;
                c3 += a * b.w;
            }
            workgroupBarrier();
        }
        let candidate = first + 4u * x;
        let masks = mask_words(row, candidate); // 4 x .. 4 x + 3 stand in one word
        let z0 = logits(candidate, c0, positives, targets, masks);
        let z1 = logits(candidate + 1u, c1, positives, targets, masks);
        let z2 = logits(candidate + 2u, c2, positives, targets, masks);
        let z3 = logits(candidate + 3u, c3, positives, targets, masks);
        seen += (z0 + z1) + (z2 + z3);
        let top = max(running, max(max(z0, z1), max(z2, z3)));
        sum = sum * exp(max(running - top, vec4(-80.0))) + share(z0, top) + share(z1, top) + share(z2, top)
            + share(z3, top);
        running = top;
        if SMOOTHED != 0u {
            total += counted(z0, z0) + counted(z1, z1) + counted(z2, z2) + counted(z3, z3);
            let one = vec4(1.0);
            number_of += counted(z0, one) + counted(z1, one) + counted(z2, one) + counted(z3, one);
        }
    }

    sum = select(sum, seen, are_nan(seen));
    let width = select(2u, 4u, SMOOTHED != 0u);
    u_tile[x * 16u + y] = running;
    v_tile[x * 16u + y] = sum;
    workgroupBarrier();
    if lane < 16u { // lane q merges rows 4 q .. 4 q + 3
        running = vec4(MASKED);
        sum = vec4(0.0);
        for (var l = 0u; l < 16u; l += 1u) {
            running = max(running, u_tile[l * 16u + lane]);
        }
        for (var l = 0u; l < 16u; l += 1u) {
            sum += v_tile[l * 16u + lane] * exp(max(u_tile[l * 16u + lane] - running, vec4(-80.0)));
        }
        for (var r = 0u; r < 4u; r += 1u) {
            let i = first_row + 4u * lane + r;
            if i < params.rows {
                partial_sums[(part * params.rows + i) * width] = running[r];
                partial_sums[(part * params.rows + i) * width + 1u] = sum[r];
            }
        }
    }
    if SMOOTHED == 0u {
        return;
    }
    workgroupBarrier();
    u_tile[x * 16u + y] = total;
    v_tile[x * 16u + y] = number_of;
    workgroupBarrier();
    if lane < 16u {
        total = vec4(0.0);
        number_of = vec4(0.0);
        for (var l = 0u; l < 16u; l += 1u) {
            total += u_tile[l * 16u + lane];
            number_of += v_tile[l * 16u + lane];
        }
        for (var r = 0u; r < 4u; r += 1u) {
            let i = first_row + 4u * lane + r;
            if i < params.rows {
                partial_sums[(part * params.rows + i) * width + 2u] = total[r];
                partial_sums[(part * params.rows + i) * width + 3u] = number_of[r];
            }
        }
    }
}
