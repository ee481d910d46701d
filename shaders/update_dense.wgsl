// update_dense: updates of dense parameters, all of them in one arena.
//
//   w *= max(1 - lr weight_decay, 0), then by rule
//   0 SGD      w -= lr g
//   1 Adagrad  a += g^2; w -= lr g / (sqrt(a) + eps)
//   2 Adam     m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= lr (m bias1) / (sqrt(v bias2) + eps)
//
// then, where AVERAGE says so, the moving average: average = w + d (average - w), d = min(decay, (step - 1) / (step + 9))
//
// shapes    grads, weights, state1, state2, average [n, 1] f32; offsets and strides in words
// launch    one invocation per parameter
// writes    every cell of weights, of the rule's states and of the average once, in place
// sums      none
// cost      moves up to 9 * n words
// twin      crates/rt-kernels/src/kernels/update_dense.rs

override WG: u32 = 64u;
override RULE: u32 = 2u;
override AVERAGE: bool = false;

struct Params {
    n: u32,
    beta1: f32,
    beta2: f32,
    eps: f32,
    weight_decay: f32,
    ema_decay: f32,
    ema_ln: f32,
    ema_warm: u32, // the last step whose d is below ema_decay
    grads_offset: u32,
    grads_stride: u32,
    weights_offset: u32,
    weights_stride: u32,
    state1_offset: u32,
    state1_stride: u32,
    state2_offset: u32,
    state2_stride: u32,
    average_offset: u32,
    average_stride: u32,
}

struct Step {
    step: u32,
    offset: u32,
    valid: u32,
    seed_lo: u32,
    seed_hi: u32,
    lr: f32,
    lr_rows: f32,
    bias1: f32,
    bias2: f32,
    inv_valid: f32,
    ln_negatives: f32,
    bias1_rows: f32,
    bias2_rows: f32,
    reserved_0: u32,
    reserved_1: u32,
    reserved_2: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> grads: array<f32>;
@group(0) @binding(3) var<storage, read_write> weights: array<f32>;
@group(0) @binding(4) var<storage, read_write> state1: array<f32>;
@group(0) @binding(5) var<storage, read_write> state2: array<f32>;
@group(0) @binding(6) var<storage, read_write> average: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * WG + lane;
    if i >= params.n {
        return;
    }
    let g = grads[params.grads_offset + i * params.grads_stride];
    var w = weights[params.weights_offset + i * params.weights_stride] * max(1.0 - step.lr * params.weight_decay, 0.0);
    if RULE == 0u {
        w -= step.lr * g;
    } else if RULE == 1u {
        let a = state1[params.state1_offset + i * params.state1_stride] + g * g;
        state1[params.state1_offset + i * params.state1_stride] = a;
        w -= step.lr * g / (sqrt(a) + params.eps);
    } else {
        let m = params.beta1 * state1[params.state1_offset + i * params.state1_stride] + (1.0 - params.beta1) * g;
        let v = params.beta2 * state2[params.state2_offset + i * params.state2_stride] + (1.0 - params.beta2) * (g * g);
        state1[params.state1_offset + i * params.state1_stride] = m;
        state2[params.state2_offset + i * params.state2_stride] = v;
        w -= step.lr * (m * step.bias1) / (sqrt(v * step.bias2) + params.eps);
    }
    weights[params.weights_offset + i * params.weights_stride] = w;
    if AVERAGE {
        let s = f32(step.step);
        let stays = select(params.ema_decay, (s - 1.0) / (s + 9.0), step.step <= params.ema_warm);
        let place = params.average_offset + i * params.average_stride;
        average[place] = w + stays * (average[place] - w);
    }
}
