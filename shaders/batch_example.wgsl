// batch_example: ids and weights of a step's examples (first half of the kernel batch).
//
//   e = order[step.offset + first + i]; user = the last u with starts[u] <= e; target = items[e]; weight = step.inv_valid;
//   event = e                                                                                         for first + i < valid
//   user = target = event = 0, weight = 0                                                              for padding
//
// shapes    order [any] u32 | items [N] u32 | starts [users + 1] u32 ascending | user, target, event [batch] u32 | weight [batch] f32
// expects   nothing: places past the order, and events past the items, are padding
// launch    one invocation per row
// writes    every row of its outputs once; event only with has_event
// sums      none
// cost      reads 2 + log2(users) words a row, writes 3 or 4. Weak spot: the search is a chain of dependent reads, the
//           first of which all rows share.
// twin      crates/rt-kernels/src/kernels/batch.rs

override WG: u32 = 64u;

struct Params {
    batch: u32,
    has_event: u32,
    users: u32,
    first: u32,
    order_rows: u32,
    items_rows: u32,
    order_offset: u32,
    order_stride: u32,
    items_offset: u32,
    items_stride: u32,
    starts_offset: u32,
    starts_stride: u32,
    user_offset: u32,
    user_stride: u32,
    target_offset: u32,
    target_stride: u32,
    weight_offset: u32,
    weight_stride: u32,
    event_offset: u32,
    event_stride: u32,
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
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> items: array<u32>;
@group(0) @binding(4) var<storage, read> starts: array<u32>;
@group(0) @binding(5) var<storage, read_write> user: array<u32>;
@group(0) @binding(6) var<storage, read_write> target_id: array<u32>;
@group(0) @binding(7) var<storage, read_write> weight: array<f32>;
@group(0) @binding(8) var<storage, read_write> event: array<u32>;

// The last user whose events begin at e or before; starts[params.users] is the end of the last one's.
fn owner(e: u32) -> u32 {
    var low = 0u;
    var high = max(params.users, 1u) - 1u;
    while low < high {
        let middle = low + (high - low + 1u) / 2u;
        if starts[params.starts_offset + middle * params.starts_stride] <= e {
            low = middle;
        } else {
            high = middle - 1u;
        }
    }
    return low;
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * WG + lane;
    if i >= params.batch {
        return;
    }
    var u = 0u;
    var t = 0u;
    var w = 0.0;
    let row = params.first + i;
    let place = step.offset + row;
    var e = 0u;
    // As numbers without end: neither sum may wrap.
    var valid = row < step.valid && row < params.order_rows && step.offset < params.order_rows - row;
    if valid {
        e = order[params.order_offset + place * params.order_stride];
        valid = e < params.items_rows;
    }
    if valid {
        u = owner(e);
        t = items[params.items_offset + e * params.items_stride];
        w = step.inv_valid;
    }
    user[params.user_offset + i * params.user_stride] = u;
    target_id[params.target_offset + i * params.target_stride] = t;
    weight[params.weight_offset + i * params.weight_stride] = w;
    if params.has_event != 0u {
        event[params.event_offset + i * params.event_stride] = select(0u, e, valid);
    }
}
