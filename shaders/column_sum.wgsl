// column_sum: sums of columns of several matrices: the gradients of biases.
//
//   out[0, c] = sum over r of x[r, c] for each of them
//
// shapes    m0 .. m5: matrices [rows, cols] f32, slot says which one is whose | out: [1, cols] of each; offsets and strides
//           in words
// launch    of each a workgroup of PARTS x 8 lanes for eight columns, lane (part, column); PARTS is 8, or 32 for long sums
// writes    every cell of each out once
// sums      PARTS runs of rows. Of a short sum each ascending in one f32, then added in order; of a long one (block > 0) groups of
//           eight rows as a binary tree, block groups ascending, blocks ascending, then the runs as a binary tree
// cost      reads rows * cols words of each. Weak spot: few workgroups where there are few columns.
// twin      crates/rt-kernels/src/kernels/column_sum.rs

override PARTS: u32 = 8u;
override LANES: u32 = PARTS * 8u;

const SUMS: u32 = 16u;

struct Sum {
    group: u32, // first workgroup
    rows: u32,
    cols: u32,
    slot: u32,
    x_offset: u32,
    x_stride: u32,
    out_offset: u32,
    block: u32,
}

struct Params {
    sums: u32,
    reserved_0: u32,
    reserved_1: u32,
    reserved_2: u32,
    list: array<Sum, SUMS>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> m0: array<f32>;
@group(0) @binding(3) var<storage, read> m1: array<f32>;
@group(0) @binding(4) var<storage, read> m2: array<f32>;
@group(0) @binding(5) var<storage, read> m3: array<f32>;
@group(0) @binding(6) var<storage, read> m4: array<f32>;
@group(0) @binding(7) var<storage, read> m5: array<f32>;
@group(0) @binding(8) var<storage, read_write> out: array<f32>;

const FEW: u32 = 8u;
var<workgroup> parts: array<f32, 256>;

fn value(slot: u32, at: u32) -> f32 {
    switch slot {
        case 0u: { return m0[at]; }
        case 1u: { return m1[at]; }
        case 2u: { return m2[at]; }
        case 3u: { return m3[at]; }
        case 4u: { return m4[at]; }
        default: { return m5[at]; }
    }
}

// Cell (row, column) of a sum; 0 past the end of a run.
fn cell(own: Sum, row: u32, last: u32, column: u32) -> f32 {
    var x = 0.0;
    if row < last {
        x = value(own.slot, own.x_offset + row * own.x_stride + column);
    }
    return x;
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = group.y * groups.x + group.x;
    var i = 0u;
    while i + 1u < params.sums && number >= params.list[i + 1u].group {
        i += 1u;
    }
    let own = params.list[i];
    let column = (number - own.group) * 8u + lane % 8u;
    var run = max((own.rows + PARTS - 1u) / PARTS, 1u);
    if own.block > 0u {
        run = (run + 7u) / 8u * 8u;
    }
    let first = min(lane / 8u * run, own.rows);
    let last = select(first, min(first + run, own.rows), column < own.cols);
    var sum = 0.0;
    if own.block == 0u {
        for (var r = first; r < last; r += 1u) {
            sum += cell(own, r, last, column);
        }
    } else {
        var block = 0.0;
        var filled = 0u;
        for (var r = first; r < last; r += 8u) {
            let low = (cell(own, r, last, column) + cell(own, r + 1u, last, column))
                + (cell(own, r + 2u, last, column) + cell(own, r + 3u, last, column));
            let high = (cell(own, r + 4u, last, column) + cell(own, r + 5u, last, column))
                + (cell(own, r + 6u, last, column) + cell(own, r + 7u, last, column));
            block += low + high;
            filled += 1u;
            if filled == own.block {
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
        if lane < width * 8u {
            parts[lane] += parts[lane + width * 8u];
        }
        workgroupBarrier();
    }
    if lane < 8u && column < own.cols {
        var total = parts[lane];
        if PARTS == FEW {
            for (var p = 1u; p < FEW; p += 1u) {
                total += parts[p * 8u + lane];
            }
        }
        out[own.out_offset + column] = total;
    }
}
