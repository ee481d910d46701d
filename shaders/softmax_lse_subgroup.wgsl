// softmax_lse_subgroup: running log-sum-exp over candidates, for software drivers with subgroups of eight lanes.
//
//   (m_i, s_i) with lse_i = m_i + ln s_i over the candidates that are neither masked nor the positive; with SMOOTHED the sum and
//   the number of their logits too
//
// shapes    u [rows, dim], v [candidates, dim] f32, dim at most COLUMNS | logq [candidates] f32 | candidate_ids [candidates]
//           u32 | mask [rows, ceil(candidates / 32)] u32, a bit is set where a candidate is left
//           out | info [rows, 6] u32 | partial_sums [parts, rows, 2] f32, with SMOOTHED [parts, rows, 4]; offsets and strides in words
// launch    a subgroup of 8 lanes for 32 rows and each of `parts` ranges of `span` candidates (a multiple of 8). A lane keeps
//           four rows whole in registers: such a driver takes as long for a memory access as for 30 multiply-adds, so each word
//           of a candidate is read once for 32 rows and handed round by shuffles.
// writes    every cell of partial_sums once
// sums      products over even and over odd columns ascending, each in one f32; candidates ascending
// cost      2 * rows * candidates * dim operations; reads v once for 32 rows. Weak spot: widths past 64 do not fit.
// twin      crates/rt-kernels/src/kernels/softmax_loss/cpu.rs

// 1: sum and number of the logits are wanted
override SMOOTHED: u32 = 0u;
override COLUMNS: u32 = 64u; // 16, 32 or 64: the columns that are held

struct Params {
    rows: u32,
    candidates: u32,
    dim: u32,
    scale: f32,
    flags: u32, // 1 logq is there, 2 hits are masked, 4 the positive is corrected too, 8 own_logq is there, 16 mask is there
    smoothing: f32,
    parts: u32,
    span: u32,
    u_offset: u32,
    u_stride: u32,
    v_offset: u32,
    v_stride: u32,
    logq_offset: u32,
    logq_stride: u32,
    candidate_ids_offset: u32,
    candidate_ids_stride: u32,
    mask_offset: u32,
    mask_stride: u32,
}

// info: six words a row: the positive's logit (f32), its candidate or NONE, log-sum-exp (f32), weight (f32), the share of the target
// that smoothing gives to each candidate (f32), the target's id
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> u: array<f32>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read> logq: array<f32>;
@group(0) @binding(5) var<storage, read> candidate_ids: array<u32>;
@group(0) @binding(6) var<storage, read> mask: array<u32>;
@group(0) @binding(7) var<storage, read> info: array<u32>;
@group(0) @binding(8) var<storage, read_write> partial_sums: array<f32>;

const LANES: u32 = 8u;
const ROWS: u32 = 32u;
const MASKED: f32 = -1e30;

// Eight columns of a lane's four rows.
struct Eight {
    c0: vec4<f32>,
    c1: vec4<f32>,
    c2: vec4<f32>,
    c3: vec4<f32>,
    c4: vec4<f32>,
    c5: vec4<f32>,
    c6: vec4<f32>,
    c7: vec4<f32>,
}

// By their bits: compilers may take comparisons of floats to be between numbers.
fn are_nan(x: vec4<f32>) -> vec4<bool> {
    return (bitcast<vec4<u32>>(x) & vec4(0x7fffffffu)) > vec4(0x7f800000u);
}

// Column `column` of rows that start at words `places`; 0 past the width.
fn column_of(places: vec4<u32>, column: u32) -> vec4<f32> {
    let c = min(column, params.dim - 1u);
    let x = vec4(u[places.x + c], u[places.y + c], u[places.z + c], u[places.w + c]);
    return select(vec4(0.0), x, vec4(column < params.dim));
}

fn eight_of(places: vec4<u32>, column: u32) -> Eight {
    return Eight(
        column_of(places, column + 0u),
        column_of(places, column + 1u),
        column_of(places, column + 2u),
        column_of(places, column + 3u),
        column_of(places, column + 4u),
        column_of(places, column + 5u),
        column_of(places, column + 6u),
        column_of(places, column + 7u),
    );
}

// `x` where `take`, else `y`.
fn pick(take: bool, x: Eight, y: Eight) -> Eight {
    let t = vec4(take);
    return Eight(
        select(y.c0, x.c0, t),
        select(y.c1, x.c1, t),
        select(y.c2, x.c2, t),
        select(y.c3, x.c3, t),
        select(y.c4, x.c4, t),
        select(y.c5, x.c5, t),
        select(y.c6, x.c6, t),
        select(y.c7, x.c7, t),
    );
}

// The products' sums over eight columns, of which lane k holds the k-th of the other vector: even columns, odd columns.
struct Sums {
    even: vec4<f32>,
    odd: vec4<f32>,
}

fn dot_eight(sums: Sums, x: Eight, y: f32) -> Sums {
    var even = sums.even;
    var odd = sums.odd;
    even += x.c0 * subgroupShuffle(y, 0u);
    odd += x.c1 * subgroupShuffle(y, 1u);
    even += x.c2 * subgroupShuffle(y, 2u);
    odd += x.c3 * subgroupShuffle(y, 3u);
    even += x.c4 * subgroupShuffle(y, 4u);
    odd += x.c5 * subgroupShuffle(y, 5u);
    even += x.c6 * subgroupShuffle(y, 6u);
    odd += x.c7 * subgroupShuffle(y, 7u);
    return Sums(even, odd);
}

