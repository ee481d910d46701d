// stamp_rows: notes for each row that a step touches that its average is right up to the step before.
//
//   last[r] = step - 1
//
// shapes    keys, first u32 (of group) | last [any] f32; offsets and strides in words
// launch    one invocation per distinct id for the worst case; those past the count return
// writes    the cells of the touched rows once
// sums      none
// cost      2 words an id
// twin      crates/rt-kernels/src/kernels/average.rs

override WG: u32 = 64u;

struct Params {
    table: u32,
    base: u32,
    capacity: u32,
    keys_offset: u32,
    keys_stride: u32,
    first_offset: u32,
    first_stride: u32,
    last_offset: u32,
    last_stride: u32,
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
@group(0) @binding(4) var<storage, read_write> last: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let k = (group.y * groups.x + group.x) * WG + lane;
    let begin = first[params.first_offset + params.table * params.first_stride];
    let end = first[params.first_offset + (params.table + 1u) * params.first_stride];
    if k >= min(end - begin, params.capacity) {
        return; // the grid is the worst case
    }
    let row = keys[params.keys_offset + (begin + k) * params.keys_stride] - params.base;
    last[params.last_offset + row * params.last_stride] = f32(max(step.step, 1u) - 1u);
}
