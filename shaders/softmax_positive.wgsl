// softmax_positive: the logit of each row's positive, corrected or not, and which candidate it is.
//
//   z_i = scale * u_i . v_pos (or own_i), less logq where the positive is corrected too
//
// shapes    u, own [rows, dim] f32 | v [candidates, dim] f32 | label [rows] u32 | logq [candidates], own_logq [rows] f32 |
//           info [rows, 4] u32; offsets and strides in words
// launch    one invocation per row
// writes    words 0 and 1 of each row's info once
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
    flags: u32, // 1 logq is there, 2 hits are masked, 4 the positive is corrected too, 8 own_logq is there
    u_offset: u32,
    u_stride: u32,
    v_offset: u32,
    v_stride: u32,
    label_offset: u32,
    label_stride: u32,
    own_offset: u32,
    own_stride: u32,
    logq_offset: u32,
    logq_stride: u32,
    own_logq_offset: u32,
    own_logq_stride: u32,
}

// info: four words a row: the positive's logit (f32), its candidate or NONE, log-sum-exp (f32), weight (f32)
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> u: array<f32>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read> label: array<u32>;
@group(0) @binding(5) var<storage, read> own: array<f32>;
@group(0) @binding(6) var<storage, read> logq: array<f32>;
@group(0) @binding(7) var<storage, read> own_logq: array<f32>;
@group(0) @binding(8) var<storage, read_write> info: array<u32>;

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
    }
    let from_u = params.u_offset + row * params.u_stride;
    var sum = 0.0;
    if POSITIVE == 2u {
        let from_own = params.own_offset + row * params.own_stride;
        for (var c = 0u; c < params.dim; c += 1u) {
            sum += u[from_u + c] * own[from_own + c];
        }
    } else {
        let from_v = params.v_offset + candidate * params.v_stride;
        for (var c = 0u; c < params.dim; c += 1u) {
            sum += u[from_u + c] * v[from_v + c];
        }
    }
    var z = params.scale * sum;
    if (params.flags & 4u) != 0u {
        if POSITIVE == 2u {
            if (params.flags & 8u) != 0u {
                z -= own_logq[params.own_logq_offset + row * params.own_logq_stride];
            }
        } else if (params.flags & 1u) != 0u {
            let q = logq[params.logq_offset + candidate * params.logq_stride];
            z -= select(0.0, q, q < 1e29);
        }
    }
    info[row * 4u] = bitcast<u32>(z);
    info[row * 4u + 1u] = candidate;
}
