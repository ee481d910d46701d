// column_sum: sums of columns of several matrices: the gradients of biases.
//
//   out[0, c] = sum over r of x[r, c] for each of them
//
// shapes    m0 .. m5: matrices [rows, cols] f32, slot says which one is whose | out: [1, cols] of each; offsets and strides
//           in words
// launch    of each a workgroup of 8 x 8 lanes for eight columns: lane (part, column)
// writes    every cell of each out once
// sums      eight runs of rows, each ascending in one f32, then added in order
// cost      reads rows * cols words of each. Weak spot: few workgroups where there are few columns.
// twin      crates/rt-kernels/src/kernels/column_sum.rs

const SUMS: u32 = 16u;

struct Sum {
    group: u32, // first workgroup
    rows: u32,
    cols: u32,
    slot: u32,
    x_offset: u32,
    x_stride: u32,
    out_offset: u32,
    reserved: u32,
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

const PARTS: u32 = 8u;
var<workgroup> parts: array<f32, 64>;

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

@compute @workgroup_size(64)
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
    let run = max((own.rows + PARTS - 1u) / PARTS, 1u);
    let first = min(lane / 8u * run, own.rows);
    let last = select(first, min(first + run, own.rows), column < own.cols);
    var sum = 0.0;
    for (var r = first; r < last; r += 1u) {
        sum += value(own.slot, own.x_offset + r * own.x_stride + column);
    }
    parts[lane] = sum;
    workgroupBarrier();
    if lane < 8u && column < own.cols {
        var total = 0.0;
        for (var p = 0u; p < PARTS; p += 1u) {
            total += parts[p * 8u + lane];
        }
        out[own.out_offset + column] = total;
    }
}
