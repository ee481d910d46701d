// softmax_lse: log-sum-exp of each row over all candidates and its positive, in tiles; no logit is stored.
//
//   z_ij = scale * u_i . v_j - logq_j; lse_i = ln(exp(z_i,pos) + sum over j != pos, not masked, of exp(z_ij))
//
// shapes    u [rows, dim] f32 | v [candidates, dim] f32 | logq [candidates] f32 | candidate_ids [candidates], target_ids [rows]
//           u32 | info [rows, 4] u32; offsets and strides in words
// launch    a workgroup of 16 x 16 lanes for 64 rows; it walks over tiles of 64 candidates, a lane has 4 x 4 logits
// writes    word 2 of each row's info once
// sums      products over columns ascending in one f32; a lane keeps a running maximum and sum over its candidates, ascending;
//           the 16 lanes of a row are merged in order, the positive last
// cost      2 * rows * candidates * dim operations; reads v once for 64 rows
// twin      crates/rt-kernels/src/kernels/softmax_loss/cpu.rs

struct Params {
    rows: u32,
    candidates: u32,
    dim: u32,
    scale: f32,
    flags: u32, // 1 logq is there, 2 hits are masked, 4 the positive is corrected too, 8 own_logq is there
    u_offset: u32,
    u_stride: u32,
    v_offset: u32,
    v_stride: u32,
    logq_offset: u32,
    logq_stride: u32,
    candidate_ids_offset: u32,
    candidate_ids_stride: u32,
    target_ids_offset: u32,
    target_ids_stride: u32,
}

// info: four words a row: the positive's logit (f32), its candidate or NONE, log-sum-exp (f32), weight (f32)
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> u: array<f32>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read> logq: array<f32>;
@group(0) @binding(5) var<storage, read> candidate_ids: array<u32>;
@group(0) @binding(6) var<storage, read> target_ids: array<u32>;
@group(0) @binding(7) var<storage, read_write> info: array<u32>;

const TILE: u32 = 64u;
const DEPTH: u32 = 16u;
const MASKED: f32 = -1e30;

var<workgroup> us: array<f32, 1024>; // [DEPTH, TILE]
var<workgroup> vs: array<f32, 1024>;
var<workgroup> largest: array<f32, 1024>; // [TILE, 16 lanes]
var<workgroup> sums: array<f32, 1024>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first_row = (group.y * groups.x + group.x) * TILE;
    let y = lane / 16u;
    let x = lane % 16u;
    var running = vec4<f32>(MASKED);
    var sum = vec4<f32>(0.0);
    for (var first = 0u; first < params.candidates; first += TILE) {
        // acc[r] holds the logits of row y * 4 + r with candidates x * 4 .. x * 4 + 3.
        var acc: array<vec4<f32>, 4>;
        for (var depth = 0u; depth < params.dim; depth += DEPTH) {
            for (var part = 0u; part < 4u; part += 1u) {
                let slot = part * 256u + lane;
                let column = depth + slot % DEPTH;
                let place = slot / DEPTH;
                let row = first_row + place;
                let candidate = first + place;
                var from_u = 0.0;
                if row < params.rows && column < params.dim {
                    from_u = u[params.u_offset + row * params.u_stride + column];
                }
                var from_v = 0.0;
                if candidate < params.candidates && column < params.dim {
                    from_v = v[params.v_offset + candidate * params.v_stride + column];
                }
                us[slot % DEPTH * TILE + place] = from_u;
                vs[slot % DEPTH * TILE + place] = from_v;
            }
            workgroupBarrier();
            for (var k = 0u; k < DEPTH; k += 1u) {
                let b = vec4<f32>(
                    vs[k * TILE + x * 4u],
                    vs[k * TILE + x * 4u + 1u],
                    vs[k * TILE + x * 4u + 2u],
                    vs[k * TILE + x * 4u + 3u],
                );
                for (var r = 0u; r < 4u; r += 1u) {
                    acc[r] += us[k * TILE + y * 4u + r] * b;
                }
            }
            workgroupBarrier();
        }
        for (var c = 0u; c < 4u; c += 1u) {
            let candidate = first + x * 4u + c;
            if candidate < params.candidates {
                var q = 0.0;
                if (params.flags & 1u) != 0u {
                    q = logq[params.logq_offset + candidate * params.logq_stride];
                }
                var id = 0u;
                if (params.flags & 2u) != 0u {
                    id = candidate_ids[params.candidate_ids_offset + candidate * params.candidate_ids_stride];
                }
                for (var r = 0u; r < 4u; r += 1u) {
                    let row = min(first_row + y * 4u + r, params.rows - 1u);
                    var out = q >= 1e29 || candidate == info[row * 4u + 1u];
                    if (params.flags & 2u) != 0u {
                        out = out || id == target_ids[params.target_ids_offset + row * params.target_ids_stride];
                    }
                    if !out {
                        let z = params.scale * acc[r][c] - q;
                        let top = max(running[r], z);
                        sum[r] = sum[r] * exp(running[r] - top) + exp(z - top);
                        running[r] = top;
                    }
                }
            }
        }
    }
    for (var r = 0u; r < 4u; r += 1u) {
        largest[(y * 4u + r) * 16u + x] = running[r];
        sums[(y * 4u + r) * 16u + x] = sum[r];
    }
    workgroupBarrier();
    let row = first_row + lane;
    if lane < TILE && row < params.rows {
        let positive = bitcast<f32>(info[row * 4u]);
        var top = positive;
        for (var l = 0u; l < 16u; l += 1u) {
            top = max(top, largest[lane * 16u + l]);
        }
        var total = 0.0;
        for (var l = 0u; l < 16u; l += 1u) {
            total += sums[lane * 16u + l] * exp(largest[lane * 16u + l] - top);
        }
        total += exp(positive - top);
        info[row * 4u + 2u] = bitcast<u32>(top + log(total));
    }
}
