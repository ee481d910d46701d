// logq: how often each candidate is expected among the negatives, as a logarithm.
//
//   out[i] = table[ids[i]] + constant; for the batch's own targets + ln(valid - 1), and 1e30 from row `valid` on;
//   valid = the examples among the n of the step from `first` on; an id past the table has 0 in its place
//
// shapes    table [any] f32 | ids [n] u32 | out [n] f32; offsets and strides in words
// launch    one invocation per candidate
// writes    every cell of out once
// sums      none
// cost      moves 3 * n words
// twin      crates/rt-kernels/src/kernels/logq.rs

override WG: u32 = 64u;

struct Params {
    n: u32,
    in_batch: u32,
    constant: f32,
    first: u32,
    table_rows: u32,
    table_offset: u32,
    table_stride: u32,
    ids_offset: u32,
    ids_stride: u32,
    out_offset: u32,
    out_stride: u32,
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
@group(0) @binding(2) var<storage, read> table: array<f32>;
@group(0) @binding(3) var<storage, read> ids: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

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
    let id = ids[params.ids_offset + i * params.ids_stride];
    var value = params.constant;
    if id < params.table_rows {
        value = table[params.table_offset + id * params.table_stride] + params.constant;
    }
    let valid = min(step.valid - min(step.valid, params.first), params.n);
    let ln_negatives = select(log(f32(max(valid, 2u) - 1u)), step.ln_negatives, valid == step.valid);
    let in_batch = select(1e30, value + ln_negatives, i < valid);
    out[params.out_offset + i * params.out_stride] = select(value, in_batch, params.in_batch != 0u);
}
