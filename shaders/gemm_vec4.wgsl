// gemm_vec4: gemm.wgsl with loads of four words, twice the depth at a time.
//
//   out = act(op(a) op(b) + bias + add),  op = transposed where TRANS_A / TRANS_B says so
//
// shapes    op(a) [m, k] | op(b) [k, n] | bias [1, n] or none | add [m, n] or none | out [m, n]; all f32, all
//           strided
// expects   offsets and strides of a and b in whole vec4s; so is the end of each buffer
// launch    one workgroup of 16 x 16 for each tile of 64 x 64 cells of out and each of `parts` ranges of `depth`
//           of k; range p is written `part_stride` words after range p - 1 (parts > 1: out is scratch that
//           gemm_sum.wgsl or part_sums.wgsl adds up, and bias, add and activation are left to it)
// writes    every cell of out once
// sums      ascending k in one f32 for each cell: the bits of gemm.wgsl
// cost      2 m n k flops; reads (m k n / 64 + k n m / 64) words, writes m n. Weak spot: a tile that hangs over
//           the edge does the work of a whole one.
// twin      crates/rt-kernels/src/kernels/gemm.rs

override TRANS_A: bool = false;
override TRANS_B: bool = false;
override HAS_BIAS: bool = false;
override HAS_ADD: bool = false;
override ACTIVATION: u32 = 0u; // 0 none, 1 relu, 2 tanh, 3 sigmoid

const TILE: u32 = 64u; // rows and columns of a tile of out; a lane holds 4 x 4 cells
const QUADS: u32 = 16u; // of rows, and of columns
const DEPTH: u32 = 32u; // of k at a time in workgroup memory

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
@group(0) @binding(2) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read> add: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

// Word k * QUADS + q holds rows (of b: columns) 4 q .. 4 q + 3 of the tile at depth k.
var<workgroup> a_tile: array<vec4<f32>, 512>;
var<workgroup> b_tile: array<vec4<f32>, 512>;

// Four words of `line` from `along` on; zeros past the last line and from `end` on, whatever memory holds there.
fn quad_a(line: u32, lines: u32, along: u32, end: u32) -> vec4<f32> {
    if line >= lines || along >= end {
        return vec4<f32>();
    }
    let x = a[(params.a_offset + line * params.a_stride + along) / 4u];
    return select(vec4<f32>(), x, vec4(along) + vec4(0u, 1u, 2u, 3u) < vec4(end));
}

fn quad_b(line: u32, lines: u32, along: u32, end: u32) -> vec4<f32> {
    if line >= lines || along >= end {
        return vec4<f32>();
    }
    let x = b[(params.b_offset + line * params.b_stride + along) / 4u];
    return select(vec4<f32>(), x, vec4(along) + vec4(0u, 1u, 2u, 3u) < vec4(end));
}

// A lane's four by four words of a: quad `q` of rows, quad `d` of k, turned where memory runs along k.
fn load_a(row: u32, q: u32, k: u32, d: u32, end: u32) {
    let r = row + 4u * q;
    let z = k + 4u * d;
    let at = 4u * d * QUADS + q;
    if TRANS_A {
        for (var i = 0u; i < 4u; i += 1u) {
            a_tile[at + i * QUADS] = quad_a(z + i, end, r, params.m);
        }
    } else {
        let s = quad_a(r, params.m, z, end);
        let t = quad_a(r + 1u, params.m, z, end);
        let u = quad_a(r + 2u, params.m, z, end);
        let v = quad_a(r + 3u, params.m, z, end);
        a_tile[at] = vec4(s.x, t.x, u.x, v.x);
        a_tile[at + QUADS] = vec4(s.y, t.y, u.y, v.y);
        a_tile[at + 2u * QUADS] = vec4(s.z, t.z, u.z, v.z);
        a_tile[at + 3u * QUADS] = vec4(s.w, t.w, u.w, v.w);
    }
}

// The same of b: quad `q` of columns.
fn load_b(column: u32, q: u32, k: u32, d: u32, end: u32) {
    let c = column + 4u * q;
    let z = k + 4u * d;
    let at = 4u * d * QUADS + q;
    if TRANS_B {
        let s = quad_b(c, params.n, z, end);
        let t = quad_b(c + 1u, params.n, z, end);
        let u = quad_b(c + 2u, params.n, z, end);
        let v = quad_b(c + 3u, params.n, z, end);
        b_tile[at] = vec4(s.x, t.x, u.x, v.x);
        b_tile[at + QUADS] = vec4(s.y, t.y, u.y, v.y);
        b_tile[at + 2u * QUADS] = vec4(s.z, t.z, u.z, v.z);
        b_tile[at + 3u * QUADS] = vec4(s.w, t.w, u.w, v.w);
    } else {
        for (var i = 0u; i < 4u; i += 1u) {
            b_tile[at + i * QUADS] = quad_b(z + i, end, c, params.n);
        }
    }
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
    // Half of the lanes load a, half b; neighbouring lanes read neighbouring words, along k or along the tile's side.
    let i = lane % 128u;
    let along_k = select(TRANS_B, !TRANS_A, lane < 128u);
    let q = select(i % QUADS, i / (DEPTH / 4u), along_k);
    let d = select(i / QUADS, i % (DEPTH / 4u), along_k);

    var c0 = vec4<f32>();
    var c1 = vec4<f32>();
    var c2 = vec4<f32>();
    var c3 = vec4<f32>();
    for (var k = part * params.depth; k < end; k += DEPTH) {
        if lane < 128u {
            load_a(row, q, k, d, end);
        } else {
            load_b(column, q, k, d, end);
        }
        workgroupBarrier();
        for (var z = 0u; z < DEPTH; z += 1u) {
            let p = a_tile[z * QUADS + y];
            let o = b_tile[z * QUADS + x];
            c0 += p * o.x;
            c1 += p * o.y;
            c2 += p * o.z;
            c3 += p * o.w;
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
