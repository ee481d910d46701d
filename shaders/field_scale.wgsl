// field_scale: every field of a row times a factor of its own; a field is a run of columns.
//
//   out[r, c] = a[r, f] x[r, c], f the field of c; without x a[r, f] / width of f, the gradient of a mean
//
// shapes    a [rows, fields] f32 | x, out [rows, cols] f32 | starts [1, fields + 1] u32; offsets and strides in words
// expects   starts ascending from 0 to cols, no field empty
// launch    one invocation per (row, column); neighbouring lanes take neighbouring columns
// writes    every cell of out once
// sums      none
// cost      moves 2 * rows * cols + rows * fields words. Weak spot: each lane walks through starts to find its field.
// twin      crates/rt-kernels/src/kernels/fields.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    cols: u32,
    fields: u32,
    has_x: u32,
    a_offset: u32,
    a_stride: u32,
    x_offset: u32,
    x_stride: u32,
    starts_offset: u32,
    starts_stride: u32,
    out_offset: u32,
    out_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read> starts: array<u32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

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
    var field = 0u;
    while field + 1u < params.fields && starts[params.starts_offset + field + 1u] <= column {
        field += 1u;
    }
    let width = starts[params.starts_offset + field + 1u] - starts[params.starts_offset + field];
    var value = 1.0 / f32(width);
    if params.has_x != 0u {
        value = x[params.x_offset + row * params.x_stride + column];
    }
    out[params.out_offset + row * params.out_stride + column] =
        a[params.a_offset + row * params.a_stride + field] * value;
}
