// draw_unseen: negatives of a row's own that are not in the list of the row's user.
//
//   id (i, j) = the first of the draws try = 0, 1, ... < tries that is neither target[i] nor in the user's list; else target[i]
//   a draw: words 0 and 1 of the counter (i k + j, step, try, stream); without an alias table 1 + floor(word_0 count / 2^32),
//   with one its bucket floor(word_0 buckets / 2^32) where word_1 < threshold[bucket], else alias[bucket]
//
// shapes    user, target [rows] u32 | list [any] u32 | slices [users, 2] u32 (start, length) | threshold, aliases [buckets]
//           u32 | ids [rows, k] u32; offsets and strides in words
// expects   each user's slice of the list ascending; a user past the slices, or whose slice does not lie in the list, has none
// launch    one invocation per id
// writes    every id once
// sums      none
// cost      a counter and a binary search a draw. Weak spot: lanes wait for the one that tries longest.
// twin      crates/rt-kernels/src/kernels/draw_unseen.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    k: u32,
    count: u32,
    tries: u32,
    stream: u32,
    buckets: u32, // 0: no alias table
    users: u32,
    list_rows: u32,
    user_offset: u32,
    user_stride: u32,
    target_offset: u32,
    target_stride: u32,
    list_offset: u32,
    list_stride: u32,
    slices_offset: u32,
    slices_stride: u32,
    threshold_offset: u32,
    threshold_stride: u32,
    alias_offset: u32,
    alias_stride: u32,
    ids_offset: u32,
    ids_stride: u32,
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
@group(0) @binding(2) var<storage, read> user: array<u32>;
@group(0) @binding(3) var<storage, read> target_id: array<u32>;
@group(0) @binding(4) var<storage, read> list: array<u32>;
@group(0) @binding(5) var<storage, read> slices: array<u32>;
@group(0) @binding(6) var<storage, read> threshold: array<u32>;
@group(0) @binding(7) var<storage, read> aliases: array<u32>;
@group(0) @binding(8) var<storage, read_write> ids: array<u32>;

// High word of a product: WGSL has no 64-bit integers, so by 16-bit halves.
fn high(a: u32, b: u32) -> u32 {
    let low_low = (a & 0xffffu) * (b & 0xffffu);
    let high_low = (a >> 16u) * (b & 0xffffu) + (low_low >> 16u);
    let low_high = (a & 0xffffu) * (b >> 16u) + (high_low & 0xffffu);
    return (a >> 16u) * (b >> 16u) + (high_low >> 16u) + (low_high >> 16u);
}

// Philox 4x32-10: the four words of a counter under the step's seed.
fn philox(index: u32, attempt: u32, stream: u32) -> vec4<u32> {
    var c = vec4<u32>(index, step.step, attempt, stream);
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

fn draw(cell: u32, attempt: u32) -> u32 {
    let words = philox(cell, attempt, params.stream);
    if params.buckets == 0u {
        return 1u + high(words.x, params.count);
    }
    let bucket = high(words.x, params.buckets);
    let own = words.y < threshold[params.threshold_offset + bucket * params.threshold_stride];
    let other = aliases[params.alias_offset + bucket * params.alias_stride];
    return select(other, bucket, own);
}

// Does the sorted list hold the id between these places?
fn holds(start: u32, end: u32, id: u32) -> bool {
    var low = start;
    var past = end;
    while low < past {
        let middle = low + (past - low) / 2u;
        if list[params.list_offset + middle * params.list_stride] < id {
            low = middle + 1u;
        } else {
            past = middle;
        }
    }
    if low >= end {
        return false;
    }
    return list[params.list_offset + low * params.list_stride] == id;
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * WG + lane;
    if i >= params.rows * params.k {
        return;
    }
    let row = i / params.k;
    let positive = target_id[params.target_offset + row * params.target_stride];
    let owner = user[params.user_offset + row * params.user_stride];
    var start = 0u;
    var end = 0u;
    if owner < params.users {
        let slice = params.slices_offset + owner * params.slices_stride;
        start = slices[slice];
        let length = slices[slice + 1u];
        end = start + select(0u, length, start <= params.list_rows && length <= params.list_rows - start);
    }
    var chosen = positive;
    for (var attempt = 0u; attempt < params.tries; attempt += 1u) {
        let id = draw(i, attempt);
        if id != positive && !holds(start, end, id) {
            chosen = id;
            break;
        }
    }
    ids[params.ids_offset + row * params.ids_stride + i % params.k] = chosen;
}
