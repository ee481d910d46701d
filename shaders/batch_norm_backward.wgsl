// batch_norm_backward: gradient of batch normalisation, through x itself and through the statistics.
//
//   h = (x - mean) rstd, rstd = 1 / sqrt(variance + 1e-5)
//   dx = gain rstd (dy - [weight > 0] share (sums[1] + h sums[0]))
//
// shapes    x, dy, dx [rows, cols] f32 | weight [rows, 1] f32 | stats [3, cols] f32 = mean, variance, share = 1 / n
//           gain [1, cols] f32 | sums [2, cols] f32; offsets and strides in words
// launch    one invocation per (row, column); neighbouring lanes take neighbouring columns
// writes    every cell of dx once
// sums      none
// cost      moves 3 * rows * cols words. Weak spot: a root and a division per cell.
// twin      crates/rt-kernels/src/kernels/batch_norm.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    cols: u32,
    x_offset: u32,
    x_stride: u32,
    weight_offset: u32,
    weight_stride: u32,
    dy_offset: u32,
    dy_stride: u32,
    stats_offset: u32,
    stats_stride: u32,
    gain_offset: u32,
    gain_stride: u32,
    sums_offset: u32,
    sums_stride: u32,
    dx_offset: u32,
    dx_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read> stats: array<f32>;
@group(0) @binding(6) var<storage, read> gain: array<f32>;
@group(0) @binding(7) var<storage, read> sums: array<f32>;
@group(0) @binding(8) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    if cell >= params.rows * params.cols {
        return;
    }
    let row = cell / params.cols;
    let column = cell % params.cols;
    let mean = stats[params.stats_offset + column];
    let rstd = 1.0 / sqrt(stats[params.stats_offset + params.stats_stride + column] + 1e-5);
    let share = stats[params.stats_offset + 2u * params.stats_stride + column];
    let h = (x[params.x_offset + row * params.x_stride + column] - mean) * rstd;
    let counts = weight[params.weight_offset + row * params.weight_stride] > 0.0;
    let through = share * (sums[params.sums_offset + params.sums_stride + column] + h * sums[params.sums_offset + column]);
    let upstream = dy[params.dy_offset + row * params.dy_stride + column];
    dx[params.dx_offset + row * params.dx_stride + column] =
        gain[params.gain_offset + column] * rstd * (upstream - select(0.0, through, counts));
}
