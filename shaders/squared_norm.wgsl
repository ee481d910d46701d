// squared_norm: sums of squares of a matrix, in parts.
//
//   parts[p] = sum over rows p part_rows .. (p + 1) part_rows, and columns, of x^2
//
// shapes    x [rows, cols] f32 | first u32 (the output of group), where only the rows of a table's distinct ids count |
//           parts [64] f32; offsets and strides in words
// launch    one workgroup of 64 lanes a part
// writes    every part once
// sums      each lane its cells ascending, 64 apart, in one f32, then a binary tree over the lanes
// cost      reads rows * cols words
// twin      crates/rt-kernels/src/kernels/clip.rs

struct Params {
    rows: u32,
    cols: u32,
    part_rows: u32,
    table: u32,
    by_table: u32, // 1: first is given
    reserved: u32,
    x_offset: u32,
    x_stride: u32,
    first_offset: u32,
    first_stride: u32,
    parts_offset: u32,
    parts_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> first: array<u32>;
@group(0) @binding(4) var<storage, read_write> parts: array<f32>;

const LANES: u32 = 64u;
var<workgroup> sums: array<f32, LANES>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let part = group.y * groups.x + group.x;
    var rows = params.rows;
    if params.by_table == 1u {
        let begin = first[params.first_offset + params.table * params.first_stride];
        let end = first[params.first_offset + (params.table + 1u) * params.first_stride];
        rows = min(rows, end - begin);
    }
    let from_row = min(part * params.part_rows, rows);
    let cells = (min((part + 1u) * params.part_rows, rows) - from_row) * params.cols;
    var sum = 0.0;
    for (var cell = lane; cell < cells; cell += LANES) {
        let value = x[params.x_offset + (from_row + cell / params.cols) * params.x_stride + cell % params.cols];
        sum += value * value;
    }
    sums[lane] = sum;
    workgroupBarrier();
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        if lane < width {
            sums[lane] += sums[lane + width];
        }
        workgroupBarrier();
    }
    if lane == 0u && part < 64u {
        parts[params.parts_offset + part * params.parts_stride] = sums[0];
    }
}
