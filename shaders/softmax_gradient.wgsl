// softmax_gradient: gradient of the softmax loss for users or for candidates, from logits made again in tiles.
//
//   g_ij = scale * weight_i * (exp(z_ij - lse_i) - (1 - smoothing) [j is the positive] - spread_i), 0 where masked
//   du_i = sum over j of g_ij v_j        (TRANSPOSED 0: a = u, b = v)
//   dv_j = sum over i of g_ij u_i        (TRANSPOSED 1: a = v, b = u)
//
// shapes    a, out [count, dim] f32, b [other, dim] f32 | logq [candidates] f32 | candidate_ids [candidates] u32 |
//           mask [rows, ceil(candidates / 32)] u32, a bit is set where a candidate is left out | info [rows, 6] u32; offsets and strides in words
// launch    a workgroup of 16 x 16 lanes for 64 rows of a by 64 columns of out and each of `parts` ranges of `span`
//           rows of b (a multiple of 64); it walks over tiles of 64 rows of b. Range p is written `part_stride` words after
//           range p - 1 (parts > 1: out is scratch that gemm_sum.wgsl adds up)
// writes    every cell of out once
// sums      products over columns ascending in one f32; out over rows of b ascending in one f32 for each part
// cost      4 * rows * candidates * dim operations. Weak spot: widths past 64 make the logits again for each 64 columns.
// twin      crates/rt-kernels/src/kernels/softmax_loss/cpu.rs

override TRANSPOSED: u32 = 0u;

struct Params {
    rows: u32,
    candidates: u32,
    dim: u32,
    scale: f32,
    flags: u32, // 1 logq is there, 2 hits are masked, 4 the positive is corrected too, 8 own_logq is there, 16 mask is there
    smoothing: f32,
    parts: u32,
    span: u32,
    part_stride: u32,
    a_offset: u32,
    a_stride: u32,
    b_offset: u32,
    b_stride: u32,
    logq_offset: u32,
    logq_stride: u32,
    candidate_ids_offset: u32,
    candidate_ids_stride: u32,
    mask_offset: u32,
    mask_stride: u32,
    out_offset: u32,
    out_stride: u32,
}

// info: six words a row: the positive's logit (f32), its candidate or NONE, log-sum-exp (f32), weight (f32), the share of the target
// that smoothing gives to each candidate (f32), the target's id
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read> logq: array<f32>;
@group(0) @binding(5) var<storage, read> candidate_ids: array<u32>;
@group(0) @binding(6) var<storage, read> mask: array<u32>;
@group(0) @binding(7) var<storage, read> info: array<u32>;
@group(0) @binding(8) var<storage, read_write> out: array<f32>;

const TILE: u32 = 64u;
const DEPTH: u32 = 16u;

// Word k * 16 + q holds rows 4 q .. 4 q + 3 of a (of b) at column k; then factors of 16 rows of b by 64 rows of a, and those
// rows of b by 64 columns.
var<workgroup> a_tile: array<vec4<f32>, 256>;
var<workgroup> b_tile: array<vec4<f32>, 256>;

fn read_a(row: u32, column: u32, count: u32) -> f32 {
    var x = 0.0;
    if row < count && column < params.dim {
        x = a[params.a_offset + row * params.a_stride + column];
    }
    return x;
}

fn read_b(row: u32, column: u32, end: u32) -> f32 {
    var x = 0.0;
    if row < end && column < params.dim {
        x = b[params.b_offset + row * params.b_stride + column];
    }
    return x;
}

// What a row or a candidate brings to a gradient.
struct Row {
    positive: f32,
    candidate: u32,
    lse: f32,
    factor: f32,
    spread: f32,
    target_id: u32,
}

struct Candidate {
    logq: f32,
    id: u32,
}

fn row_of(i: u32) -> Row {
    let place = min(i, params.rows - 1u);
    let w = select(0.0, bitcast<f32>(info[place * 6u + 3u]), i < params.rows);
    return Row(
        bitcast<f32>(info[place * 6u]),
        info[place * 6u + 1u],
        bitcast<f32>(info[place * 6u + 2u]),
        params.scale * w,
        bitcast<f32>(info[place * 6u + 4u]),
        info[place * 6u + 5u],
    );
}

fn candidate_of(j: u32) -> Candidate {
    let place = min(j, params.candidates - 1u);
    var q = 0.0;
    if (params.flags & 1u) != 0u {
        q = logq[params.logq_offset + place * params.logq_stride];
    }
    var id = 0u;
    if (params.flags & 2u) != 0u {
        id = candidate_ids[params.candidate_ids_offset + place * params.candidate_ids_stride];
    }
    return Candidate(select(1e30, q, j < params.candidates), id);
}

// Does the mask leave candidate j out of row i?
fn is_masked(i: u32, j: u32) -> bool {
    var word = 0u;
    if (params.flags & 16u) != 0u {
        let column = min(j, params.candidates - 1u) / 32u;
        word = mask[params.mask_offset + min(i, params.rows - 1u) * params.mask_stride + column];
    }
    return ((word >> (j % 32u)) & 1u) != 0u;
}

