// max_pool: maxima of columns over history positions, several windows in one pass.
//
//   y[i, w * dim + c] = max of x[i * history + k, c] over the positions k < ends[w] whose id is not 0; 0 if there is none
//   place[i, w * dim + c] = the k of the maximum, the newest of equal ones; 0xFFFFFFFF if there is none
//
// With zones the positions of w start at ends[w - 1] instead of 0.
//
// shapes    x [rows * history, dim] f32 | ids [rows * history] u32 | y [rows, windows * dim] f32 | place
//           [rows, windows * dim] u32; offsets and strides in words
// expects   ends ascend, at most 16
// launch    one invocation per (row, column); neighbouring lanes take neighbouring columns
// writes    the dim cells of each window once
// sums      none; positions are taken from the newest to the oldest
// cost      reads rows * history * (dim + 1) words, writes 2 * rows * windows * dim. Weak spot: x was written out by a
//           gather; a row's lanes all read the same ids (a broadcast).
// twin      crates/rt-kernels/src/kernels/max_pool.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    history: u32,
    dim: u32,
    windows: u32,
    zones: u32, // 1: the maximum starts anew after each window
    reserved_0: u32,
    reserved_1: u32,
    reserved_2: u32,
    ends: array<vec4<u32>, 4>,
    x_offset: u32,
    x_stride: u32,
    ids_offset: u32,
    ids_stride: u32,
    y_offset: u32,
    y_stride: u32,
    place_offset: u32,
    place_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> ids: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> place: array<u32>;

const NONE: u32 = 0xFFFFFFFFu;

// By its bits: compilers may take comparisons of floats to be between numbers.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

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
    var best = 0.0;
    var at = NONE;
    var k = 0u;
    for (var w = 0u; w < params.windows; w += 1u) {
        if params.zones != 0u {
            best = 0.0;
            at = NONE;
        }
        let end = min(params.history, params.ends[w / 4u][w % 4u]);
        for (; k < end; k += 1u) {
            let position = row * params.history + k;
            if ids[params.ids_offset + position * params.ids_stride] != 0u {
                let value = x[params.x_offset + position * params.x_stride + column];
                if at == NONE || value > best || (is_nan(value) && !is_nan(best)) {
                    best = value;
                    at = k;
                }
            }
        }
        y[params.y_offset + row * params.y_stride + w * params.dim + column] = best;
        place[params.place_offset + row * params.place_stride + w * params.dim + column] = at;
    }
}
