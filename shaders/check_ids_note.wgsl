// check_ids_note: the smallest place that check_ids replaced, noted beside those of earlier checks and steps (second half of the
// kernel check_ids).
//
//   where any place was replaced: n = faults[0]; faults[1 + 5 (n % kept) ..] = (step, check, place, its words); faults[0] = n + 1
//   the first of all, n = 0, also into faults[1 + 5 kept ..]
//
// shapes    ids [rows, cols] u32 | least [groups] u32 | faults [6 + 5 kept] u32; offsets and strides in words
// launch    one workgroup of 64 lanes
// writes    one fault, once or twice, and their number, by lane 0
// sums      a minimum of integers by a workgroup atomic, whose order does not matter
// cost      reads a word for each 64 places. Weak spot: one workgroup.
// twin      crates/rt-kernels/src/kernels/check_ids.rs

struct Params {
    groups: u32,
    cols: u32,
    slices: u32, // 0: ids
    number: u32,
    kept: u32,
    ids_offset: u32,
    ids_stride: u32,
    faults_offset: u32,
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
@group(0) @binding(2) var<storage, read> ids: array<u32>;
@group(0) @binding(3) var<storage, read> least: array<u32>;
@group(0) @binding(4) var<storage, read_write> faults: array<u32>;

var<workgroup> first: atomic<u32>;

fn note(number: u32, place: u32, word: u32, after: u32) {
    let to = params.faults_offset + 1u + 5u * number;
    faults[to] = step.step;
    faults[to + 1u] = params.number;
    faults[to + 2u] = place;
    faults[to + 3u] = word;
    faults[to + 4u] = after;
}

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
    if lane == 0u {
        atomicStore(&first, 0xFFFFFFFFu);
    }
    workgroupBarrier();
    for (var g = lane; g < params.groups; g += 64u) {
        atomicMin(&first, least[g]);
    }
    workgroupBarrier();
    let place = atomicLoad(&first);
    if lane != 0u || place == 0xFFFFFFFFu {
        return;
    }
    let count = faults[params.faults_offset];
    var at = params.ids_offset + place * params.ids_stride;
    if params.slices == 0u {
        at = params.ids_offset + place / params.cols * params.ids_stride + place % params.cols;
    }
    let word = ids[at];
    var after = 0u;
    if params.slices != 0u {
        after = ids[at + 1u];
    }
    note(count % params.kept, place, word, after);
    if count == 0u {
        note(params.kept, place, word, after);
    }
    faults[params.faults_offset] = count + 1u;
}
