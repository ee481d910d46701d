// shown_negatives: negatives of a row's own: what was shown and not clicked, filled up with draws.
//
//   j < own and j < length[i]   ids[i k + j] = items[start[i] + length[i] - 1 - j]; logq[i k + j] = 0
//   else                        ids[i k + j] = drawn[i k + j]; logq[i k + j] = table[ids] + constant
//
// shapes    items, table [any] | spans [n / k, 2] u32 (start, length) | drawn, ids [n] u32 | logq [n] f32; offsets and
//           strides in words
// expects   nothing: a span that does not lie in items is empty, an id past the table has 0 in its place
// launch    one invocation per negative
// writes    every cell of ids once, and of logq with has_logq
// sums      none
// cost      moves about 5 n words. Weak spot: reads of items and table are scattered.
// twin      crates/rt-kernels/src/kernels/shown.rs

override WG: u32 = 64u;

struct Params {
    n: u32,
    k: u32,
    own: u32,
    has_logq: u32,
    items_rows: u32,
    table_rows: u32,
    constant: f32,
    items_offset: u32,
    items_stride: u32,
    spans_offset: u32,
    spans_stride: u32,
    drawn_offset: u32,
    drawn_stride: u32,
    table_offset: u32,
    table_stride: u32,
    ids_offset: u32,
    ids_stride: u32,
    logq_offset: u32,
    logq_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> items: array<u32>;
@group(0) @binding(3) var<storage, read> spans: array<u32>;
@group(0) @binding(4) var<storage, read> drawn: array<u32>;
@group(0) @binding(5) var<storage, read> table: array<f32>;
@group(0) @binding(6) var<storage, read_write> ids: array<u32>;
@group(0) @binding(7) var<storage, read_write> logq: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    if cell >= params.n {
        return;
    }
    let row = cell / params.k;
    let j = cell % params.k;
    let place = params.spans_offset + row * params.spans_stride;
    let start = spans[place];
    let length = spans[place + 1u];
    let lies = start <= params.items_rows && length <= params.items_rows - start;
    let shown = lies && j < params.own && j < length;
    var id = 0u;
    if shown {
        id = items[params.items_offset + (start + length - 1u - j) * params.items_stride];
    } else {
        id = drawn[params.drawn_offset + cell * params.drawn_stride];
    }
    ids[params.ids_offset + cell * params.ids_stride] = id;
    if params.has_logq != 0u {
        var correction = 0.0;
        if !shown {
            correction = params.constant;
            if id < params.table_rows {
                correction = table[params.table_offset + id * params.table_stride] + params.constant;
            }
        }
        logq[params.logq_offset + cell * params.logq_stride] = correction;
    }
}
