// softmax_gradient_subgroup: gradient of the softmax loss, for software drivers with subgroups of eight lanes.
//
//   g_ij = scale * weight_i * (exp(z_ij - lse_i) - (1 - smoothing) [j is the positive] - spread_i), 0 where masked
//   du_i = sum over j of g_ij v_j        (TRANSPOSED 0: a = u, b = v)
//   dv_j = sum over i of g_ij u_i        (TRANSPOSED 1: a = v, b = u)
//
// shapes    a, out [count, dim] f32, b [other, dim] f32, dim at most COLUMNS | logq [candidates] f32 | candidate_ids
//           [candidates] u32 | mask [rows, ceil(candidates / 32)] u32, a bit is set where a candidate is left
//           out | info [rows, 6] u32; offsets and strides in words
// launch    a subgroup of 8 lanes for 32 rows of a and each of `parts` ranges of `span` rows of b (a multiple of 8). A lane
//           keeps four rows of a and of out whole in registers; each word of b is read once for 32 rows and handed round by
//           shuffles. Range p is written `part_stride` words after range p - 1 (parts > 1: out is scratch that gemm_sum.wgsl
//           adds up)
// writes    every cell of out once
// sums      products over even and over odd columns ascending, each in one f32; out over rows of b ascending in one f32 for
//           each part
// cost      4 * rows * candidates * dim operations; reads b once for 32 rows. Weak spot: widths past 64 do not fit.
// twin      crates/rt-kernels/src/kernels/softmax_loss/cpu.rs

override TRANSPOSED: u32 = 0u;
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

const LANES: u32 = 8u;
const ROWS: u32 = 32u;

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

