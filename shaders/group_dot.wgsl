// group_dot: dot products of rows with their own groups of rows.
//
//   z[i, j] = scale * u_i . v_{i * group + j}
//
// shapes    u [rows, dim] f32 | v [rows * group, dim] f32 | z [rows, group] f32; offsets and strides in words
// launch    one workgroup of 64 lanes per cell of z
// writes    every cell of z once
// sums      lane l sums columns l, l + 64, ... ascending; lanes are added pairwise
// cost      reads rows * (1 + group) * dim words. Weak spot: u_i is read again for each j.
// twin      crates/rt-kernels/src/kernels/group_dot.rs

struct Params {
    rows: u32,
    group: u32,
    dim: u32,
    scale: f32,
    u_offset: u32,
    u_stride: u32,
    v_offset: u32,
    v_stride: u32,
    z_offset: u32,
    z_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> u: array<f32>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read_write> z: array<f32>;

const LANES: u32 = 64u;
var<workgroup> sums: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = group.y * groups.x + group.x;
    let inside = cell < params.rows * params.group;
    let row = cell / params.group;
    let dim = select(0u, params.dim, inside);
    var sum = 0.0;
    for (var c = lane; c < dim; c += LANES) {
        sum += u[params.u_offset + row * params.u_stride + c] * v[params.v_offset + cell * params.v_stride + c];
    }
    sums[lane] = sum;
    workgroupBarrier();
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        if lane < width {
            sums[lane] += sums[lane + width];
        }
        workgroupBarrier();
    }
    if lane == 0u && inside {
        z[params.z_offset + row * params.z_stride + cell % params.group] = params.scale * sums[0];
    }
}
