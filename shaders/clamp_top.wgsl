// clamp_top: keeps values from growing past a limit.
//
//   x = min(x, most)
//
// shapes    x [rows, cols] f32; offset and stride in words
// launch    one invocation per (row, column); neighbouring lanes take neighbouring columns
// writes    every cell of x once, in place
// sums      none
// cost      moves 2 * rows * cols words
// twin      crates/rt-kernels/src/kernels/scale_by_exp.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    cols: u32,
    most: f32,
    x_offset: u32,
    x_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> x: array<f32>;

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
    if cell >= params.rows * params.cols {
        return;
    }
    let place = params.x_offset + cell / params.cols * params.x_stride + cell % params.cols;
    x[place] = select(min(x[place], params.most), x[place], is_nan(x[place]));
}
