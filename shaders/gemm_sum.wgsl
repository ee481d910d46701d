// gemm_sum: the second half of a product whose k was cut into parts.
//
//   out = act(sum over p of parts[p] + bias + add)
//
// shapes    parts [parts, m, n] dense | bias [1, n] or none | add [m, n] or none | out [m, n] strided
// launch    one lane for each cell
// writes    every cell of out once
// sums      ascending part
// cost      reads parts m n (and bias, add), writes m n words
// twin      crates/rt-kernels/src/kernels/gemm.rs

override WG: u32 = 64u;
override HAS_BIAS: bool = false;
override HAS_ADD: bool = false;
override ACTIVATION: u32 = 0u; // 0 none, 1 relu, 2 tanh, 3 sigmoid

struct Params {
    m: u32,
    n: u32,
    parts: u32,
    bias_offset: u32,
    add_offset: u32,
    add_stride: u32,
    out_offset: u32,
    out_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> parts: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> add: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

// By its bits: compilers may take comparisons of floats to be between numbers.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn activate(x: f32) -> f32 {
    if is_nan(x) {
        return x;
    }
    if ACTIVATION == 1u {
        return select(x, 0.0, x < 0.0);
    }
    if ACTIVATION == 2u {
        return tanh(clamp(x, -20.0, 20.0));
    }
    if ACTIVATION == 3u {
        return 1.0 / (1.0 + exp(clamp(-x, -80.0, 80.0)));
    }
    return x;
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    let cells = params.m * params.n;
    if cell >= cells {
        return;
    }
    let row = cell / params.n;
    let column = cell % params.n;
    var sum = 0.0;
    for (var p = 0u; p < params.parts; p += 1u) {
        sum += parts[p * cells + cell];
    }
    if HAS_BIAS {
        sum += bias[params.bias_offset + column];
    }
    if HAS_ADD {
        sum += add[params.add_offset + row * params.add_stride + column];
    }
    out[params.out_offset + row * params.out_stride + column] = activate(sum);
}
