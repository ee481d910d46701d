// softmax_rows: log-sum-exps from those of ranges of candidates, losses, and the weights beside them.
//
//   lse_i = ln(exp(z_i,pos) + sum over p of s_pi exp(m_pi))
//   loss_i = weight_i * (lse_i - (1 - smoothing) z_i,pos - smoothing mean_i), the mean over the candidates that count
//
// A row whose label is past the candidates has weight 0.
//
// shapes    weight, loss [rows] f32 | partial_sums [parts, rows, 2] f32, (m, s), with SMOOTHED [parts, rows, 4], (m, s, sum and number of logits) | info [rows, 6] u32; offsets and strides in words
// launch    one invocation per row
// writes    loss and words 2 to 4 of each row's info once
// sums      ascending part, the positive first
// cost      moves (5 + 2 * parts) * rows words
// twin      crates/rt-kernels/src/kernels/softmax_loss/cpu.rs

override WG: u32 = 64u;
// 1: the loss is smoothed
override SMOOTHED: u32 = 0u;
// 1: candidate label[i] is the positive
override POSITIVE: u32 = 0u;

struct Params {
    rows: u32,
    candidates: u32,
    dim: u32,
    scale: f32,
    flags: u32, // 1 logq is there, 2 hits are masked, 4 the positive is corrected too, 8 own_logq is there, 16 mask is there
    smoothing: f32,
    parts: u32,
    weight_offset: u32,
    weight_stride: u32,
    loss_offset: u32,
    loss_stride: u32,
}

// info: six words a row: the positive's logit (f32), its candidate or NONE, log-sum-exp (f32), weight (f32), the share of the target
// that smoothing gives to each candidate (f32), the target's id
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> partial_sums: array<f32>;
@group(0) @binding(4) var<storage, read_write> info: array<u32>;
@group(0) @binding(5) var<storage, read_write> loss: array<f32>;

const NONE: u32 = 0xffffffffu;
const NAN: u32 = 0x7fc00000u;

// By its bits: compilers may take comparisons of floats to be between numbers.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
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
    var w = weight[params.weight_offset + row * params.weight_stride];
    if POSITIVE == 1u && info[row * 6u + 1u] == NONE {
        w = 0.0; // its label is past the candidates
    }
    let positive = bitcast<f32>(info[row * 6u]);
    let width = select(2u, 4u, SMOOTHED != 0u);
    var top = positive;
    for (var p = 0u; p < params.parts; p += 1u) {
        top = max(top, partial_sums[(p * params.rows + row) * width]);
    }
    var sum = exp(max(positive - top, -80.0));
    for (var p = 0u; p < params.parts; p += 1u) {
        let place = (p * params.rows + row) * width;
        sum += partial_sums[place + 1u] * exp(max(partial_sums[place] - top, -80.0));
    }
    var lse = top + log(sum);
    var cost = top - positive + log(sum);
    // A NaN logit is in the sum. Maxima, exp and log may drop it; from here on it is the row's, and its factor's.
    let odd = is_nan(sum) || is_nan(positive);
    if odd {
        lse = select(sum, positive, is_nan(positive));
        cost = lse;
    }
    var spread = 0.0;
    if SMOOTHED != 0u {
        var total = positive;
        var count = 1.0;
        for (var p = 0u; p < params.parts; p += 1u) {
            let place = (p * params.rows + row) * width;
            total += partial_sums[place + 2u];
            count += partial_sums[place + 3u];
        }
        spread = params.smoothing / count;
        cost += params.smoothing * (positive - total / count);
    }
    loss[params.loss_offset + row * params.loss_stride] = w * cost;
    info[row * 6u + 2u] = bitcast<u32>(lse);
    info[row * 6u + 3u] = select(bitcast<u32>(w), NAN, odd);
    info[row * 6u + 4u] = bitcast<u32>(spread);
}
