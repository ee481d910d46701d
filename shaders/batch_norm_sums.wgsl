// batch_norm_sums: gradients of the gain and the bias of batch normalisation.
//
//   h = (x - mean) / sqrt(variance + 1e-5); sums[0] = sum over rows of dy h, sums[1] = sum over rows of dy
//
// shapes    x, dy [rows, cols] f32 | stats [3, cols] f32 = mean, variance, 1 / n | sums [2, cols] f32
// launch    a workgroup of 8 x 8 lanes for eight columns: lane (part, column)
// writes    every cell of sums once
// sums      eight runs of rows, each ascending in one f32, then added in order
// cost      reads 2 * rows * cols words. Weak spot: few workgroups where there are few columns.
// twin      crates/rt-kernels/src/kernels/batch_norm.rs

struct Params {
    rows: u32,
    cols: u32,
    x_offset: u32,
    x_stride: u32,
    stats_offset: u32,
    stats_stride: u32,
    dy_offset: u32,
    dy_stride: u32,
    sums_offset: u32,
    sums_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> stats: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> sums: array<f32>;

const PARTS: u32 = 8u;
var<workgroup> parts: array<f32, 64>;

// The sum over the parts of a lane's column, in order.
fn total(lane: u32, value: f32) -> f32 {
    workgroupBarrier();
    parts[lane] = value;
    workgroupBarrier();
    var sum = 0.0;
    for (var p = 0u; p < PARTS; p += 1u) {
        sum += parts[p * 8u + lane % 8u];
    }
    return sum;
}

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

    let at = min(column, params.cols - 1u);
    let mean = stats[params.stats_offset + at];
    let deviation = sqrt(stats[params.stats_offset + params.stats_stride + at] + 1e-5);
    var along = 0.0;
    var level = 0.0;
    for (var r = first; r < last; r += 1u) {
        let upstream = dy[params.dy_offset + r * params.dy_stride + column];
        along += upstream * (x[params.x_offset + r * params.x_stride + column] - mean);
        level += upstream;
    }
    let sum_along = total(lane, along) / deviation;
    let sum_level = total(lane, level);
    if lane < 8u && column < params.cols {
        sums[params.sums_offset + column] = sum_along;
        sums[params.sums_offset + params.sums_stride + column] = sum_level;
    }
}