fn gradient(row: Row, i: u32, j: u32, candidate: Candidate, product: f32) -> f32 {
    let positive = j == row.candidate;
    let hit = (params.flags & 2u) != 0u && candidate.id == row.target_id;
    let z = select(params.scale * product - candidate.logq, row.positive, positive);
    let share = exp(min(z - row.lse, 0.0)) - select(0.0, 1.0 - params.smoothing, positive) - row.spread;
    return select(row.factor * share, 0.0, (candidate.logq >= 1e29 || hit || is_masked(i, j)) && !positive);
}

// Factors of four rows of a with row `from_b` of b.
fn factors(from_a: u32, from_b: u32, products: vec4<f32>) -> vec4<f32> {
    var g = vec4(0.0);
    if TRANSPOSED != 0u {
        let row = row_of(from_b);
        for (var e = 0u; e < 4u; e += 1u) {
            g[e] = gradient(row, from_b, from_a + e, candidate_of(from_a + e), products[e]);
        }
    } else {
        let candidate = candidate_of(from_b);
        for (var e = 0u; e < 4u; e += 1u) {
            g[e] = gradient(row_of(from_a + e), from_a + e, from_b, candidate, products[e]);
        }
    }
    return g;
}

fn write(part: u32, row: u32, column: u32, count: u32, sums: vec4<f32>) {
    if column >= params.dim {
        return;
    }
    for (var e = 0u; e < 4u && row + e < count; e += 1u) {
        out[params.out_offset + part * params.part_stride + (row + e) * params.out_stride + column] = sums[e];
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let count = select(params.rows, params.candidates, TRANSPOSED != 0u);
    let other = select(params.candidates, params.rows, TRANSPOSED != 0u);
    let number = group.y * groups.x + group.x;
    let chunks = (params.dim + TILE - 1u) / TILE;
    let tiles = chunks * ((count + TILE - 1u) / TILE);
    if number >= tiles * params.parts {
        return;
    }
    let part = number / tiles;
    let first_a = number % tiles / chunks * TILE;
    let first_column = number % chunks * TILE;
    let end = min((part + 1u) * params.span, other);
    let x = lane % 16u;
    let y = lane / 16u;
    // d0 .. d3: columns 4 x .. 4 x + 3 of out, each for rows 4 y .. 4 y + 3
    var d0 = vec4(0.0);
    var d1 = vec4(0.0);
    var d2 = vec4(0.0);
    var d3 = vec4(0.0);
    for (var first_b = part * params.span; first_b < end; first_b += TILE) {
        // c0 .. c3: products of rows 4 y .. 4 y + 3 of a with rows 4 x .. 4 x + 3 of b
        var c0 = vec4(0.0);
        var c1 = vec4(0.0);
        var c2 = vec4(0.0);
        var c3 = vec4(0.0);
        for (var depth = 0u; depth < params.dim; depth += DEPTH) {
            let r = first_a + 4u * y;
            let c = first_b + 4u * y;
            let k = depth + x; // neighbouring lanes read neighbouring columns
            a_tile[x * 16u + y] =
                vec4(read_a(r, k, count), read_a(r + 1u, k, count), read_a(r + 2u, k, count), read_a(r + 3u, k, count));
            b_tile[x * 16u + y] =
                vec4(read_b(c, k, end), read_b(c + 1u, k, end), read_b(c + 2u, k, end), read_b(c + 3u, k, end));
            workgroupBarrier();
            for (var i = 0u; i < DEPTH; i += 1u) {
                let p = a_tile[i * 16u + y];
                let q = b_tile[i * 16u + x];
                c0 += p * q.x;
                c1 += p * q.y;
                c2 += p * q.z;
                c3 += p * q.w;
            }
            workgroupBarrier();
        }
        let from_a = first_a + 4u * y;
        let from_b = first_b + 4u * x;
        c0 = factors(from_a, from_b, c0);
        c1 = factors(from_a, from_b + 1u, c1);
        c2 = factors(from_a, from_b + 2u, c2);
        c3 = factors(from_a, from_b + 3u, c3);
        // Sixteen rows of b at a time: the lanes that hold their factors lay them out.
        for (var quarter = 0u; quarter < 4u; quarter += 1u) {
            if x / 4u == quarter {
                let place = x % 4u * 64u + y;
                a_tile[place] = c0;
                a_tile[place + 16u] = c1;
                a_tile[place + 32u] = c2;
                a_tile[place + 48u] = c3;
            }
            let r = first_b + quarter * 16u + y;
            let c = first_column + 4u * x;
            b_tile[y * 16u + x] =
                vec4(read_b(r, c, end), read_b(r, c + 1u, end), read_b(r, c + 2u, end), read_b(r, c + 3u, end));
            workgroupBarrier();
            for (var i = 0u; i < DEPTH; i += 1u) {
                let p = a_tile[i * 16u + y];
                let q = b_tile[i * 16u + x];
                d0 += p * q.x;
                d1 += p * q.y;
                d2 += p * q.z;
                d3 += p * q.w;
            }
            workgroupBarrier();
        }
    }

    let r = first_a + 4u * y;
    let c = first_column + 4u * x;
    write(part, r, c, count, d0);
    write(part, r, c + 1u, count, d1);
    write(part, r, c + 2u, count, d2);
    write(part, r, c + 3u, count, d3);
}
