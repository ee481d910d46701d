// softmax_gradient: gradient of the softmax loss for users or for candidates, from logits made again in tiles.
//
//   g_ij = scale * weight_i * (exp(z_ij - lse_i) - [j is the positive]), 0 where masked
//   du_i = sum over j of g_ij v_j        (TRANSPOSED 0: a = u, b = v)
//   dv_j = sum over i of g_ij u_i        (TRANSPOSED 1: a = v, b = u)
//
// shapes    a, out [count, dim] f32, b [other, dim] f32 | logq [candidates] f32 | candidate_ids [candidates], target_ids [rows] u32 |
//           info [rows, 4] u32; offsets and strides in words
// launch    a workgroup of 16 x 16 lanes for 64 rows of a by 64 columns of out; it walks over tiles of 16 rows of b
// writes    every cell of out once
// sums      products over columns ascending in one f32; out over rows of b ascending in one f32
// cost      4 * rows * candidates * dim operations. Weak spot: widths past 64 make the logits again for each 64 columns.
// twin      crates/rt-kernels/src/kernels/softmax_loss/cpu.rs

override TRANSPOSED: u32 = 0u;

struct Params {
    rows: u32,
    candidates: u32,
    dim: u32,
    scale: f32,
    flags: u32, // 1 logq is there, 2 hits are masked, 4 the positive is corrected too, 8 own_logq is there
    a_offset: u32,
    a_stride: u32,
    b_offset: u32,
    b_stride: u32,
    logq_offset: u32,
    logq_stride: u32,
    candidate_ids_offset: u32,
    candidate_ids_stride: u32,
    target_ids_offset: u32,
    target_ids_stride: u32,
    out_offset: u32,
    out_stride: u32,
}

// info: four words a row: the positive's logit (f32), its candidate or NONE, log-sum-exp (f32), weight (f32)
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read> logq: array<f32>;
@group(0) @binding(5) var<storage, read> candidate_ids: array<u32>;
@group(0) @binding(6) var<storage, read> target_ids: array<u32>;
@group(0) @binding(7) var<storage, read> info: array<u32>;
@group(0) @binding(8) var<storage, read_write> out: array<f32>;

const TILE: u32 = 64u;
const WALK: u32 = 16u;
const DEPTH: u32 = 16u;

var<workgroup> tile_a: array<f32, 1024>; // [DEPTH, TILE]
var<workgroup> tile_b: array<f32, 256>; // [DEPTH, WALK]
var<workgroup> factors: array<f32, 1024>; // [WALK, TILE]
var<workgroup> values: array<f32, 1024>; // [WALK, TILE columns of b]

// g for row i and candidate j, from their product.
fn gradient(i: u32, j: u32, product: f32) -> f32 {
    let w = bitcast<f32>(info[i * 4u + 3u]);
    let lse = bitcast<f32>(info[i * 4u + 2u]);
    if j == info[i * 4u + 1u] {
        return params.scale * w * (exp(bitcast<f32>(info[i * 4u]) - lse) - 1.0);
    }
    var q = 0.0;
    if (params.flags & 1u) != 0u {
        q = logq[params.logq_offset + j * params.logq_stride];
    }
    var masked = q >= 1e29;
    if (params.flags & 2u) != 0u {
        let id = candidate_ids[params.candidate_ids_offset + j * params.candidate_ids_stride];
        masked = masked || id == target_ids[params.target_ids_offset + i * params.target_ids_stride];
    }
    let z = params.scale * product - q;
    return select(params.scale * w * exp(min(z - lse, 0.0)), 0.0, masked);
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
    let first_a = number / chunks * TILE;
    let first_column = number % chunks * TILE;
    let y = lane / 16u;
    let x = lane % 16u;
    // acc[r] holds row y * 4 + r of out, columns x * 4 .. x * 4 + 3.
    var acc: array<vec4<f32>, 4>;
    for (var first_b = 0u; first_b < other; first_b += WALK) {
        // products of rows y * 4 .. y * 4 + 3 of a with row x of b
        var product = vec4<f32>(0.0);
        for (var depth = 0u; depth < params.dim; depth += DEPTH) {
            for (var part = 0u; part < 4u; part += 1u) {
                let slot = part * 256u + lane;
                let column = depth + slot % DEPTH;
                let place = first_a + slot / DEPTH;
                var value = 0.0;
                if place < count && column < params.dim {
                    value = a[params.a_offset + place * params.a_stride + column];
                }
                tile_a[slot % DEPTH * TILE + slot / DEPTH] = value;
            }
            let column = depth + lane % DEPTH;
            let place = first_b + lane / DEPTH;
            var value = 0.0;
            if place < other && column < params.dim {
                value = b[params.b_offset + place * params.b_stride + column];
            }
            tile_b[lane % DEPTH * WALK + lane / DEPTH] = value;
            workgroupBarrier();
            for (var k = 0u; k < DEPTH; k += 1u) {
                let four = vec4<f32>(
                    tile_a[k * TILE + y * 4u],
                    tile_a[k * TILE + y * 4u + 1u],
                    tile_a[k * TILE + y * 4u + 2u],
                    tile_a[k * TILE + y * 4u + 3u],
                );
                product += four * tile_b[k * WALK + x];
            }
            workgroupBarrier();
        }
        for (var r = 0u; r < 4u; r += 1u) {
            let from_a = first_a + y * 4u + r;
            let from_b = first_b + x;
            var g = 0.0;
            if from_a < count && from_b < other {
                if TRANSPOSED != 0u {
                    g = gradient(from_b, from_a, product[r]);
                } else {
                    g = gradient(from_a, from_b, product[r]);
                }
            }
            factors[x * TILE + y * 4u + r] = g;
        }
        for (var part = 0u; part < 4u; part += 1u) {
            let slot = part * 256u + lane;
            let column = first_column + slot % TILE;
            let place = first_b + slot / TILE;
            var value = 0.0;
            if place < other && column < params.dim {
                value = b[params.b_offset + place * params.b_stride + column];
            }
            values[slot] = value;
        }
        workgroupBarrier();
        for (var k = 0u; k < WALK; k += 1u) {
            let four = vec4<f32>(
                values[k * TILE + x * 4u],
                values[k * TILE + x * 4u + 1u],
                values[k * TILE + x * 4u + 2u],
                values[k * TILE + x * 4u + 3u],
            );
            for (var r = 0u; r < 4u; r += 1u) {
                acc[r] += factors[k * TILE + y * 4u + r] * four;
            }
        }
        workgroupBarrier();
    }
    for (var r = 0u; r < 4u; r += 1u) {
        let row = first_a + y * 4u + r;
        for (var c = 0u; c < 4u; c += 1u) {
            let column = first_column + x * 4u + c;
            if row < count && column < params.dim {
                out[params.out_offset + row * params.out_stride + column] = acc[r][c];
            }
        }
    }
}
