// column_sum: sums of columns, the gradient of a bias.
//
//   out[0, c] = sum over r of x[r, c]
//
// shapes    x [rows, cols] f32 | out [1, cols] f32; offsets and strides in words
// launch    a workgroup of 8 x 8 lanes for eight columns: lane (part, column)
// writes    every cell of out once
// sums      eight runs of rows, each ascending in one f32, then added in order
// cost      reads rows * cols words. Weak spot: few workgroups where there are few columns.
// twin      crates/rt-kernels/src/kernels/column_sum.rs

struct Params {
    rows: u32,
    cols: u32,
    x_offset: u32,
    x_stride: u32,
    out_offset: u32,
    out_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const PARTS: u32 = 8u;
var<workgroup> parts: array<f32, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let column = (group.y * groups.x + group.x) * 8u + lane % 8u;
    let run = max((params.rows + PARTS - 1u) / PARTS, 1u);
    let first = min(lane / 8u * run, params.rows);
    let last = select(first, min(first + run, params.rows), column < params.cols);
    var sum = 0.0;
    for (var r = first; r < last; r += 1u) {
        sum += x[params.x_offset + r * params.x_stride + column];
    }
    parts[lane] = sum;
    workgroupBarrier();
    if lane < 8u && column < params.cols {
        var total = 0.0;
        for (var p = 0u; p < PARTS; p += 1u) {
            total += parts[p * 8u + lane];
        }
        out[params.out_offset + column] = total;
    }
}
