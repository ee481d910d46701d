// batch_history: history slices of a step's examples (second half of the kernel batch).
//
//   e = order[step.offset + first + i]; u = the last one with starts[u] <= e
//   sequence  len = min(e - starts[u], history); slice = (e - len, len); hole = none
//   set       len = min(ends[u] - starts[u], history); slice = (ends[u] - len, len); hole = e
//   padding   slice = (0, 0); hole = none
//
// shapes    order [any], starts [users + 1] ascending, ends [users] u32 | slice [batch, 2], hole [batch] u32
// expects   a user's events are consecutive; places past the order, and events past the items, are padding; a history whose end
//           is past the items is empty
// launch    one invocation per row
// writes    every row of slice once; hole only with has_hole (none = 0xFFFFFFFF)
// sums      none
// cost      reads 2 or 3 + log2(users) words a row, writes 2 or 3. Weak spot: a chain of dependent scattered reads.
// twin      crates/rt-kernels/src/kernels/batch.rs

override WG: u32 = 64u;

struct Params {
    batch: u32,
    history: u32,
    is_set: u32,
    has_hole: u32,
    users: u32,
    first: u32,
    order_rows: u32,
    items_rows: u32,
    ends_rows: u32,
    reserved: u32,
    order_offset: u32,
    order_stride: u32,
    starts_offset: u32,
    starts_stride: u32,
    ends_offset: u32,
    ends_stride: u32,
    slice_offset: u32,
    slice_stride: u32,
    hole_offset: u32,
    hole_stride: u32,
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
@group(0) @binding(3) var<storage, read> starts: array<u32>;
@group(0) @binding(4) var<storage, read> ends: array<u32>;
@group(0) @binding(5) var<storage, read_write> slice: array<u32>;
@group(0) @binding(6) var<storage, read_write> hole: array<u32>;

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
    var start = 0u;
    var len = 0u;
    var out = 0xFFFFFFFFu;
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
        let u = owner(e);
        let first = starts[params.starts_offset + u * params.starts_stride];
        if params.is_set != 0u {
            var end = first;
            if u < params.ends_rows {
                end = ends[params.ends_offset + u * params.ends_stride];
            }
            len = min(end - min(end, first), params.history);
            len = select(0u, len, end <= params.items_rows);
            start = select(0u, end - len, end <= params.items_rows);
            out = e;
        } else {
            len = min(e - min(e, first), params.history);
            start = e - len;
        }
    }
    slice[params.slice_offset + i * params.slice_stride] = start;
    slice[params.slice_offset + i * params.slice_stride + 1u] = len;
    if params.has_hole != 0u {
        hole[params.hole_offset + i * params.hole_stride] = out;
    }
}
