// lookups: several row lookups of 32-bit words in one dispatch.
//
//   out[i, :] = table[ids[i], :] for each lookup; zeros for an id past its table
//
// shapes    a .. e: tables [any, cols] and ids [rows] u32, slots say which one is which | x, y: outs [rows, cols]
// expects   no buffer is read and written
// launch    one invocation per (lookup, row, column)
// writes    every cell of each out once
// sums      none
// cost      2 * rows * cols + rows words a lookup. Weak spot: a lane looks for its lookup, 16 steps at most.
// twin      crates/rt-kernels/src/kernels/lookups.rs

override WG: u32 = 64u;

const LOOKUPS: u32 = 16u;

struct Lookup {
    cell: u32, // first invocation
    cells: u32,
    cols: u32,
    table_rows: u32,
    slots: u32, // of the table, of the ids and of out, four bits each from the lowest on
    reserved: u32,
    table_offset: u32,
    table_stride: u32,
    ids_offset: u32,
    ids_stride: u32,
    out_offset: u32,
    out_stride: u32,
}

struct Params {
    lookups: u32,
    reserved_0: u32,
    reserved_1: u32,
    reserved_2: u32,
    list: array<Lookup, LOOKUPS>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> a: array<u32>;
@group(0) @binding(3) var<storage, read> b: array<u32>;
@group(0) @binding(4) var<storage, read> c: array<u32>;
@group(0) @binding(5) var<storage, read> d: array<u32>;
@group(0) @binding(6) var<storage, read> e: array<u32>;
@group(0) @binding(7) var<storage, read_write> x: array<u32>;
@group(0) @binding(8) var<storage, read_write> y: array<u32>;

fn word(slot: u32, at: u32) -> u32 {
    switch slot {
        case 0u: { return a[at]; }
        case 1u: { return b[at]; }
        case 2u: { return c[at]; }
        case 3u: { return d[at]; }
        default: { return e[at]; }
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let invocation = (group.y * groups.x + group.x) * WG + lane;
    var l = 0u;
    while l + 1u < params.lookups && invocation >= params.list[l + 1u].cell {
        l += 1u;
    }
    let cell = invocation - params.list[l].cell;
    if cell >= params.list[l].cells {
        return;
    }
    let row = cell / params.list[l].cols;
    let column = cell % params.list[l].cols;
    let slots = params.list[l].slots;
    let id = word((slots >> 4u) & 15u, params.list[l].ids_offset + row * params.list[l].ids_stride);
    var found = 0u;
    if id < params.list[l].table_rows {
        found = word(slots & 15u, params.list[l].table_offset + id * params.list[l].table_stride + column);
    }
    let place = params.list[l].out_offset + row * params.list[l].out_stride + column;
    if slots >> 8u == 0u {
        x[place] = found;
    } else {
        y[place] = found;
    }
}
