// candidate_logq: how often each candidate of a mixed pool is expected among the negatives, as a logarithm.
//
//   out[i] = ln((T + D - 1) (T table[ids[i]] + D / N) / (T + D)), T = valid + filled places of the queue, D = drawn, N = catalogue;
//   1e30 for rows of the batch from `valid` on, for places of the queue whose id is 0 and for ids past the table, which fill no
//   place; else 0 where nothing is corrected; valid = the examples among the batch of the step from `first` on
//
// shapes    table [any] f32 | ids, out [batch + drawn + queued]; offsets and strides in words
// launch    one invocation per candidate; each workgroup counts the queue's places first
// writes    every cell of out once
// sums      integers
// cost      moves 3 * n words. Weak spot: each workgroup of 64 reads the queue's ids.
// twin      crates/rt-kernels/src/kernels/candidate_logq.rs

struct Params {
    batch: u32,
    drawn: u32,
    queued: u32,
    catalogue: u32,
    corrected: u32,
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

const LANES: u32 = 64u;
var<workgroup> filled: atomic<u32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * LANES + lane;
    let queue = params.batch + params.drawn;
    if lane == 0u {
        atomicStore(&filled, 0u);
    }
    workgroupBarrier();
    var count = 0u;
    for (var k = lane; k < params.queued; k += LANES) {
        let queued = ids[params.ids_offset + (queue + k) * params.ids_stride];
        count += select(0u, 1u, queued != 0u && queued < params.table_rows);
    }
    atomicAdd(&filled, count);
    workgroupBarrier();
    if i >= queue + params.queued {
        return;
    }
    let id = ids[params.ids_offset + i * params.ids_stride];
    let valid = min(step.valid - min(step.valid, params.first), params.batch);
    let targets = f32(valid + atomicLoad(&filled));
    let drawn = f32(params.drawn);
    let uniform_part = drawn / f32(max(params.catalogue, 1u));
    var of_targets = 0.0;
    if id < params.table_rows {
        of_targets = table[params.table_offset + id * params.table_stride];
    }
    let share = log(targets * of_targets + uniform_part);
    let corrected = share + log(max(targets + drawn - 1.0, 1.0) / max(targets + drawn, 1.0));
    let padding = (i < params.batch && i >= valid) || (i >= queue && id == 0u) || id >= params.table_rows;
    let value = select(0.0, corrected, params.corrected != 0u);
    out[params.out_offset + i * params.out_stride] = select(value, 1e30, padding);
}
