// decay_rows: decoupled weight decay of the rows of tables that a step touches.
//
//   w[id, :] *= max(1 - lr_rows decay, 0)
//
// shapes    keys, first u32 (the output of group) | weights [any, dim] f32; offsets and strides in words
//           (tables that lie in one buffer, each from its own offset, are one dispatch)
// launch    of each table one invocation per (distinct id, column) for the worst case; those past the count return
// writes    the touched rows of weights, each cell once (ids are distinct); no row without an entry
// sums      none
// cost      per distinct id 2 * dim + 1 words
// twin      crates/rt-kernels/src/kernels/decay_rows.rs

override WG: u32 = 64u;

const TABLES: u32 = 16u;

struct Table {
    group: u32, // first workgroup
    capacity: u32,
    dim: u32,
    number: u32,
    base: u32,
    weights_offset: u32,
    weights_stride: u32,
    rows: u32, // of the table; a row past it is left alone
}

struct Params {
    tables: u32,
    decay: f32,
    keys_offset: u32,
    keys_stride: u32,
    first_offset: u32,
    first_stride: u32,
    reserved_0: u32,
    reserved_1: u32,
    list: array<Table, TABLES>,
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
@group(0) @binding(2) var<storage, read> keys: array<u32>;
@group(0) @binding(3) var<storage, read> first: array<u32>;
@group(0) @binding(4) var<storage, read_write> weights: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = group.y * groups.x + group.x;
    var t = 0u;
    while t + 1u < params.tables && number >= params.list[t + 1u].group {
        t += 1u;
    }
    let table = params.list[t];
    let cell = (number - table.group) * WG + lane;
    if cell >= table.capacity * table.dim {
        return;
    }
    let k = cell / table.dim;
    let column = cell % table.dim;
    let segment = first[params.first_offset + table.number * params.first_stride] + k;
    if segment >= first[params.first_offset + (table.number + 1u) * params.first_stride] {
        return; // the grid is the worst case
    }
    let id = keys[params.keys_offset + segment * params.keys_stride] - table.base;
    if id >= table.rows {
        return;
    }
    weights[table.weights_offset + id * table.weights_stride + column] *= max(1.0 - step.lr_rows * params.decay, 0.0);
}
