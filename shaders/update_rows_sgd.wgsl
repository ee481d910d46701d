// update_rows_sgd: plain SGD on the rows of a table that a step touched.
//
//   g = sum of source[sources[e], :] over the run of distinct id k;  table[keys[k] - base, :] -= lr_rows * g
//
// shapes    source [any, dim] f32 | keys, sources, starts, first u32 (the output of group) | table [any, dim] f32
// launch    one invocation per (k, column) for the worst case; those past the number of distinct ids return
// writes    the touched rows of table, each cell once (keys are distinct); no row without an entry
// sums      ascending e in one f32
// cost      reads every source row once; per distinct id 2 * dim words of the table. Weak spot: one hot id is one serial
//           loop over all its source rows.
// twin      crates/rt-kernels/src/kernels/update_rows.rs

override WG: u32 = 64u;

struct Params {
    capacity: u32,
    dim: u32,
    table: u32,
    base: u32,
    source_offset: u32,
    source_stride: u32,
    keys_offset: u32,
    keys_stride: u32,
    sources_offset: u32,
    sources_stride: u32,
    starts_offset: u32,
    starts_stride: u32,
    first_offset: u32,
    first_stride: u32,
    weights_offset: u32,
    weights_stride: u32,
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
    reserved_0: u32,
    reserved_1: u32,
    reserved_2: u32,
    reserved_3: u32,
    reserved_4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> source: array<f32>;
@group(0) @binding(3) var<storage, read> keys: array<u32>;
@group(0) @binding(4) var<storage, read> sources: array<u32>;
@group(0) @binding(5) var<storage, read> starts: array<u32>;
@group(0) @binding(6) var<storage, read> first: array<u32>;
@group(0) @binding(7) var<storage, read_write> weights: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    if cell >= params.capacity * params.dim {
        return;
    }
    let column = cell % params.dim;
    let segment = first[params.first_offset + params.table * params.first_stride] + cell / params.dim;
    if segment >= first[params.first_offset + (params.table + 1u) * params.first_stride] {
        return; // the grid is the worst case
    }
    let end = starts[params.starts_offset + (segment + 1u) * params.starts_stride];
    var g = 0.0;
    for (var e = starts[params.starts_offset + segment * params.starts_stride]; e < end; e += 1u) {
        let row = sources[params.sources_offset + e * params.sources_stride];
        g += source[params.source_offset + row * params.source_stride + column];
    }
    let id = keys[params.keys_offset + segment * params.keys_stride] - params.base;
    weights[params.weights_offset + id * params.weights_stride + column] -= step.lr_rows * g;
}
