// batch_norm_stats: mean and variance of columns over the rows that count (Ioffe, Szegedy 2015).
//
//   n rows have weight > 0; stats = mean, variance (over n), 1 / n
//   running_mean += momentum (mean - running_mean); running_variance += momentum (variance n / (n - 1) - running_variance)
//
// shapes    x [rows, cols] f32 | weight [rows, 1] f32 | stats [3, cols] f32 | running_mean, running_variance [1, cols] f32
// launch    a workgroup of PARTS x 8 lanes for eight columns, lane (part, column); PARTS is 8, or 32 for long sums
// writes    every cell of its outputs once; the running ones in place
// sums      PARTS runs of rows. Of a short sum each ascending in one f32, then added in order; of a long one block rows
//           ascending (block > 0), blocks ascending, then the runs as a binary tree; the
//           mean first, then the squares
// cost      reads 2 * rows * cols + rows words. Weak spot: few workgroups where there are few columns.
// twin      crates/rt-kernels/src/kernels/batch_norm.rs

override PARTS: u32 = 8u;
override LANES: u32 = PARTS * 8u;

struct Params {
    rows: u32,
    cols: u32,
    momentum: f32,
    run: u32,
    block: u32,
    x_offset: u32,
    x_stride: u32,
    weight_offset: u32,
    weight_stride: u32,
    stats_offset: u32,
    stats_stride: u32,
    running_mean_offset: u32,
    running_mean_stride: u32,
    running_variance_offset: u32,
    running_variance_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read_write> stats: array<f32>;
@group(0) @binding(5) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(6) var<storage, read_write> running_variance: array<f32>;

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

    var sum = 0.0;
    var block = 0.0;
    var filled = 0u;
    var count = 0.0;
    for (var r = first; r < last; r += 1u) {
        let counts = weight[params.weight_offset + r * params.weight_stride] > 0.0;
        block += select(0.0, x[params.x_offset + r * params.x_stride + column], counts);
        count += select(0.0, 1.0, counts);
        filled += 1u;
        if filled == params.block {
            sum += block;
            block = 0.0;
            filled = 0u;
        }
    }
    sum += block;
    let n = max(total(lane, count), 1.0);
    let mean = total(lane, sum) / n;
    sum = 0.0;
    block = 0.0;
    filled = 0u;
    for (var r = first; r < last; r += 1u) {
        let counts = weight[params.weight_offset + r * params.weight_stride] > 0.0;
        let off = select(0.0, x[params.x_offset + r * params.x_stride + column] - mean, counts);
        block += off * off;
        filled += 1u;
        if filled == params.block {
            sum += block;
            block = 0.0;
            filled = 0u;
        }
    }
    sum += block;
    let variance = total(lane, sum) / n;
    if lane < 8u && column < params.cols {
        stats[params.stats_offset + column] = mean;
        stats[params.stats_offset + params.stats_stride + column] = variance;
        stats[params.stats_offset + 2u * params.stats_stride + column] = 1.0 / n;
        let old_mean = running_mean[params.running_mean_offset + column];
        running_mean[params.running_mean_offset + column] = old_mean + params.momentum * (mean - old_mean);
        let old = running_variance[params.running_variance_offset + column];
        let unbiased = variance * (n / max(n - 1.0, 1.0));
        running_variance[params.running_variance_offset + column] = old + params.momentum * (unbiased - old);
    }
}
