// history_weights_backward: gradient of the scores of history positions, by row.
//
//   along_h = sum over k of w_hk dw_hk, ds_hk = w_hk (dw_hk - along_h)
//   ds[i, h * history + k] = ds_hk; with decay ds[i, h] = -exp(param[h]) * sum over k of ds_hk gaps[i, k]
//
// shapes    w, dw [rows, heads * history] f32 | param [heads] f32 | gaps [rows, history] f32 | ds [rows, heads * history]
//           f32, with decay [rows, heads]; offsets and strides in words
// launch    one invocation per (row, head)
// writes    every cell of ds once
// sums      newest to oldest in one f32
// cost      moves up to 3 * rows * heads * history words, reads them twice. Weak spot: neighbouring lanes read history
//           words apart.
// twin      crates/rt-kernels/src/kernels/history_weights.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    history: u32,
    heads: u32,
    decay: u32,
    w_offset: u32,
    w_stride: u32,
    dw_offset: u32,
    dw_stride: u32,
    param_offset: u32,
    param_stride: u32,
    gaps_offset: u32,
    gaps_stride: u32,
    ds_offset: u32,
    ds_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> dw: array<f32>;
@group(0) @binding(4) var<storage, read> learned: array<f32>;
@group(0) @binding(5) var<storage, read> gaps: array<f32>;
@group(0) @binding(6) var<storage, read_write> ds: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    if cell >= params.rows * params.heads {
        return;
    }
    let row = cell / params.heads;
    let head = cell % params.heads;
    let at_w = params.w_offset + row * params.w_stride + head * params.history;
    let at_dw = params.dw_offset + row * params.dw_stride + head * params.history;
    var along = 0.0;
    for (var k = 0u; k < params.history; k += 1u) {
        along += w[at_w + k] * dw[at_dw + k];
    }
    let out = params.ds_offset + row * params.ds_stride;
    if params.decay == 0u {
        for (var k = 0u; k < params.history; k += 1u) {
            ds[out + head * params.history + k] = w[at_w + k] * (dw[at_dw + k] - along);
        }
        return;
    }
    var sum = 0.0;
    for (var k = 0u; k < params.history; k += 1u) {
        sum += w[at_w + k] * (dw[at_dw + k] - along) * gaps[params.gaps_offset + row * params.gaps_stride + k];
    }
    ds[out + head] = -exp(learned[params.param_offset + head]) * sum;
}
