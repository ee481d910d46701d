// softmax_positive: the logit of each row's positive, corrected or not, and which candidate it is.
//
//   z_i = scale * u_i . v_pos (or own_i), less logq where the positive is corrected too
//
// A label past the candidates is NONE.
//
// shapes    u [rows, dim] f32 | vectors [candidates, dim] f32, or [rows, dim] where a row has a vector of its own | logq [candidates]
//           or [rows] f32 likewise | label, target_ids [rows] u32 | info [rows, 6] u32; offsets and strides in words
// launch    one invocation per row
// writes    words 0, 1 and 5 of each row's info once
// sums      columns ascending in one f32
// cost      reads 2 * rows * dim words. Weak spot: neighbouring lanes read a row apart; it is a small part of the loss.
// twin      crates/rt-kernels/src/kernels/softmax_loss/cpu.rs

override WG: u32 = 64u;
// 0 candidate i, 1 candidate label[i], 2 a vector of its own
override POSITIVE: u32 = 0u;

struct Params {
    rows: u32,
    candidates: u32,
    dim: u32,
    scale: f32,
    flags: u32, // 1 logq is there, 2 hits are masked, 4 the positive is corrected too, 8 own_logq is there, 16 mask is there
    smoothing: f32,
    u_offset: u32,
    u_stride: u32,
    vectors_offset: u32,
    vectors_stride: u32,
    logq_offset: u32,
    logq_stride: u32,
    label_offset: u32,
    label_stride: u32,
    target_ids_offset: u32,
    target_ids_stride: u32,
}

// info: six words a row: the positive's logit (f32), its candidate or NONE, log-sum-exp (f32), weight (f32), the share of the target
// that smoothing gives to each candidate (f32), the target's id
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> u: array<f32>;
@group(0) @binding(3) var<storage, read> vectors: array<f32>;
@group(0) @binding(4) var<storage, read> logq: array<f32>;
@group(0) @binding(5) var<storage, read> label: array<u32>;
@group(0) @binding(6) var<storage, read> target_ids: array<u32>;
@group(0) @binding(7) var<storage, read_write> info: array<u32>;

const NONE: u32 = 0xffffffffu;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = (group.y * groups.x + group.x) * WG + lane;
    if row >= params.rows {
        return;
    }
    var candidate = NONE;
    if POSITIVE == 0u {
        candidate = row;
    } else if POSITIVE == 1u {
        candidate = label[params.label_offset + row * params.label_stride];
        candidate = select(NONE, candidate, candidate < params.candidates);
    }
    let from_u = params.u_offset + row * params.u_stride;
    let place = select(candidate, row, POSITIVE == 2u);
    let from_vector = params.vectors_offset + place * params.vectors_stride;
    var sum = 0.0;
    // A label past the candidates is none: the row's weight will be 0.
    let dim = select(params.dim, 0u, POSITIVE == 1u && candidate == NONE);
    for (var c = 0u; c < dim; c += 1u) {
        sum += u[from_u + c] * vectors[from_vector + c];
    }
    var z = params.scale * sum;
    let corrections = select(1u, 8u, POSITIVE == 2u);
    if (params.flags & 4u) != 0u && (params.flags & corrections) != 0u && (POSITIVE != 1u || candidate != NONE) {
        let q = logq[params.logq_offset + place * params.logq_stride];
        z -= select(0.0, q, q < 1e29);
    }
    info[row * 6u] = bitcast<u32>(z);
    info[row * 6u + 1u] = candidate;
    var id = 0u;
    if (params.flags & 2u) != 0u {
        id = target_ids[params.target_ids_offset + row * params.target_ids_stride];
    }
    info[row * 6u + 5u] = id;
}
