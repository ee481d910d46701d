// keep_mined: which mined negatives a step takes.
//
//   out[i, j] = mined[i, j] where it is no 0 and draw number i n + j of (seed, step, stream) is below threshold, else target[i]
//
// shapes    mined, out [rows, n] u32 | target [rows] u32; offsets and strides in words
// launch    one invocation per cell
// writes    every cell of out once
// sums      none
// cost      moves 3 rows n words, a Philox counter each
// twin      crates/rt-kernels/src/kernels/keep_mined.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    n: u32,
    threshold: u32,
    stream: u32,
    mined_offset: u32,
    mined_stride: u32,
    target_offset: u32,
    target_stride: u32,
    out_offset: u32,
    out_stride: u32,
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
@group(0) @binding(2) var<storage, read> mined: array<u32>;
@group(0) @binding(3) var<storage, read> target_id: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<u32>;

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

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * WG + lane;
    if i >= params.rows * params.n {
        return;
    }
    let row = i / params.n;
    let words = philox(i / 4u, params.stream);
    let id = mined[params.mined_offset + row * params.mined_stride + i % params.n];
    let positive = target_id[params.target_offset + row * params.target_stride];
    let kept = id != 0u && words[i % 4u] < params.threshold;
    out[params.out_offset + row * params.out_stride + i % params.n] = select(positive, id, kept);
}