// Column `column` of rows that start at words `places`; 0 past the width.
fn column_of(places: vec4<u32>, column: u32) -> vec4<f32> {
    let c = min(column, params.dim - 1u);
    let x = vec4(a[places.x + c], a[places.y + c], a[places.z + c], a[places.w + c]);
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

// Adds g times the eight columns, of which lane k holds the k-th.
fn add_eight(x: Eight, g: vec4<f32>, y: f32) -> Eight {
    return Eight(
        x.c0 + g * subgroupShuffle(y, 0u),
        x.c1 + g * subgroupShuffle(y, 1u),
        x.c2 + g * subgroupShuffle(y, 2u),
        x.c3 + g * subgroupShuffle(y, 3u),
        x.c4 + g * subgroupShuffle(y, 4u),
        x.c5 + g * subgroupShuffle(y, 5u),
        x.c6 + g * subgroupShuffle(y, 6u),
        x.c7 + g * subgroupShuffle(y, 7u),
    );
}

// The lane's column of eight from `column` on. Past the width any word will do: the rows hold 0 there, and such columns
// are not written.
fn mine_of(place: u32, column: u32) -> f32 {
    return b[place + min(column, params.dim - 1u)];
}

// What rows and candidates bring to a gradient; in a lane four of the one kind, and one of the other.
struct Rows {
    positive: vec4<f32>,
    candidate: vec4<u32>,
    lse: vec4<f32>,
    factor: vec4<f32>,
    spread: vec4<f32>,
    target_id: vec4<u32>,
}

struct Candidates {
    number: vec4<u32>,
    logq: vec4<f32>,
    id: vec4<u32>,
}

fn rows_of(row: vec4<u32>) -> Rows {
    let i = row * 6u;
    var r: Rows;
    r.positive = bitcast<vec4<f32>>(vec4(info[i.x], info[i.y], info[i.z], info[i.w]));
    r.candidate = vec4(info[i.x + 1u], info[i.y + 1u], info[i.z + 1u], info[i.w + 1u]);
    r.lse = bitcast<vec4<f32>>(vec4(info[i.x + 2u], info[i.y + 2u], info[i.z + 2u], info[i.w + 2u]));
    r.factor = params.scale * bitcast<vec4<f32>>(vec4(info[i.x + 3u], info[i.y + 3u], info[i.z + 3u], info[i.w + 3u]));
    r.spread = bitcast<vec4<f32>>(vec4(info[i.x + 4u], info[i.y + 4u], info[i.z + 4u], info[i.w + 4u]));
    r.target_id = vec4(info[i.x + 5u], info[i.y + 5u], info[i.z + 5u], info[i.w + 5u]);
    return r;
}

fn candidates_of(number: vec4<u32>) -> Candidates {
    var c: Candidates;
    c.number = number;
    if (params.flags & 1u) != 0u {
        let q = params.logq_offset + number * params.logq_stride;
        c.logq = vec4(logq[q.x], logq[q.y], logq[q.z], logq[q.w]);
    }
    if (params.flags & 2u) != 0u {
        let i = params.candidate_ids_offset + number * params.candidate_ids_stride;
        c.id = vec4(candidate_ids[i.x], candidate_ids[i.y], candidate_ids[i.z], candidate_ids[i.w]);
    }
    return c;
}

// What row (TRANSPOSED 1) or candidate (0) `i` of b brings.
struct Other {
    positive: f32,
    candidate: u32,
    lse: f32,
    factor: f32,
    spread: f32,
    logq: f32,
    id: u32,
}

fn other_of(i: u32) -> Other {
    var o: Other;
    if TRANSPOSED != 0u {
        o.positive = bitcast<f32>(info[i * 6u]);
        o.candidate = info[i * 6u + 1u];
        o.lse = bitcast<f32>(info[i * 6u + 2u]);
        o.factor = params.scale * bitcast<f32>(info[i * 6u + 3u]);
        o.spread = bitcast<f32>(info[i * 6u + 4u]);
        o.id = info[i * 6u + 5u];
    } else {
        if (params.flags & 1u) != 0u {
            o.logq = logq[params.logq_offset + i * params.logq_stride];
        }
        if (params.flags & 2u) != 0u {
            o.id = candidate_ids[params.candidate_ids_offset + i * params.candidate_ids_stride];
        }
    }
    return o;
}

fn gradients(r: Rows, c: Candidates, masked: vec4<bool>, products: vec4<f32>) -> vec4<f32> {
    let at_positive = r.candidate == c.number;
    let hit = (r.target_id == c.id) & vec4((params.flags & 2u) != 0u);
    let left_out = (hit | masked | (c.logq >= vec4(1e29))) & !at_positive;
    let z = select(params.scale * products - c.logq, r.positive, at_positive);
    let one = vec4(1.0 - params.smoothing);
    let share = exp(min(z - r.lse, vec4(0.0))) - select(vec4(0.0), one, at_positive) - r.spread;
    return select(r.factor * share, vec4(0.0), left_out);
}

// Does the mask leave them out? `kept` are a lane's four rows of a, `other` is the row of b.
fn masked_of(kept: vec4<u32>, other: u32) -> vec4<bool> {
    if (params.flags & 16u) == 0u {
        return vec4(false);
    }
    let row = select(kept, vec4(other), vec4(TRANSPOSED != 0u));
    let candidate = select(vec4(other), kept, vec4(TRANSPOSED != 0u));
    let w = params.mask_offset + row * params.mask_stride + candidate / 32u;
    let words = vec4(mask[w.x], mask[w.y], mask[w.z], mask[w.w]);
    return ((words >> (candidate % 32u)) & vec4(1u)) != vec4(0u);
}

fn write_eight(place: vec4<u32>, row: vec4<u32>, count: u32, column: u32, x: Eight) {
    write(place, row, count, column + 0u, x.c0);
    write(place, row, count, column + 1u, x.c1);
    write(place, row, count, column + 2u, x.c2);
    write(place, row, count, column + 3u, x.c3);
    write(place, row, count, column + 4u, x.c4);
    write(place, row, count, column + 5u, x.c5);
    write(place, row, count, column + 6u, x.c6);
    write(place, row, count, column + 7u, x.c7);
}

fn write(place: vec4<u32>, row: vec4<u32>, count: u32, column: u32, x: vec4<f32>) {
    for (var e = 0u; e < 4u; e += 1u) {
        if row[e] < count && column < params.dim {
            out[place[e] + column] = x[e];
        }
    }
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let count = select(params.rows, params.candidates, TRANSPOSED != 0u);
    let other = select(params.candidates, params.rows, TRANSPOSED != 0u);
    let number = group.y * groups.x + group.x;
    let tiles = (count + ROWS - 1u) / ROWS;
    if number >= tiles * params.parts {
        return;
    }
    let part = number / tiles;
    let row = number % tiles * ROWS + lane + vec4(0u, 8u, 16u, 24u);
    let kept = min(row, vec4(count - 1u));
    let end = min((part + 1u) * params.span, other);
    var rows: Rows;
    var candidates: Candidates;
    if TRANSPOSED != 0u {
        candidates = candidates_of(kept);
    } else {
        rows = rows_of(kept);
    }
    let places = params.a_offset + kept * params.a_stride;
    var a0: Eight;
    var a1: Eight;
    var a2: Eight;
    var a3: Eight;
    var a4: Eight;
    var a5: Eight;
    var a6: Eight;
    var a7: Eight;
    // A loop with selections, because a driver takes long to compile 256 loads.
    for (var column = 0u; column < params.dim; column += 8u) {
        let x = eight_of(places, column);
        a0 = pick(column == 0u, x, a0);
        a1 = pick(column == 8u, x, a1);
        if COLUMNS > 16u {
            a2 = pick(column == 16u, x, a2);
            a3 = pick(column == 24u, x, a3);
        }
        if COLUMNS > 32u {
            a4 = pick(column == 32u, x, a4);
            a5 = pick(column == 40u, x, a5);
            a6 = pick(column == 48u, x, a6);
            a7 = pick(column == 56u, x, a7);
        }
    }
    var d0: Eight;
    var d1: Eight;
    var d2: Eight;
    var d3: Eight;
    var d4: Eight;
    var d5: Eight;
    var d6: Eight;
    var d7: Eight;
    var y0: f32;
    var y1: f32;
    var y2: f32;
    var y3: f32;
    var y4: f32;
    var y5: f32;
    var y6: f32;
    var y7: f32;
    for (var first = part * params.span; first < end; first += LANES) {
        // Lane l holds what row (candidate) first + l of b brings.
        let own = min(first + lane, other - 1u);
        let their = other_of(own);
        let length = min(end - first, LANES);
        for (var l = 0u; l < length; l += 1u) {
            let place = params.b_offset + (first + l) * params.b_stride;
            y0 = mine_of(place, lane + 0u);
            y1 = mine_of(place, lane + 8u);
            if COLUMNS > 16u {
                y2 = mine_of(place, lane + 16u);
                y3 = mine_of(place, lane + 24u);
            }
            if COLUMNS > 32u {
                y4 = mine_of(place, lane + 32u);
                y5 = mine_of(place, lane + 40u);
                y6 = mine_of(place, lane + 48u);
                y7 = mine_of(place, lane + 56u);
            }
            var sums = Sums();
            sums = dot_eight(sums, a0, y0);
            sums = dot_eight(sums, a1, y1);
            if COLUMNS > 16u {
                sums = dot_eight(sums, a2, y2);
                sums = dot_eight(sums, a3, y3);
            }
            if COLUMNS > 32u {
                sums = dot_eight(sums, a4, y4);
                sums = dot_eight(sums, a5, y5);
                sums = dot_eight(sums, a6, y6);
                sums = dot_eight(sums, a7, y7);
            }
            if TRANSPOSED != 0u {
                rows = Rows(
                    vec4(subgroupShuffle(their.positive, l)),
                    vec4(subgroupShuffle(their.candidate, l)),
                    vec4(subgroupShuffle(their.lse, l)),
                    vec4(subgroupShuffle(their.factor, l)),
                    vec4(subgroupShuffle(their.spread, l)),
                    vec4(subgroupShuffle(their.id, l)),
                );
            } else {
                candidates = Candidates(
                    vec4(first + l),
                    vec4(subgroupShuffle(their.logq, l)),
                    vec4(subgroupShuffle(their.id, l)),
                );
            }
            let g = gradients(rows, candidates, masked_of(kept, first + l), sums.even + sums.odd);
            d0 = add_eight(d0, g, y0);
            d1 = add_eight(d1, g, y1);
            if COLUMNS > 16u {
                d2 = add_eight(d2, g, y2);
                d3 = add_eight(d3, g, y3);
            }
            if COLUMNS > 32u {
                d4 = add_eight(d4, g, y4);
                d5 = add_eight(d5, g, y5);
                d6 = add_eight(d6, g, y6);
                d7 = add_eight(d7, g, y7);
            }
        }
    }
    let to = params.out_offset + part * params.part_stride + kept * params.out_stride;
    for (var column = 0u; column < params.dim; column += 8u) {
        var x = d0;
        x = pick(column == 8u, d1, x);
        if COLUMNS > 16u {
            x = pick(column == 16u, d2, x);
            x = pick(column == 24u, d3, x);
        }
        if COLUMNS > 32u {
            x = pick(column == 32u, d4, x);
            x = pick(column == 40u, d5, x);
            x = pick(column == 48u, d6, x);
            x = pick(column == 56u, d7, x);
        }
        write_eight(to, row, count, column, x);
    }
}
