// ema_dense: the moving average of dense parameters, after a step.
//
//   average = w + d (average - w), d = min(decay, (step - 1) / (step + 9))
//
// shapes    weights, average [n] f32; offsets and strides in words
// launch    one invocation per parameter
// writes    every cell of average once, in place
// sums      none
// cost      moves 3 * n words
// twin      crates/rt-kernels/src/kernels/average.rs

override WG: u32 = 64u;

struct Params {
    n: u32,
    decay: f32,
    ln_decay: f32,
    warm: u32, // the last step whose d is below decay
    weights_offset: u32,
    weights_stride: u32,
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
    reserved_0: u32,
    reserved_1: u32,
    reserved_2: u32,
    reserved_3: u32,
    reserved_4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> average: array<f32>;

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
    let s = f32(step.step);
    let stays = select(params.decay, (s - 1.0) / (s + 9.0), step.step <= params.warm);
    let w = weights[params.weights_offset + i * params.weights_stride];
    let place = params.average_offset + i * params.average_stride;
    average[place] = w + stays * (average[place] - w);
}
