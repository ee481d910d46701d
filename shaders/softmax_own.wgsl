// softmax_own: gradients through a positive that has a vector of its own.
//
//   g_i = scale * weight_i * (exp(z_i,pos - lse_i) - (1 - smoothing) - spread_i); du_i += g_i own_i; down_i = g_i u_i
//
// shapes    u, own, du, down [rows, dim] f32 | info [rows, 6] u32; offsets and strides in words
// launch    one invocation per (row, column)
// writes    every cell of du (in place) and of down once
// sums      one addition
// cost      moves 5 * rows * dim words
// twin      crates/rt-kernels/src/kernels/softmax_loss/cpu.rs

override WG: u32 = 64u;
// 1 du, 2 down, 3 both
override WANTED: u32 = 3u;

struct Params {
    rows: u32,
    candidates: u32,
    dim: u32,
    scale: f32,
    flags: u32, // 1 logq is there, 2 hits are masked, 4 the positive is corrected too, 8 own_logq is there, 16 mask is there
    smoothing: f32,
    u_offset: u32,
    u_stride: u32,
    own_offset: u32,
    own_stride: u32,
    du_offset: u32,
    du_stride: u32,
    down_offset: u32,
    down_stride: u32,
}

// info: six words a row: the positive's logit (f32), its candidate or NONE, log-sum-exp (f32), weight (f32), the share of the target
// that smoothing gives to each candidate (f32), the target's id
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> u: array<f32>;
@group(0) @binding(3) var<storage, read> own: array<f32>;
@group(0) @binding(4) var<storage, read> info: array<u32>;
@group(0) @binding(5) var<storage, read_write> du: array<f32>;
@group(0) @binding(6) var<storage, read_write> down: array<f32>;

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
    let probability = exp(bitcast<f32>(info[row * 6u]) - bitcast<f32>(info[row * 6u + 2u]));
    let share = 1.0 - params.smoothing + bitcast<f32>(info[row * 6u + 4u]);
    let g = params.scale * bitcast<f32>(info[row * 6u + 3u]) * (probability - share);
    if (WANTED & 1u) != 0u {
        du[params.du_offset + row * params.du_stride + column] +=
            g * own[params.own_offset + row * params.own_stride + column];
    }
    if (WANTED & 2u) != 0u {
        down[params.down_offset + row * params.down_stride + column] =
            g * u[params.u_offset + row * params.u_stride + column];
    }
}
