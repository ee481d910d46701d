// squared_norm: sums of squares of a matrix, in parts.
//
//   parts[p, 0] = sum over rows p part_rows .. (p + 1) part_rows, and columns, of x^2; parts[p, 1] the same of (x / 2^80)^2, which
//   does not overflow
//
// shapes    x [rows, cols] f32 | first u32 (the output of group), where only the rows of a table's distinct ids count |
//           parts [64, 2] f32; offsets and strides in words
// launch    one workgroup of 64 lanes a part
// writes    every part once
// sums      each lane its cells ascending, 64 apart, in blocks of 2,048 added ascending, then a binary tree over the lanes
// cost      reads rows * cols words, twice where a lane's sum is not finite
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
const SCALE: f32 = 8.271806125530277e-25; // 2^-80
const BLOCK: u32 = 2048u;
var<workgroup> sums: array<vec2<f32>, LANES>;

// By its bits: compilers may take comparisons of floats to be between numbers.
fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

// The squares of a lane's cells, each cell times `scale`.
fn squares(from_row: u32, lane: u32, cells: u32, scale: f32) -> f32 {
    var sum = 0.0;
    var block = 0.0;
    var filled = 0u;
    for (var cell = lane; cell < cells; cell += LANES) {
        let value = scale * x[params.x_offset + (from_row + cell / params.cols) * params.x_stride + cell % params.cols];
        block += value * value;
        filled += 1u;
        if filled == BLOCK {
            sum += block;
            block = 0.0;
            filled = 0u;
        }
    }
    return sum + block;
}

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
        rows = min(rows, end - min(begin, end));
    }
    let from_row = min(part * params.part_rows, rows);
    let cells = (min((part + 1u) * params.part_rows, rows) - from_row) * params.cols;
    let sum = squares(from_row, lane, cells, 1.0);
    var scaled = sum * SCALE * SCALE;
    if !is_finite(sum) {
        scaled = squares(from_row, lane, cells, SCALE);
    }
    sums[lane] = vec2(sum, scaled);
    workgroupBarrier();
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        if lane < width {
            sums[lane] += sums[lane + width];
        }
        workgroupBarrier();
    }
    if lane == 0u && part < 64u {
        let place = params.parts_offset + part * params.parts_stride;
        parts[place] = sums[0].x;
        parts[place + 1u] = sums[0].y;
    }
}
