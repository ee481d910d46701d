// batch_norm_sums: gradients of the gain and the bias of batch normalisation.
//
//   h = (x - mean) / sqrt(variance + 1e-5); sums[0] = sum over rows of dy h, sums[1] = sum over rows of dy
//
// shapes    x, dy [rows, cols] f32 | stats [3, cols] f32 = mean, variance, 1 / n | sums [2, cols] f32
// launch    a workgroup of PARTS x 8 lanes for eight columns, lane (part, column); PARTS is 8, or 32 for long sums
// writes    every cell of sums once
// sums      PARTS runs of rows. Of a short sum each ascending in one f32, then added in order; of a long one block rows
//           ascending (block > 0), blocks ascending, then the runs as a binary tree
// cost      reads 2 * rows * cols words. Weak spot: few workgroups where there are few columns.
// twin      crates/rt-kernels/src/kernels/batch_norm.rs

override PARTS: u32 = 8u;
override LANES: u32 = PARTS * 8u;

struct Params {
    rows: u32,
    cols: u32,
    run: u32,
    block: u32,
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

const FEW: u32 = 8u;
var<workgroup> parts: array<f32, 256>;

// The sum over the parts of a lane's column, in order.
fn total(lane: u32, value: f32) -> f32 {
    workgroupBarrier();
    parts[lane] = value;
    workgroupBarrier();
    if PARTS == FEW {
        var sum = 0.0;
        for (var p = 0u; p < FEW; p += 1u) {
            sum += parts[p * 8u + lane % 8u];
        }
        return sum;
    }
    for (var width = PARTS / 2u; width > 0u; width /= 2u) {
        if lane < width * 8u {
            parts[lane] += parts[lane + width * 8u];
        }
        workgroupBarrier();
    }
    return parts[lane % 8u];
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let column = (group.y * groups.x + group.x) * 8u + lane % 8u;
    let first = min(lane / 8u * params.run, params.rows);
    let last = select(first, min(first + params.run, params.rows), column < params.cols);

    let at = min(column, params.cols - 1u);
    let mean = stats[params.stats_offset + at];
    let deviation = sqrt(stats[params.stats_offset + params.stats_stride + at] + 1e-5);
    var along = 0.0;
    var level = 0.0;
    var block = vec2(0.0);
    var filled = 0u;
    for (var r = first; r < last; r += 1u) {
        let upstream = dy[params.dy_offset + r * params.dy_stride + column];
        block.x += upstream * (x[params.x_offset + r * params.x_stride + column] - mean);
        block.y += upstream;
        filled += 1u;
        if filled == params.block {
            along += block.x;
            level += block.y;
            block = vec2(0.0);
            filled = 0u;
        }
    }
    along += block.x;
    level += block.y;
    let sum_along = total(lane, along) / deviation;
    let sum_level = total(lane, level);
    if lane < 8u && column < params.cols {
        sums[params.sums_offset + column] = sum_along;
        sums[params.sums_offset + params.sums_stride + column] = sum_level;
    }
}
