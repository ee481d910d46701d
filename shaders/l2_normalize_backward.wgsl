// l2_normalize_backward: gradient of rows scaled to length one.
//
//   dx_i = (dy_i - y_i (y_i . dy_i)) / norm_i; 0 where norm_i is no more than 1e-12, the length of a row without direction
//
// shapes    y, dy, dx [rows, dim] f32 | norm [rows] f32; offsets and strides in words
// launch    one workgroup of 64 lanes per row
// writes    every cell of dx once
// sums      lane l sums columns l, l + 64, ... ascending; lanes are added pairwise
// cost      moves 3 * rows * dim + rows words. Weak spot: rows of few columns leave lanes idle.
// twin      crates/rt-kernels/src/kernels/l2_normalize.rs

struct Params {
    rows: u32,
    dim: u32,
    y_offset: u32,
    y_stride: u32,
    norm_offset: u32,
    norm_stride: u32,
    dy_offset: u32,
    dy_stride: u32,
    dx_offset: u32,
    dx_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read> norm: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;

// The bits of 1e-12. Those of floats from 0 on are in their order, and NaN is above all: it goes through.
const LEAST: u32 = 0x2b8cbcccu;

const LANES: u32 = 64u;
var<workgroup> sums: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.y * groups.x + group.x;
    let dim = select(0u, params.dim, row < params.rows);
    let y_word = params.y_offset + row * params.y_stride;
    let dy_word = params.dy_offset + row * params.dy_stride;
    var sum = 0.0;
    for (var c = lane; c < dim; c += LANES) {
        sum += y[y_word + c] * dy[dy_word + c];
    }
    sums[lane] = sum;
    workgroupBarrier();
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        if lane < width {
            sums[lane] += sums[lane + width];
        }
        workgroupBarrier();
    }
    let along = sums[0];
    let dx_word = params.dx_offset + row * params.dx_stride;
    for (var c = lane; c < dim; c += LANES) {
        let length = norm[params.norm_offset + row * params.norm_stride];
        let slope = (dy[dy_word + c] - y[y_word + c] * along) / length;
        dx[dx_word + c] = select(slope, 0.0, bitcast<u32>(length) <= LEAST);
    }
}
