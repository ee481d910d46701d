// sum: sum of a column, kept in a ring by step.
//
//   out[step % ring] = sum over r of x[r]
//
// shapes    x [rows] f32 | out [ring] f32, whose other cells stay; offsets and strides in words
// launch    one workgroup of 8 lanes
// writes    one cell of out
// sums      eight runs of rows, each ascending in one f32, then added in order
// cost      reads rows words. Weak spot: eight lanes; a column of losses is short.
// twin      crates/rt-kernels/src/kernels/sum.rs

struct Params {
    rows: u32,
    ring: u32,
    x_offset: u32,
    x_stride: u32,
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
    reserved_0: u32,
    reserved_1: u32,
    reserved_2: u32,
    reserved_3: u32,
    reserved_4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const PARTS: u32 = 8u;
var<workgroup> parts: array<f32, PARTS>;

@compute @workgroup_size(PARTS)
fn main(@builtin(local_invocation_index) lane: u32) {
    let run = max((params.rows + PARTS - 1u) / PARTS, 1u);
    let first = min(lane * run, params.rows);
    let last = min(first + run, params.rows);
    var sum = 0.0;
    for (var r = first; r < last; r += 1u) {
        sum += x[params.x_offset + r * params.x_stride];
    }
    parts[lane] = sum;
    workgroupBarrier();
    if lane == 0u {
        var total = 0.0;
        for (var p = 0u; p < PARTS; p += 1u) {
            total += parts[p];
        }
        out[params.out_offset + step.step % params.ring * params.out_stride] = total;
    }
}
