// group_dot_du: gradient of group_dot for u.
//
//   du_i = scale * sum over j of dz[i, j] * v_{i * group + j}
//
// shapes    v [rows * group, dim] f32 | dz [rows, group] f32 | du [rows, dim] f32; offsets and strides in words
// launch    one invocation per (row, column)
// writes    every cell of du once
// sums      ascending j in one f32
// cost      reads rows * group * (dim + 1) words, writes rows * dim
// twin      crates/rt-kernels/src/kernels/group_dot.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    group: u32,
    dim: u32,
    scale: f32,
    v_offset: u32,
    v_stride: u32,
    dz_offset: u32,
    dz_stride: u32,
    du_offset: u32,
    du_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> v: array<f32>;
@group(0) @binding(3) var<storage, read> dz: array<f32>;
@group(0) @binding(4) var<storage, read_write> du: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    if cell >= params.rows * params.dim {
        return;
    }
    let row = cell / params.dim;
    let column = cell % params.dim;
    var sum = 0.0;
    for (var j = 0u; j < params.group; j += 1u) {
        sum += params.scale * dz[params.dz_offset + row * params.dz_stride + j]
            * v[params.v_offset + (row * params.group + j) * params.v_stride + column];
    }
    du[params.du_offset + row * params.du_stride + column] = sum;
}
