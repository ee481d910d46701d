// prelu_backward: gradient of PReLU.
//
//   dx = dy where x > 0, else slope * dy; cells = dy * min(x, 0)
//
// shapes    x, dy, dx, cells [rows, cols] f32 | slope [1, cols] f32; offsets and strides in words
// launch    one invocation per (row, column); neighbouring lanes take neighbouring columns
// writes    every cell of dx and cells once
// sums      none
// cost      moves 4 * rows * cols + cols words. Weak spot: a division per cell finds the row.
// twin      crates/rt-kernels/src/kernels/prelu.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    cols: u32,
    wanted: u32, // 0: cells is not there
    x_offset: u32,
    x_stride: u32,
    slope_offset: u32,
    slope_stride: u32,
    dy_offset: u32,
    dy_stride: u32,
    dx_offset: u32,
    dx_stride: u32,
    cells_offset: u32,
    cells_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> slope: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;
@group(0) @binding(6) var<storage, read_write> cells: array<f32>;

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
    let value = x[params.x_offset + row * params.x_stride + column];
    let upstream = dy[params.dy_offset + row * params.dy_stride + column];
    let low = slope[params.slope_offset + column] * upstream;
    dx[params.dx_offset + row * params.dx_stride + column] = select(low, upstream, value > 0.0);
    if params.wanted != 0u {
        cells[params.cells_offset + row * params.cells_stride + column] = select(value * upstream, 0.0, value > 0.0);
    }
}
