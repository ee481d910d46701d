// gemm_subgroup: the product of gemm.wgsl, for software drivers with subgroups of eight lanes.
//
//   out = act(op(a) op(b) + bias + add),  op = transposed where TRANS_A / TRANS_B says so
//
// shapes    op(a) [m, k] | op(b) [k, n] | bias [1, n] or none | add [m, n] or none | out [m, n]; all f32, all
//           strided
// launch    a subgroup of 8 lanes for each tile of 32 x COLUMNS cells of out and each of `parts` ranges of `depth` of k, as
//           in gemm.wgsl. A lane keeps the cells of four rows in registers: such a driver takes as long for a memory access as
//           for 30 multiply-adds, so each word of b is read once for 32 rows and handed round by shuffles.
// writes    every cell of out once
// sums      ascending k in one f32 for each cell: the bits of gemm.wgsl
// cost      2 m n k flops; reads (m k n / COLUMNS + k n m / 32) words, writes m n. Weak spot: hardware, which has no use for
//           workgroups of eight lanes.
// twin      crates/rt-kernels/src/kernels/gemm.rs

override TRANS_A: bool = false;
override TRANS_B: bool = false;
override HAS_BIAS: bool = false;
override HAS_ADD: bool = false;
override ACTIVATION: u32 = 0u; // 0 none, 1 relu, 2 tanh, 3 sigmoid
override COLUMNS: u32 = 64u; // of a tile: 16, 32 or 64

const LANES: u32 = 8u;
const ROWS: u32 = 32u; // of a tile

struct Params {
    m: u32,
    n: u32,
    k: u32,
    parts: u32,
    depth: u32,
    part_stride: u32,
    a_offset: u32,
    a_stride: u32,
    b_offset: u32,
    b_stride: u32,
    bias_offset: u32,
    add_offset: u32,
    add_stride: u32,
    out_offset: u32,
    out_stride: u32,
    reserved: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read> add: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

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

// Adds x times the eight columns, of which lane c holds the c-th.
fn add_eight(sums: Eight, x: vec4<f32>, y: f32) -> Eight {
    return Eight(
        sums.c0 + x * subgroupShuffle(y, 0u),
        sums.c1 + x * subgroupShuffle(y, 1u),
        sums.c2 + x * subgroupShuffle(y, 2u),
        sums.c3 + x * subgroupShuffle(y, 3u),
        sums.c4 + x * subgroupShuffle(y, 4u),
        sums.c5 + x * subgroupShuffle(y, 5u),
        sums.c6 + x * subgroupShuffle(y, 6u),
        sums.c7 + x * subgroupShuffle(y, 7u),
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

fn column_of(x: Eight, c: u32) -> vec4<f32> {
    let low = select(select(x.c0, x.c1, vec4(c == 1u)), select(x.c2, x.c3, vec4(c == 3u)), vec4(c >= 2u));
    let high = select(select(x.c4, x.c5, vec4(c == 5u)), select(x.c6, x.c7, vec4(c == 7u)), vec4(c >= 6u));
    return select(low, high, vec4(c >= 4u));
}

// By its bits: compilers may take comparisons of floats to be between numbers.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn activate(x: f32) -> f32 {
    if is_nan(x) {
        return x;
    }
    if ACTIVATION == 1u {
        return select(x, 0.0, x < 0.0);
    }
    if ACTIVATION == 2u {
        return tanh(clamp(x, -20.0, 20.0));
    }
    if ACTIVATION == 3u {
        return 1.0 / (1.0 + exp(clamp(-x, -80.0, 80.0)));
    }
    return x;
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let number = group.y * groups.x + group.x;
    let across = (params.n + COLUMNS - 1u) / COLUMNS;
    let tiles = across * ((params.m + ROWS - 1u) / ROWS);
    if number >= tiles * params.parts {
        return;
    }
    let part = number / tiles;
    let row = number % tiles / across * ROWS + lane + vec4(0u, 8u, 16u, 24u);
    let first = number % across * COLUMNS;
    let end = min((part + 1u) * params.depth, params.k);

    // Rows and columns past the edge read the last one; their cells are not written.
    let a_row = params.a_offset + min(row, vec4(params.m - 1u)) * select(params.a_stride, 1u, TRANS_A);
    let a_step = select(1u, params.a_stride, TRANS_A);
    let b_column = select(1u, params.b_stride, TRANS_B);
    let b_step = select(params.b_stride, 1u, TRANS_B);
    let p0 = params.b_offset + min(first + lane + 0u, params.n - 1u) * b_column;
    let p1 = params.b_offset + min(first + lane + 8u, params.n - 1u) * b_column;
    let p2 = params.b_offset + min(first + lane + 16u, params.n - 1u) * b_column;
    let p3 = params.b_offset + min(first + lane + 24u, params.n - 1u) * b_column;
    let p4 = params.b_offset + min(first + lane + 32u, params.n - 1u) * b_column;
    let p5 = params.b_offset + min(first + lane + 40u, params.n - 1u) * b_column;
    let p6 = params.b_offset + min(first + lane + 48u, params.n - 1u) * b_column;
    let p7 = params.b_offset + min(first + lane + 56u, params.n - 1u) * b_column;
    var s0: Eight;
    var s1: Eight;
    var s2: Eight;
    var s3: Eight;
    var s4: Eight;
    var s5: Eight;
    var s6: Eight;
    var s7: Eight;
    for (var k = part * params.depth; k < end; k += 1u) {
        let i = a_row + k * a_step;
        let x = vec4(a[i.x], a[i.y], a[i.z], a[i.w]);
        let j = k * b_step;
        s0 = add_eight(s0, x, b[p0 + j]);
        s1 = add_eight(s1, x, b[p1 + j]);
        if COLUMNS > 16u {
            s2 = add_eight(s2, x, b[p2 + j]);
            s3 = add_eight(s3, x, b[p3 + j]);
        }
        if COLUMNS > 32u {
            s4 = add_eight(s4, x, b[p4 + j]);
            s5 = add_eight(s5, x, b[p5 + j]);
            s6 = add_eight(s6, x, b[p6 + j]);
            s7 = add_eight(s7, x, b[p7 + j]);
        }
    }

    // A loop with selections, because a driver takes long to compile 256 stores.
    let to = params.out_offset + part * params.part_stride + row * params.out_stride;
    for (var e = 0u; e < COLUMNS && first + e < params.n; e += 8u) {
        var sums = s0;
        sums = pick(e == 8u, s1, sums);
        if COLUMNS > 16u {
            sums = pick(e == 16u, s2, sums);
            sums = pick(e == 24u, s3, sums);
        }
        if COLUMNS > 32u {
            sums = pick(e == 32u, s4, sums);
            sums = pick(e == 40u, s5, sums);
            sums = pick(e == 48u, s6, sums);
            sums = pick(e == 56u, s7, sums);
        }
        let count = min(params.n - first - e, 8u);
        for (var c = 0u; c < count; c += 1u) {
            let column = first + e + c;
            var x = column_of(sums, c);
            if HAS_BIAS {
                x += bias[params.bias_offset + column];
            }
            for (var r = 0u; r < 4u; r += 1u) {
                if row[r] < params.m {
                    var cell = x[r];
                    if HAS_ADD {
                        cell += add[params.add_offset + row[r] * params.add_stride + column];
                    }
                    out[to[r] + column] = activate(cell);
                }
            }
        }
    }
}
