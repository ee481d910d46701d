// update_rows_adagrad: row-wise Adagrad on the rows of tables that a step touched.
//
//   g = sum of source[sources[e], :] over the run of a distinct id
//   state[id] += mean over columns of g^2;  table[id, :] -= lr_rows * g / (sqrt(state[id]) + eps)
//
// shapes    source [any, dim] f32 | sources u32 (of group) | segments u32 (the table's, of segment_pack) | chunks f32 (of
//           segment_chunks) | table [any, dim] f32 | state [any, 1] f32
//           (tables whose operands lie in the same buffers, each from its own offset, are one dispatch)
// expects   dim at most 4 000 (a row's gradient stays in workgroup memory)
// launch    workgroups of 64 lanes; `lanes` = min(64, next power of two of dim) lanes an id, so 64 / lanes ids of one
//           table a workgroup; CELLS words, 64 / lanes * dim of the table that has most, hold their gradients
// writes    the touched rows of table and state, each cell once (keys are distinct); no row without an entry
// sums      g: ascending e in one f32 a column; of a run of 2 CHUNK entries or more the sums of its chunks first. g^2:
//           each lane its columns ascending, then a binary tree over the lanes
// cost      reads every source row once; per distinct id 2 * dim + 2 words. Weak spot: the lanes of a workgroup wait for
//           its longest run
// twin      crates/rt-kernels/src/kernels/update_rows.rs

override CHUNK: u32 = 256u;
override CELLS: u32 = 64u;
// 0: all; 1: the state alone, the table is not bound; 2: the table alone, by a state that is up to date. A table cut
// into slabs of columns takes part 1 once over the whole rows, then part 2 on each slab.
override PART: u32 = 0u;

const TABLES: u32 = 16u;

struct Table {
    group: u32, // first workgroup
    dim: u32,
    lanes: u32,
    inv_dim: f32,
    source_offset: u32,
    source_stride: u32,
    segments_offset: u32,
    chunks_offset: u32,
    chunks_stride: u32,
    weights_offset: u32,
    weights_stride: u32,
    state_offset: u32,
    state_stride: u32,
    rows: u32, // of the table; a row past it is left alone
    reserved_1: u32,
    reserved_2: u32,
}

struct Params {
    tables: u32,
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
@group(0) @binding(7) var<storage, read_write> state: array<f32>;

var<workgroup> gradient: array<f32, CELLS>;
var<workgroup> partial: array<f32, 64>;

@compute @workgroup_size(64)
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
    let lanes = table.lanes;
    let slot = lane / lanes; // which id of the workgroup
    let rank = lane % lanes; // which lane of the id
    let k = (number - table.group) * (64u / lanes) + slot;
    // Barriers follow: lanes without an id stay and do nothing.
    var has_id = k < segments[table.segments_offset];
    var id = 0u;
    var squares = 0.0;
    if has_id {
        id = segments[table.segments_offset + 2u * k + 2u];
        has_id = id < table.rows;
    }
    if has_id {
        let begin = segments[table.segments_offset + 2u * k + 1u];
        let end = segments[table.segments_offset + 2u * k + 3u];
        for (var column = rank; column < table.dim; column += lanes) {
            var e = begin;
            var g = 0.0;
            if end - e >= 2u * CHUNK {
                let filled = (end - e) / CHUNK;
                let first = (begin - segments[table.segments_offset + 1u]) / CHUNK;
                for (var j = first; j < first + filled; j += 1u) {
                    g += chunks[table.chunks_offset + j * table.chunks_stride + column];
                }
                e += filled * CHUNK;
            }
            for (; e < end; e += 1u) {
                let row = sources[params.sources_offset + e * params.sources_stride];
                g += source[table.source_offset + row * table.source_stride + column];
            }
            gradient[slot * table.dim + column] = g;
            squares += g * g;
        }
    }
    let place = table.state_offset + select(0u, id, has_id) * table.state_stride;
    if PART != 2u {
        partial[lane] = squares;
        workgroupBarrier();
        for (var width = lanes / 2u; width > 0u; width /= 2u) {
            if rank < width {
                partial[lane] += partial[lane + width];
            }
            workgroupBarrier();
        }
        if has_id {
            // Every lane of the id computes the new accumulator from the old one; lane 0 alone stores it, after the
            // barrier.
            squares = state[place] + partial[slot * lanes] * table.inv_dim;
        }
        workgroupBarrier();
        if has_id && rank == 0u {
            state[place] = squares;
        }
    } else if has_id {
        squares = state[place];
    }
    if has_id && PART != 1u {
        let rate = step.lr_rows / (sqrt(squares) + params.eps);
        for (var column = rank; column < table.dim; column += lanes) {
            weights[table.weights_offset + id * table.weights_stride + column] -=
                rate * gradient[slot * table.dim + column];
        }
    }
}
