// gemm: a product of matrices with bias, addend and activation on the way out.
//
//   out = act(op(a) op(b) + bias + add),  op = transposed where TRANS_A / TRANS_B says so
//
// shapes    op(a) [m, k] | op(b) [k, n] | bias [1, n] or none | add [m, n] or none | out [m, n]; all f32, all
//           strided
// launch    one workgroup of 16 x 16 for each tile of 64 x 64 cells of out and each of `parts` ranges of `depth`
//           of k; range p is written `part_stride` words after range p - 1 (parts > 1: out is scratch that
//           gemm_sum.wgsl adds up, and bias, add and activation are left to it)
// writes    every cell of out once
// sums      ascending k in one f32 for each cell
// cost      2 m n k flops; reads (m k n / 64 + k n m / 64) words, writes m n. Weak spot: a tile that hangs over
//           the edge does the work of a whole one.
// twin      crates/rt-kernels/src/kernels/gemm.rs

override TRANS_A: bool = false;
override TRANS_B: bool = false;
override HAS_BIAS: bool = false;
override HAS_ADD: bool = false;
override ACTIVATION: u32 = 0u; // 0 none, 1 relu, 2 tanh, 3 sigmoid

const TILE: u32 = 64u; // rows and columns of a tile of out; a lane holds 4 x 4 cells
const DEPTH: u32 = 16u; // of k at a time in workgroup memory

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

// Word k * 16 + q holds rows (of b: columns) 4 q .. 4 q + 3 of the tile at depth k.
var<workgroup> a_tile: array<vec4<f32>, 256>;
var<workgroup> b_tile: array<vec4<f32>, 256>;

fn read_a(row: u32, k: u32, end: u32) -> f32 {
    var x = 0.0;
    if row < params.m && k < end {
        x = a[params.a_offset + select(row * params.a_stride + k, k * params.a_stride + row, TRANS_A)];
    }
    return x;
}

fn read_b(column: u32, k: u32, end: u32) -> f32 {
    var x = 0.0;
    if column < params.n && k < end {
        x = b[params.b_offset + select(k * params.b_stride + column, column * params.b_stride + k, TRANS_B)];
    }
    return x;
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

// Column `column` of four rows from `row` on.
fn write(part: u32, row: u32, column: u32, sums: vec4<f32>) {
    if column >= params.n {
        return;
    }
    for (var i = 0u; i < 4u && row + i < params.m; i += 1u) {
        var x = sums[i];
        if HAS_BIAS {
            x += bias[params.bias_offset + column];
        }
        if HAS_ADD {
            x += add[params.add_offset + (row + i) * params.add_stride + column];
        }
        out[params.out_offset + part * params.part_stride + (row + i) * params.out_stride + column] = activate(x);
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = group.y * groups.x + group.x;
    let across = (params.n + TILE - 1u) / TILE;
    let tiles = across * ((params.m + TILE - 1u) / TILE);
    if number >= tiles * params.parts {
        return;
    }
    let part = number / tiles;
    let row = number % tiles / across * TILE;
    let column = number % across * TILE;
    let end = min((part + 1u) * params.depth, params.k);
    let x = lane % 16u;
    let y = lane / 16u;
    // Neighbouring lanes read neighbouring words: along k, or along the rows where the operand lies the other way.
    let a_k = select(x, y, TRANS_A);
    let a_quad = select(y, x, TRANS_A);
    let b_k = select(y, x, TRANS_B);
    let b_quad = select(x, y, TRANS_B);

    var c0 = vec4<f32>();
    var c1 = vec4<f32>();
    var c2 = vec4<f32>();
    var c3 = vec4<f32>();
    for (var k = part * params.depth; k < end; k += DEPTH) {
        let r = row + 4u * a_quad;
        a_tile[a_k * 16u + a_quad] = vec4(
            read_a(r, k + a_k, end),
            read_a(r + 1u, k + a_k, end),
            read_a(r + 2u, k + a_k, end),
            read_a(r + 3u, k + a_k, end),
        );
        let c = column + 4u * b_quad;
        b_tile[b_k * 16u + b_quad] = vec4(
            read_b(c, k + b_k, end),
            read_b(c + 1u, k + b_k, end),
            read_b(c + 2u, k + b_k, end),
            read_b(c + 3u, k + b_k, end),
        );
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

    let r = row + 4u * y;
    let c = column + 4u * x;
    write(part, r, c, c0);
    write(part, r, c + 1u, c1);
    write(part, r, c + 2u, c2);
    write(part, r, c + 3u, c3);
}
