// group_dot_dv: gradient of group_dot for v.
//
//   dv_{i * group + j} = scale * dz[i, j] * u_i
//
// shapes    u [rows, dim] f32 | dz [rows, group] f32 | dv [rows * group, dim] f32; offsets and strides in words
// launch    one invocation per (row of dv, column)
// writes    every cell of dv once
// sums      none
// cost      writes rows * group * dim words. Weak spot: u_i is read again for each j.
// twin      crates/rt-kernels/src/kernels/group_dot.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    group: u32,
    dim: u32,
    scale: f32,
    u_offset: u32,
    u_stride: u32,
    dz_offset: u32,
    dz_stride: u32,
    dv_offset: u32,
    dv_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> u: array<f32>;
@group(0) @binding(3) var<storage, read> dz: array<f32>;
@group(0) @binding(4) var<storage, read_write> dv: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    if cell >= params.rows * params.group * params.dim {
        return;
    }
    let candidate = cell / params.dim;
    let column = cell % params.dim;
    let row = candidate / params.group;
    let factor = params.scale * dz[params.dz_offset + row * params.dz_stride + candidate % params.group];
    dv[params.dv_offset + candidate * params.dv_stride + column] = factor * u[params.u_offset + row * params.u_stride + column];
}
