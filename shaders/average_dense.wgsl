// average_dense: averages of the dense parameters, before a step moves them.
//
//   average[i] = w[i] + d (average[i] - w[i]), d = 1 in the first step, else decay
//
// shapes    weights, average [n] f32, without gaps; offsets in words
// launch    one invocation per parameter
// writes    every cell of average once, in place
// sums      none
// cost      3 * n words
// twin      crates/rt-kernels/src/kernels/average.rs

override WG: u32 = 64u;

struct Params {
    n: u32,
    decay: f32,
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
    let w = weights[params.weights_offset + i];
    let factor = select(1.0, params.decay, step.step > 1u);
    let at = params.average_offset + i;
    average[at] = w + factor * (average[at] - w);
}