// The lane's column of eight from `column` on. Past the width any word will do: the rows hold 0 there.
fn mine_of(place: u32, column: u32) -> f32 {
    return v[place + min(column, params.dim - 1u)];
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let number = group.y * groups.x + group.x;
    let tiles = (params.rows + ROWS - 1u) / ROWS;
    if number >= tiles * params.parts {
        return;
    }
    let part = number / tiles;
    let row = number % tiles * ROWS + lane + vec4(0u, 8u, 16u, 24u);
    let kept = min(row, vec4(params.rows - 1u));
    let end = min((part + 1u) * params.span, params.candidates);
    let corrected = (params.flags & 1u) != 0u;
    let hits = (params.flags & 2u) != 0u;
    let masked = (params.flags & 16u) != 0u;
    let words = params.mask_offset + kept * params.mask_stride;
    let i = kept * 6u + 1u;
    let positives = vec4(info[i.x], info[i.y], info[i.z], info[i.w]);
    let targets = vec4(info[i.x + 4u], info[i.y + 4u], info[i.z + 4u], info[i.w + 4u]);
    let places = params.u_offset + kept * params.u_stride;
    var u0: Eight;
    var u1: Eight;
    var u2: Eight;
    var u3: Eight;
    var u4: Eight;
    var u5: Eight;
    var u6: Eight;
    var u7: Eight;
    // A loop with selections, because a driver takes long to compile 256 loads.
    for (var column = 0u; column < params.dim; column += 8u) {
        let x = eight_of(places, column);
        u0 = pick(column == 0u, x, u0);
        u1 = pick(column == 8u, x, u1);
        if COLUMNS > 16u {
            u2 = pick(column == 16u, x, u2);
            u3 = pick(column == 24u, x, u3);
        }
        if COLUMNS > 32u {
            u4 = pick(column == 32u, x, u4);
            u5 = pick(column == 40u, x, u5);
            u6 = pick(column == 48u, x, u6);
            u7 = pick(column == 56u, x, u7);
        }
    }
    var running = vec4(MASKED);
    var sum = vec4(0.0);
    var total = vec4(0.0);
    var number_of = vec4(0.0);
    var seen = vec4(0.0); // the maximum may drop NaN, a sum of all logits does not
    for (var first = part * params.span; first < end; first += LANES) {
        // Lane l holds what candidate first + l brings.
        let own = min(first + lane, params.candidates - 1u);
        var logqs = 0.0;
        if corrected {
            logqs = logq[params.logq_offset + own * params.logq_stride];
        }
        var ids = 0u;
        if hits {
            ids = candidate_ids[params.candidate_ids_offset + own * params.candidate_ids_stride];
        }
        // Eight candidates stand in one word.
        var bits = vec4<u32>();
        if masked {
            let w = words + first / 32u;
            bits = vec4(mask[w.x], mask[w.y], mask[w.z], mask[w.w]) >> vec4(first % 32u);
        }
        let count = min(end - first, LANES);
        for (var l = 0u; l < count; l += 1u) {
            let place = params.v_offset + (first + l) * params.v_stride;
            var sums = Sums();
            sums = dot_eight(sums, u0, mine_of(place, lane));
            sums = dot_eight(sums, u1, mine_of(place, lane + 8u));
            if COLUMNS > 16u {
                sums = dot_eight(sums, u2, mine_of(place, lane + 16u));
                sums = dot_eight(sums, u3, mine_of(place, lane + 24u));
            }
            if COLUMNS > 32u {
                sums = dot_eight(sums, u4, mine_of(place, lane + 32u));
                sums = dot_eight(sums, u5, mine_of(place, lane + 40u));
                sums = dot_eight(sums, u6, mine_of(place, lane + 48u));
                sums = dot_eight(sums, u7, mine_of(place, lane + 56u));
            }
            let q = subgroupShuffle(logqs, l);
            let hit = (targets == vec4(subgroupShuffle(ids, l))) & vec4(hits);
            let left_out = ((bits >> vec4(l)) & vec4(1u)) != vec4(0u);
            let out = (positives == vec4(first + l)) | vec4(q >= 1e29) | hit | left_out;
            let z = select(params.scale * (sums.even + sums.odd) - q, vec4(MASKED), out);
            // One exponential whichever is the larger; a masked z is never above the maximum.
            let share = exp(max(-abs(z - running), vec4(-80.0)));
            sum = select(sum + select(share, vec4(0.0), out), sum * share + 1.0, z > running);
            running = max(running, z);
            seen += z;
            if SMOOTHED != 0u {
                total += select(z, vec4(0.0), out);
                number_of += select(vec4(1.0), vec4(0.0), out);
            }
        }
    }
    sum = select(sum, seen, are_nan(seen));
    for (var e = 0u; e < 4u; e += 1u) {
        if row[e] < params.rows {
            let width = select(2u, 4u, SMOOTHED != 0u);
            let place = (part * params.rows + row[e]) * width;
            partial_sums[place] = running[e];
            partial_sums[place + 1u] = sum[e];
            if SMOOTHED != 0u {
                partial_sums[place + 2u] = total[e];
                partial_sums[place + 3u] = number_of[e];
            }
        }
    }
}
