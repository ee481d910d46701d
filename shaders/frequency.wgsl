// frequency: the mean gap of each id of a batch, and its frequency as a logarithm (first half of the kernel frequency).
//
//   gap' = t where the slot was never seen, gap where it was seen in this step, else (1 - rate) gap + rate (t - last)
//   made[i, h] = gap' of slot h of ids[i]; out[i] = -ln max_h made[i, h] for i < valid and ids with a slot,
//   else 1e30
//
// shapes    ids [n] u32 | last, gap [hashes, slots] f32 | made [n, hashes] f32 | out [n] f32; offsets and strides in words
// launch    one invocation per id
// writes    made and out once for each id; nothing is written where others read
// sums      none
// cost      reads 2 hashes words at random an id
// twin      crates/rt-kernels/src/kernels/frequency.rs

override WG: u32 = 64u;

struct Params {
    n: u32,
    slots: u32,
    hashes: u32,
    hashed: u32, // 0: slot = id
    rate: f32,
    ids_offset: u32,
    ids_stride: u32,
    last_offset: u32,
    last_stride: u32,
    gap_offset: u32,
    gap_stride: u32,
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
@group(0) @binding(2) var<storage, read> ids: array<u32>;
@group(0) @binding(3) var<storage, read> last: array<f32>;
@group(0) @binding(4) var<storage, read> gap: array<f32>;
@group(0) @binding(5) var<storage, read_write> made: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

// High word of a product: WGSL has no 64-bit integers, so by 16-bit halves.
fn high(a: u32, b: u32) -> u32 {
    let low_low = (a & 0xffffu) * (b & 0xffffu);
    let high_low = (a >> 16u) * (b & 0xffffu) + (low_low >> 16u);
    let low_high = (a & 0xffffu) * (b >> 16u) + (high_low & 0xffffu);
    return (a >> 16u) * (b >> 16u) + (high_low >> 16u) + (low_high >> 16u);
}

// The slot of an id under hash h: its own row without hashing.
fn slot(id: u32, h: u32) -> u32 {
    if params.hashed == 0u {
        return id;
    }
    var x = id * 0x9E3779B1u + h * 0x85EBCA6Bu;
    x = (x ^ (x >> 16u)) * 0x7FEB352Du;
    x = (x ^ (x >> 15u)) * 0x846CA68Bu;
    return high(x ^ (x >> 16u), params.slots);
}

// An id past the slots has none.
fn is_slot(id: u32) -> bool {
    return params.hashed != 0u || id < params.slots;
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * WG + lane;
    if i >= params.n {
        return;
    }
    let id = ids[params.ids_offset + i * params.ids_stride];
    let t = f32(step.step);
    var largest = 0.0;
    for (var h = 0u; h < params.hashes; h += 1u) {
        let place = min(slot(id, h), max(params.slots, 1u) - 1u);
        let seen = last[params.last_offset + h * params.last_stride + place];
        let before = gap[params.gap_offset + h * params.gap_stride + place];
        var now = (1.0 - params.rate) * before + params.rate * (t - seen);
        now = select(now, t, seen == 0.0);
        now = select(now, before, seen == t);
        made[i * params.hashes + h] = now;
        largest = max(largest, now);
    }
    out[params.out_offset + i * params.out_stride] = select(1e30, -log(largest), i < step.valid && is_slot(id));
}
