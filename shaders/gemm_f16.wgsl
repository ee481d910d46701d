// gemm_f16: gemm_vec4.wgsl with its tiles in f16, 56 of k at a time; sums stay f32.
//
//   out = act(op(a) op(b) + bias + add),  op = transposed where TRANS_A / TRANS_B says so
//
// shapes    op(a) [m, k] | op(b) [k, n] | bias [1, n] or none | add [m, n] or none | out [m, n]; all f32, all
//           strided
// expects   offsets and strides of a and b in whole vec4s; so is the end of each buffer; an adapter with shader-f16
// launch    one workgroup of 16 x 16 for each tile of 64 x 64 cells of out and each of `parts` ranges of `depth`
//           of k; range p is written `part_stride` words after range p - 1 (parts > 1: out is scratch that
//           gemm_sum.wgsl or part_sums.wgsl adds up, and bias, add and activation are left to it)
// writes    every cell of out once
// range     f16 ends at 65504 and has few bits below 2^-14, where gradients are. So each tile of a and of b is
//           multiplied by a power of two that brings its largest finite word into 2^14 .. 2^15, and the sums of its
//           product by the inverse: no finite word becomes inf, whatever its size. inf and NaN stay what they are, so
//           that a run which breaks is seen to break.
// rounds    a word x of a tile whose largest is t by 2^-11 |x| + 2^-28 t: f16's 11 bits, and what a driver may flush
//           to zero below 2^-14. (WGSL lets a driver take either neighbour: then 2^-10 |x|.)
// sums      ascending k in one f32 for each cell and 56 of k, those ascending in another: not the bits of gemm.wgsl
// cost      2 m n k flops; reads (m k n / 64 + k n m / 64) words, writes m n; 14 KiB of workgroup memory. Weak spots: a
//           tile that hangs over the edge does the work of a whole one; one barrier and two atomics a tile for its scale.
// twin      crates/rt-kernels/src/kernels/gemm.rs (whose CPU path stays f32)

enable f16;

override TRANS_A: bool = false;
override TRANS_B: bool = false;
override HAS_BIAS: bool = false;
override HAS_ADD: bool = false;
override ACTIVATION: u32 = 0u; // 0 none, 1 relu, 2 tanh, 3 sigmoid

const TILE: u32 = 64u; // rows and columns of a tile of out; a lane holds 4 x 4 cells
const QUADS: u32 = 16u; // of rows, and of columns
const DEPTH: u32 = 56u; // of k at a time in workgroup memory: leaves room for the scales within 16 KiB
const LOADERS: u32 = 224u; // lanes that load, each four by four words of a and of b

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
var<workgroup> a_tile: array<vec4<f16>, 896>;
var<workgroup> b_tile: array<vec4<f16>, 896>;
// Bits of the largest finite magnitude of each tile.
var<workgroup> a_top: atomic<u32>;
var<workgroup> b_top: atomic<u32>;

// Words k .. k + 3 of four rows (of b: columns).
struct Block {
    s: vec4<f32>,
    t: vec4<f32>,
    u: vec4<f32>,
    v: vec4<f32>,
}

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

fn turned(x: Block) -> Block {
    return Block(
        vec4(x.s.x, x.t.x, x.u.x, x.v.x),
        vec4(x.s.y, x.t.y, x.u.y, x.v.y),
        vec4(x.s.z, x.t.z, x.u.z, x.v.z),
        vec4(x.s.w, x.t.w, x.u.w, x.v.w),
    );
}

// A lane's four by four words of a, turned where memory runs along k.
fn block_a(r: u32, z: u32, end: u32) -> Block {
    if TRANS_A {
        return Block(
            quad_a(z, end, r, params.m),
            quad_a(z + 1u, end, r, params.m),
            quad_a(z + 2u, end, r, params.m),
            quad_a(z + 3u, end, r, params.m),
        );
    }
    return turned(Block(
        quad_a(r, params.m, z, end),
        quad_a(r + 1u, params.m, z, end),
        quad_a(r + 2u, params.m, z, end),
        quad_a(r + 3u, params.m, z, end),
    ));
}

// The same of b.
fn block_b(c: u32, z: u32, end: u32) -> Block {
    if TRANS_B {
        return turned(Block(
            quad_b(c, params.n, z, end),
            quad_b(c + 1u, params.n, z, end),
            quad_b(c + 2u, params.n, z, end),
            quad_b(c + 3u, params.n, z, end),
        ));
    }
    return Block(
        quad_b(z, end, c, params.n),
        quad_b(z + 1u, end, c, params.n),
        quad_b(z + 2u, end, c, params.n),
        quad_b(z + 3u, end, c, params.n),
    );
}

