// ema_seen: marks the rows that a step touches: their averages hold all steps before this one.
//
//   seen[id] = step
//
// shapes    keys, first u32 (the output of group) | seen [any] f32; offsets and strides in words
// launch    one invocation per distinct id for the worst case; those past the count return
// writes    the touched rows of seen once
// sums      none
// cost      two words a distinct id
// twin      crates/rt-kernels/src/kernels/average.rs

override WG: u32 = 64u;

struct Params {
    capacity: u32,
    table: u32,
    base: u32,
    reserved: u32,
    keys_offset: u32,
    keys_stride: u32,
    first_offset: u32,
    first_stride: u32,
    seen_offset: u32,
    seen_stride: u32,
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
@group(0) @binding(2) var<storage, read> keys: array<u32>;
@group(0) @binding(3) var<storage, read> first: array<u32>;
@group(0) @binding(4) var<storage, read_write> seen: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let k = (group.y * groups.x + group.x) * WG + lane;
    if k >= params.capacity {
        return;
    }
    let segment = first[params.first_offset + params.table * params.first_stride] + k;
    if segment >= first[params.first_offset + (params.table + 1u) * params.first_stride] {
        return; // the grid is the worst case
    }
    let id = keys[params.keys_offset + segment * params.keys_stride] - params.base;
    seen[params.seen_offset + id * params.seen_stride] = f32(step.step);
}
