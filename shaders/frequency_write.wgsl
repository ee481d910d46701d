// frequency_write: the mean gaps of a batch's ids go into the table (second half of the kernel frequency).
//
//   for each slot of a valid id, by the first id of the batch that has it: gap = made, last = t
//
// shapes    ids [n] u32 | made [n, hashes] f32 | last, gap [hashes, slots] f32; offsets and strides in words
// launch    one invocation per (id, hash)
// writes    each slot once: the first id of a slot writes, the others find it before them and do not
// sums      none
// cost      up to n ids read for each id: n^2 / 2 compares. Weak spot: large batches.
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
@group(0) @binding(3) var<storage, read> made: array<f32>;
@group(0) @binding(4) var<storage, read_write> last: array<f32>;
@group(0) @binding(5) var<storage, read_write> gap: array<f32>;

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

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    let i = cell / params.hashes;
    if i >= params.n || i >= step.valid {
        return;
    }
    let h = cell % params.hashes;
    let place = slot(ids[params.ids_offset + i * params.ids_stride], h);
    if place >= params.slots {
        return; // an id past the slots has none
    }
    for (var j = 0u; j < i; j += 1u) {
        if slot(ids[params.ids_offset + j * params.ids_stride], h) == place {
            return;
        }
    }
    gap[params.gap_offset + h * params.gap_stride + place] = made[cell];
    last[params.last_offset + h * params.last_stride + place] = f32(step.step);
}
