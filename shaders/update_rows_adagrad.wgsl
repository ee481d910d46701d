// update_rows_adagrad: row-wise Adagrad on the rows of a table that a step touched.
//
//   g = sum of source[sources[e], :] over the run of a distinct id
//   state[id] += mean over columns of g^2;  table[id, :] -= lr_rows * g / (sqrt(state[id]) + eps)
//
// shapes    source [any, dim] f32 | sources u32 (of group) | segments u32 (the table's, of segment_pack) | chunks f32 (of
//           segment_chunks) | table [any, dim] f32 | state [any, 1] f32
// expects   dim at most 4 000 (a row's gradient stays in workgroup memory)
// launch    workgroups of 64 lanes; LANES = min(64, next power of two of dim) lanes an id, so 64 / LANES ids a workgroup;
//           CELLS = 64 / LANES * dim words hold their gradients
// writes    the touched rows of table and state, each cell once (keys are distinct); no row without an entry
// sums      g: ascending e in one f32 a column; of a run of 2 CHUNK entries or more the sums of its chunks first. g^2:
//           each lane its columns ascending, then a binary tree over the lanes
// cost      reads every source row once; per distinct id 2 * dim + 2 words. Weak spot: the lanes of a workgroup wait for
//           its longest run
// twin      crates/rt-kernels/src/kernels/update_rows.rs

override CHUNK: u32 = 256u;
override LANES: u32 = 64u;
override CELLS: u32 = 64u;
// 0: all; 1: the state alone, the table is not bound; 2: the table alone, by a state that is up to date. A table cut
// into slabs of columns takes part 1 once over the whole rows, then part 2 on each slab.
override PART: u32 = 0u;

struct Params {
    capacity: u32,
    dim: u32,
    eps: f32,
    inv_dim: f32,
    source_offset: u32,
    source_stride: u32,
    sources_offset: u32,
    sources_stride: u32,
    segments_offset: u32,
    chunks_offset: u32,
    chunks_stride: u32,
    weights_offset: u32,
    weights_stride: u32,
    state_offset: u32,
    state_stride: u32,
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
    let slot = lane / LANES; // which id of the workgroup
    let rank = lane % LANES; // which lane of the id
    let k = (group.y * groups.x + group.x) * (64u / LANES) + slot;
    // Barriers follow: lanes without an id stay and do nothing.
    let has_id = k < segments[params.segments_offset];
    var id = 0u;
    var squares = 0.0;
    if has_id {
        id = segments[params.segments_offset + 2u * k + 2u];
        let begin = segments[params.segments_offset + 2u * k + 1u];
        let end = segments[params.segments_offset + 2u * k + 3u];
        for (var column = rank; column < params.dim; column += LANES) {
            var e = begin;
            var g = 0.0;
            if end - e >= 2u * CHUNK {
                let filled = (end - e) / CHUNK;
                let first = (begin - segments[params.segments_offset + 1u]) / CHUNK;
                for (var j = first; j < first + filled; j += 1u) {
                    g += chunks[params.chunks_offset + j * params.chunks_stride + column];
                }
                e += filled * CHUNK;
            }
            for (; e < end; e += 1u) {
                let row = sources[params.sources_offset + e * params.sources_stride];
                g += source[params.source_offset + row * params.source_stride + column];
            }
            gradient[slot * params.dim + column] = g;
            squares += g * g;
        }
    }
    let place = params.state_offset + id * params.state_stride;
    if PART != 2u {
        partial[lane] = squares;
        workgroupBarrier();
        for (var width = LANES / 2u; width > 0u; width /= 2u) {
            if rank < width {
                partial[lane] += partial[lane + width];
            }
            workgroupBarrier();
        }
        if has_id {
            // Every lane of the id computes the new accumulator from the old one; lane 0 alone stores it, after the
            // barrier.
            squares = state[place] + partial[slot * LANES] * params.inv_dim;
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
        for (var column = rank; column < params.dim; column += LANES) {
            weights[params.weights_offset + id * params.weights_stride + column] -=
                rate * gradient[slot * params.dim + column];
        }
    }
}
