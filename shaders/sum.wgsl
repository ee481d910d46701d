// sum: sum of a column, kept in a ring by step.
//
//   out[step % ring] = sum over r of x[r]
//
// shapes    x [rows] f32 | out [ring] f32, whose other cells stay; offsets and strides in words
// launch    one workgroup of PARTS lanes: 8, or 256 for a long sum
// writes    one cell of out
// sums      PARTS runs of rows. Of a short sum each ascending in one f32, then added in order; of a long one (block > 0) groups of
//           eight rows as a binary tree, block groups ascending, blocks ascending, then the runs as a binary tree
// cost      reads rows words. Weak spot: one workgroup; a column of losses is short.
// twin      crates/rt-kernels/src/kernels/sum.rs

override PARTS: u32 = 8u;

struct Params {
    rows: u32,
    ring: u32,
    run: u32,
    block: u32,
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
    bias1_rows: f32,
    bias2_rows: f32,
    reserved_0: u32,
    reserved_1: u32,
    reserved_2: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const FEW: u32 = 8u;
var<workgroup> parts: array<f32, 256>;

// The value of a row; 0 past the end of a run.
fn value(row: u32, last: u32) -> f32 {
    var cell = 0.0;
    if row < last {
        cell = x[params.x_offset + row * params.x_stride];
    }
    return cell;
}

@compute @workgroup_size(PARTS)
fn main(@builtin(local_invocation_index) lane: u32) {
    let first = min(lane * params.run, params.rows);
    let last = min(first + params.run, params.rows);
    var sum = 0.0;
    if params.block == 0u {
        for (var r = first; r < last; r += 1u) {
            sum += value(r, last);
        }
    } else {
        var block = 0.0;
        var filled = 0u;
        for (var r = first; r < last; r += 8u) {
            let low = (value(r, last) + value(r + 1u, last)) + (value(r + 2u, last) + value(r + 3u, last));
            let high = (value(r + 4u, last) + value(r + 5u, last)) + (value(r + 6u, last) + value(r + 7u, last));
            block += low + high;
            filled += 1u;
            if filled == params.block {
                sum += block;
                block = 0.0;
                filled = 0u;
            }
        }
        sum += block;
    }
    parts[lane] = sum;
    workgroupBarrier();
    for (var width = PARTS / 2u; width > 0u && PARTS > FEW; width /= 2u) {
        if lane < width {
            parts[lane] += parts[lane + width];
        }
        workgroupBarrier();
    }
    if lane == 0u {
        var total = parts[0];
        if PARTS == FEW {
            for (var p = 1u; p < FEW; p += 1u) {
                total += parts[p];
            }
        }
        out[params.out_offset + step.step % params.ring * params.out_stride] = total;
    }
}