// Bits of magnitudes, which order as they do; inf and NaN count as zero, or they would leave the others no bits.
fn sizes(x: vec4<f32>) -> vec4<u32> {
    let bits = bitcast<vec4<u32>>(x) & vec4(0x7fffffffu);
    return select(vec4<u32>(), bits, bits < vec4(0x7f800000u));
}

fn top(x: Block) -> u32 {
    let all = max(max(sizes(x.s), sizes(x.t)), max(sizes(x.u), sizes(x.v)));
    return max(max(all.x, all.y), max(all.z, all.w));
}

// Exponent of the largest, such that 2^(141 - e) and its inverse are normal numbers.
fn exponent(top: u32) -> u32 {
    return clamp(top >> 23u, 15u, 254u);
}

fn up(e: u32) -> f32 {
    return bitcast<f32>((268u - e) << 23u);
}

fn down(e: u32) -> f32 {
    return bitcast<f32>((e - 14u) << 23u);
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
    // Neighbouring lanes read neighbouring words, along k or along the tile's side.
    let side = vec2(lane % QUADS, lane / QUADS);
    let along = vec2(lane / (DEPTH / 4u), lane % (DEPTH / 4u));
    let from_a = select(along, side, TRANS_A);
    let from_b = select(side, along, TRANS_B);
    let to_a = 4u * from_a.y * QUADS + from_a.x;
    let to_b = 4u * from_b.y * QUADS + from_b.x;

    var c0 = vec4<f32>();
    var c1 = vec4<f32>();
    var c2 = vec4<f32>();
    var c3 = vec4<f32>();
    if lane == 0u {
        atomicStore(&a_top, 0u);
        atomicStore(&b_top, 0u);
    }
    for (var k = part * params.depth; k < end; k += DEPTH) {
        workgroupBarrier();
        var block = Block();
        var other = Block();
        if lane < LOADERS {
            block = block_a(row + 4u * from_a.x, k + 4u * from_a.y, end);
            other = block_b(column + 4u * from_b.x, k + 4u * from_b.y, end);
            atomicMax(&a_top, top(block));
            atomicMax(&b_top, top(other));
        }
        workgroupBarrier();
        let ea = exponent(atomicLoad(&a_top));
        let eb = exponent(atomicLoad(&b_top));
        if lane < LOADERS {
            let sa = up(ea);
            a_tile[to_a] = vec4<f16>(block.s * sa);
            a_tile[to_a + QUADS] = vec4<f16>(block.t * sa);
            a_tile[to_a + 2u * QUADS] = vec4<f16>(block.u * sa);
            a_tile[to_a + 3u * QUADS] = vec4<f16>(block.v * sa);
            let sb = up(eb);
            b_tile[to_b] = vec4<f16>(other.s * sb);
            b_tile[to_b + QUADS] = vec4<f16>(other.t * sb);
            b_tile[to_b + 2u * QUADS] = vec4<f16>(other.u * sb);
            b_tile[to_b + 3u * QUADS] = vec4<f16>(other.v * sb);
        }
        workgroupBarrier();
        // Every lane has read them, and none sets them before the next barrier.
        if lane == 0u {
            atomicStore(&a_top, 0u);
            atomicStore(&b_top, 0u);
        }
        var d0 = vec4<f32>();
        var d1 = vec4<f32>();
        var d2 = vec4<f32>();
        var d3 = vec4<f32>();
        for (var z = 0u; z < DEPTH; z += 1u) {
            let p = vec4<f32>(a_tile[z * QUADS + y]);
            let o = vec4<f32>(b_tile[z * QUADS + x]);
            d0 += p * o.x;
            d1 += p * o.y;
            d2 += p * o.z;
            d3 += p * o.w;
        }
        // The smaller factor first: the sums are below 2^36, and the larger alone may take them past f32.
        let low = down(min(ea, eb));
        let high = down(max(ea, eb));
        c0 += d0 * low * high;
        c1 += d1 * low * high;
        c2 += d2 * low * high;
        c3 += d3 * low * high;
    }

    let r = row + 4u * y;
    let c = column + 4u * x;
    write(part, r, c, c0);
    write(part, r, c + 1u, c1);
    write(part, r, c + 2u, c2);
    write(part, r, c + 3u, c3);
}
