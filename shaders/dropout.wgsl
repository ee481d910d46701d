// dropout: dropout by counter.
//
//   y[cell] = x[cell] * scale  where draw number `cell` of (seed, step, stream) is below keep_threshold, else 0
//
// then, where ACTIVATION names an f and x is the gradient behind it: y[cell] *= f', from f's output `layer`
//
// shapes    x, layer, y [rows, cols] f32, cell = row * cols + column; offsets and strides in words
// launch    one invocation for four cells: a counter gives four words
// writes    every cell of y once
// sums      none
// cost      moves 2 (with an activation 3) * rows * cols words. Weak spot: four cells of a lane lie side by side, so lanes are four words apart.
// twin      crates/rt-kernels/src/kernels/dropout.rs

override WG: u32 = 64u;

// 0 none (`layer` is left out), 1 relu, 2 tanh, 3 sigmoid
override ACTIVATION: u32 = 0u;

struct Params {
    rows: u32,
    cols: u32,
    keep_threshold: u32,
    scale: f32,
    stream: u32,
    x_offset: u32,
    x_stride: u32,
    layer_offset: u32,
    layer_stride: u32,
    y_offset: u32,
    y_stride: u32,
}

struct Step {
    step: u32,
    offset: u32,
    valid: u32,
    seed_lo: u32,
    seed_hi: u32,
    lr: f32,
    lr_rows: f32,
    bias1: f32,
    bias2: f32,
    inv_valid: f32,
    ln_negatives: f32,
    bias1_rows: f32,
    bias2_rows: f32,
    reserved_0: u32,
    reserved_1: u32,
    reserved_2: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> layer: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// High word of a product: WGSL has no 64-bit integers, so by 16-bit halves.
fn high(a: u32, b: u32) -> u32 {
    let low_low = (a & 0xffffu) * (b & 0xffffu);
    let high_low = (a >> 16u) * (b & 0xffffu) + (low_low >> 16u);
    let low_high = (a & 0xffffu) * (b >> 16u) + (high_low & 0xffffu);
    return (a >> 16u) * (b >> 16u) + (high_low >> 16u) + (low_high >> 16u);
}

// Philox 4x32-10: the four words of a counter under the step's seed.
fn philox(index: u32, stream: u32) -> vec4<u32> {
    var c = vec4<u32>(index, step.step, 0u, stream);
    var k = vec2<u32>(step.seed_lo, step.seed_hi);
    for (var round = 0u; round < 10u; round += 1u) {
        c = vec4<u32>(
            high(c.z, 0xCD9E8D57u) ^ c.y ^ k.x,
            c.z * 0xCD9E8D57u,
            high(c.x, 0xD2511F53u) ^ c.w ^ k.y,
            c.x * 0xD2511F53u,
        );
        k += vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}

fn derivative(f: f32, dy: f32) -> f32 {
    if ACTIVATION == 1u {
        return select(dy, 0.0, f <= 0.0);
    }
    if ACTIVATION == 2u {
        return dy * (1.0 - f * f);
    }
    if ACTIVATION == 3u {
        return dy * (f * (1.0 - f));
    }
    return dy;
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * WG + lane;
    if i >= (params.rows * params.cols + 3u) / 4u {
        return;
    }
    let words = philox(i, params.stream);
    for (var k = 0u; k < 4u; k += 1u) {
        let cell = i * 4u + k;
        if cell < params.rows * params.cols {
            let row = cell / params.cols;
            let column = cell % params.cols;
            let value = x[params.x_offset + row * params.x_stride + column] * params.scale;
            var kept = select(0.0, value, words[k] < params.keep_threshold);
            if ACTIVATION != 0u {
                kept = derivative(layer[params.layer_offset + row * params.layer_stride + column], kept);
            }
            y[params.y_offset + row * params.y_stride + column] = kept;
        }
    }
}
