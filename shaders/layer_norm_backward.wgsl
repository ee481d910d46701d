// layer_norm_backward: gradient of layer normalisation.
//
//   h = (x - mean) rstd, g = gain dy; dx = rstd (g - mean(g) - h mean(g h)); cells = dy h
//
// shapes    x, dy, dx, cells [rows, dim] f32 | stats [rows, 2] f32 = (mean, rstd) | gain [1, dim] f32
// launch    one workgroup of 64 lanes per row
// writes    every cell of dx once, of cells where it is wanted
// sums      lane l sums columns l, l + 64, ... ascending; lanes are added pairwise
// cost      moves 4 * rows * dim + 2 * rows + dim words. Weak spot: rows of few columns leave lanes idle.
// twin      crates/rt-kernels/src/kernels/layer_norm.rs

struct Params {
    rows: u32,
    dim: u32,
    wanted: u32,
    x_offset: u32,
    x_stride: u32,
    stats_offset: u32,
    stats_stride: u32,
    gain_offset: u32,
    gain_stride: u32,
    dy_offset: u32,
    dy_stride: u32,
    dx_offset: u32,
    dx_stride: u32,
    cells_offset: u32,
    cells_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> stats: array<f32>;
@group(0) @binding(4) var<storage, read> gain: array<f32>;
@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;
@group(0) @binding(7) var<storage, read_write> cells: array<f32>;

const LANES: u32 = 64u;
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
    let dy_word = params.dy_offset + row * params.dy_stride;
    let stats_word = params.stats_offset + min(row, params.rows - 1u) * params.stats_stride;
    let mean = stats[stats_word];
    let rstd = stats[stats_word + 1u];
    var sum = 0.0;
    var sum_along = 0.0;
    for (var c = lane; c < dim; c += LANES) {
        let g = gain[params.gain_offset + c] * dy[dy_word + c];
        sum += g;
        sum_along += g * ((x[x_word + c] - mean) * rstd);
    }
    let level = total(lane, sum) / n;
    let along = total(lane, sum_along) / n;
    let dx_word = params.dx_offset + row * params.dx_stride;
    let cells_word = params.cells_offset + row * params.cells_stride;
    for (var c = lane; c < dim; c += LANES) {
        let h = (x[x_word + c] - mean) * rstd;
        let upstream = dy[dy_word + c];
        dx[dx_word + c] = rstd * (gain[params.gain_offset + c] * upstream - level - h * along);
        if params.wanted != 0u {
            cells[cells_word + c] = upstream * h;
        }
    }
}
