// field_dot: products of two rows summed over each field; a field is a run of columns.
//
//   out[r, f] = sum over starts[f] <= c < starts[f + 1] of x[r, c] y[r, c]; without y the mean of x over them
//
// shapes    x, y [rows, cols] f32 | starts [1, fields + 1] u32 | out [rows, fields] f32; offsets and strides in words
// expects   starts ascending from 0 to cols, no field empty
// launch    one invocation per (row, field)
// writes    every cell of out once
// sums      columns ascending in one f32
// cost      moves 2 * rows * cols + rows * fields words. Weak spot: lanes take whole fields, so they read far apart.
// twin      crates/rt-kernels/src/kernels/fields.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    fields: u32,
    has_y: u32,
    cols: u32,
    x_offset: u32,
    x_stride: u32,
    y_offset: u32,
    y_stride: u32,
    starts_offset: u32,
    starts_stride: u32,
    out_offset: u32,
    out_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> y: array<f32>;
@group(0) @binding(4) var<storage, read> starts: array<u32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    if cell >= params.rows * params.fields {
        return;
    }
    let row = cell / params.fields;
    let field = cell % params.fields;
    let first = starts[params.starts_offset + field];
    let last = min(starts[params.starts_offset + field + 1u], params.cols);
    var sum = 0.0;
    for (var c = first; c < last; c += 1u) {
        let value = x[params.x_offset + row * params.x_stride + c];
        if params.has_y != 0u {
            sum += value * y[params.y_offset + row * params.y_stride + c];
        } else {
            sum += value;
        }
    }
    if params.has_y == 0u {
        sum /= f32(last - min(last, first));
    }
    out[params.out_offset + row * params.out_stride + field] = sum;
}
