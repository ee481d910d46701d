// update_rows_adam: lazy Adam on the rows of tables that a step touched.
//
//   g = sum of source[sources[e], :] over the run of a distinct id
//   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;  table -= lr_rows * (m bias1_rows) / (sqrt(v bias2_rows) + eps)
//
// shapes    source [any, dim] f32 | sources u32 (of group) | segments u32 (the table's, of segment_pack) | chunks f32 (of
//           segment_chunks) | table, m, v [any, dim] f32
//           (tables whose operands lie in the same buffers, each from its own offset, are one dispatch)
// launch    of each table one invocation per (distinct id, column) for the worst case; those past the count return
// writes    the touched rows of table, m and v, each cell once (ids are distinct); no row without an entry
// sums      ascending e in one f32; of a run of 2 CHUNK entries or more the sums of its chunks first (of segment_chunks);
//           moments below 1e-36 become 0
// cost      reads every source row once; per distinct id 6 * dim words
// twin      crates/rt-kernels/src/kernels/update_rows.rs

override WG: u32 = 64u;
override CHUNK: u32 = 256u;

const TINY: f32 = 1e-36;

const TABLES: u32 = 16u;

struct Table {
    group: u32, // first workgroup
    dim: u32,
    source_offset: u32,
    source_stride: u32,
    segments_offset: u32,
    chunks_offset: u32,
    chunks_stride: u32,
    weights_offset: u32,
    weights_stride: u32,
    m_offset: u32,
    m_stride: u32,
    v_offset: u32,
    v_stride: u32,
    rows: u32, // of the table; a row past it is left alone
    reserved_1: u32,
    reserved_2: u32,
}

struct Params {
    tables: u32,
    beta1: f32,
    rest1: f32, // 1 - beta1
    beta2: f32,
    rest2: f32, // 1 - beta2
    eps: f32,
    sources_offset: u32,
    sources_stride: u32,
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
@group(0) @binding(2) var<storage, read> source: array<f32>;
@group(0) @binding(3) var<storage, read> sources: array<u32>;
@group(0) @binding(4) var<storage, read> segments: array<u32>;
@group(0) @binding(5) var<storage, read> chunks: array<f32>;
@group(0) @binding(6) var<storage, read_write> weights: array<f32>;
@group(0) @binding(7) var<storage, read_write> moment: array<f32>;
@group(0) @binding(8) var<storage, read_write> square: array<f32>;

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
    let k = cell / table.dim;
    let column = cell % table.dim;
    if k >= segments[table.segments_offset] {
        return; // the grid is the worst case
    }
    let id = segments[table.segments_offset + 2u * k + 2u];
    if id >= table.rows {
        return;
    }
    let end = segments[table.segments_offset + 2u * k + 3u];
    var e = segments[table.segments_offset + 2u * k + 1u];
    var g = 0.0;
    if end - e >= 2u * CHUNK {
        let filled = (end - e) / CHUNK;
        let first = (e - segments[table.segments_offset + 1u]) / CHUNK;
        for (var j = first; j < first + filled; j += 1u) {
            g += chunks[table.chunks_offset + j * table.chunks_stride + column];
        }
        e += filled * CHUNK;
    }
    for (; e < end; e += 1u) {
        let row = sources[params.sources_offset + e * params.sources_stride];
        g += source[table.source_offset + row * table.source_stride + column];
    }
    let at_m = table.m_offset + id * table.m_stride + column;
    let at_v = table.v_offset + id * table.v_stride + column;
    var m = params.beta1 * moment[at_m] + params.rest1 * g;
    var v = params.beta2 * square[at_v] + params.rest2 * g * g;
    m = select(m, 0.0, abs(m) < TINY);
    v = select(v, 0.0, v < TINY);
    moment[at_m] = m;
    square[at_v] = v;
    weights[table.weights_offset + id * table.weights_stride + column] -=
        step.lr_rows * (m * step.bias1_rows) / (sqrt(v * step.bias2_rows) + params.eps);
}
