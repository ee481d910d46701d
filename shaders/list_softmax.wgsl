// list_softmax: softmax cross-entropy over a row's own list, the positive in column 0.
//
//   z' = z - logq (for the positive only with that flag), masked where a negative has the positive's id
//   loss_i = weight_i * (logsumexp_j z'_ij - z'_i0); dz_ij = weight_i * (p_ij - [j = 0])
//
// shapes    z, logq, dz [rows, n] f32 | ids [rows, n] u32 | weight, loss [rows] f32; offsets and strides in words
// launch    one invocation per row
// writes    every cell of loss and dz once
// sums      ascending j in one f32
// cost      reads rows * n words three times. Weak spot: neighbouring lanes read n words apart.
// twin      crates/rt-kernels/src/kernels/list_softmax.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    n: u32,
    flags: u32, // 1 mask hits, 2 logq is there, 4 the positive is corrected too, 8 dz is wanted
    smoothing: f32,
    z_offset: u32,
    z_stride: u32,
    weight_offset: u32,
    weight_stride: u32,
    ids_offset: u32,
    ids_stride: u32,
    logq_offset: u32,
    logq_stride: u32,
    loss_offset: u32,
    loss_stride: u32,
    dz_offset: u32,
    dz_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> z: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> ids: array<u32>;
@group(0) @binding(5) var<storage, read> logq: array<f32>;
@group(0) @binding(6) var<storage, read_write> loss: array<f32>;
@group(0) @binding(7) var<storage, read_write> dz: array<f32>;

const MASKED: f32 = -1e30;

// By its bits: compilers may take comparisons of floats to be between numbers.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// exp(difference), NaN if it is.
fn share(difference: f32) -> f32 {
    return select(exp(difference), difference, is_nan(difference));
}

fn logit(row: u32, j: u32) -> f32 {
    var value = z[params.z_offset + row * params.z_stride + j];
    if (params.flags & 2u) != 0u && (j > 0u || (params.flags & 4u) != 0u) {
        value -= logq[params.logq_offset + row * params.logq_stride + j];
    }
    if (params.flags & 1u) != 0u && j > 0u {
        let place = params.ids_offset + row * params.ids_stride;
        value = select(value, MASKED, ids[place + j] == ids[place]);
    }
    return value;
}

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
    var largest = MASKED;
    for (var j = 0u; j < params.n; j += 1u) {
        largest = max(largest, logit(row, j));
    }
    var sum = 0.0;
    for (var j = 0u; j < params.n; j += 1u) {
        sum += share(logit(row, j) - largest);
    }
    let w = weight[params.weight_offset + row * params.weight_stride];
    var kept = 1.0;
    var spread = 0.0;
    var mean = 0.0;
    if params.smoothing > 0.0 {
        var count = 0.0;
        for (var j = 0u; j < params.n; j += 1u) {
            let value = logit(row, j);
            mean += select(0.0, value, value > MASKED);
            count += select(0.0, 1.0, value > MASKED);
        }
        kept = 1.0 - params.smoothing;
        spread = params.smoothing / count;
        mean /= count;
    }
    loss[params.loss_offset + row * params.loss_stride] =
        w * (largest + log(sum) - kept * logit(row, 0u) - params.smoothing * mean);
    if (params.flags & 8u) == 0u {
        return;
    }
    for (var j = 0u; j < params.n; j += 1u) {
        let value = logit(row, j);
        let p = share(value - largest) / sum;
        let target_share = select(0.0, spread, value > MASKED) + select(0.0, kept, j == 0u);
        dz[params.dz_offset + row * params.dz_stride + j] = w * (p - target_share);
    }
}
