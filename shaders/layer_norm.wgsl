// layer_norm: rows with mean 0 and variance 1, then a gain and a bias for each column (Ba, Kiros, Hinton 2016).
//
//   mean, variance over row i; rstd = 1 / sqrt(variance + 1e-5); y = gain (x - mean) rstd + bias
//
// shapes    x, y [rows, dim] f32 | gain, bias [1, dim] f32 | stats [rows, 2] f32 = (mean, rstd); offsets, strides in words
// launch    one workgroup of 64 lanes per row
// writes    every cell of y and stats once
// sums      lane l sums columns l, l + 64, ... ascending; lanes are added pairwise; the mean first, then the squares
// cost      moves 2 * rows * dim + 2 * rows + 2 * dim words. Weak spot: a row is read three times, twice out of the cache.
// twin      crates/rt-kernels/src/kernels/layer_norm.rs

struct Params {
    rows: u32,
    dim: u32,
    x_offset: u32,
    x_stride: u32,
    gain_offset: u32,
    gain_stride: u32,
    bias_offset: u32,
    bias_stride: u32,
    y_offset: u32,
    y_stride: u32,
    stats_offset: u32,
    stats_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> gain: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read_write> stats: array<f32>;

const LANES: u32 = 64u;
const EPS: f32 = 1e-5;
var<workgroup> sums: array<f32, LANES>;

// The sum over the lanes, for every lane.
fn total(lane: u32, value: f32) -> f32 {
    workgroupBarrier();
    sums[lane] = value;
    workgroupBarrier();
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        if lane < width {
            sums[lane] += sums[lane + width];
        }
        workgroupBarrier();
    }
    return sums[0];
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.y * groups.x + group.x;
    let dim = select(0u, params.dim, row < params.rows);
    let n = f32(params.dim);
    let x_word = params.x_offset + row * params.x_stride;
    var sum = 0.0;
    for (var c = lane; c < dim; c += LANES) {
        sum += x[x_word + c];
    }
    let mean = total(lane, sum) / n;
    sum = 0.0;
    for (var c = lane; c < dim; c += LANES) {
        let off = x[x_word + c] - mean;
        sum += off * off;
    }
    let rstd = 1.0 / sqrt(total(lane, sum) / n + EPS);
    let y_word = params.y_offset + row * params.y_stride;
    for (var c = lane; c < dim; c += LANES) {
        y[y_word + c] = gain[params.gain_offset + c] * ((x[x_word + c] - mean) * rstd) + bias[params.bias_offset + c];
    }
    if lane == 0u && row < params.rows {
        stats[params.stats_offset + row * params.stats_stride] = mean;
        stats[params.stats_offset + row * params.stats_stride + 1u] = rstd;
    }
}
