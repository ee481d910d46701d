// gradient_norm: the largest absolute value of several matrices, kept in a ring by step.
//
//   out[step % ring] = max |x| over all cells of all matrices, NaN if one is NaN; out[(step % ring + 1) % ring] = 0
//
// shapes    m0 .. m5: matrices [cells / cols, cols], the words of f32, slot says which one is whose | out [ring], the words of
//           f32, ring 2 at least; offsets and strides in words
// expects   out[step % ring] is 0, which the step before has seen to, or what another dispatch of this step has found; where step
//           numbers repeat or jump it is what an older step left, and the maximum is of both
// launch    of each matrix a workgroup of 256 lanes for 4,096 cells
// writes    two cells of out
// sums      none: a maximum of words without their signs, in which NaN stands above infinity and that above all numbers; its order
//           does not count, so workgroups meet in an atomic
// cost      reads cells words of each
// twin      crates/rt-kernels/src/kernels/gradient_norm.rs

const MATRICES: u32 = 16u;
const LANES: u32 = 256u;
const EACH: u32 = 16u;

struct Matrix {
    group: u32, // first workgroup
    cells: u32,
    cols: u32,
    slot: u32,
    offset: u32,
    stride: u32,
    reserved_0: u32,
    reserved_1: u32,
}

struct Params {
    matrices: u32,
    ring: u32,
    out_offset: u32,
    out_stride: u32,
    list: array<Matrix, MATRICES>,
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
    bias1_rows: f32,
    bias2_rows: f32,
    reserved_0: u32,
    reserved_1: u32,
    reserved_2: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> m0: array<u32>;
@group(0) @binding(3) var<storage, read> m1: array<u32>;
@group(0) @binding(4) var<storage, read> m2: array<u32>;
@group(0) @binding(5) var<storage, read> m3: array<u32>;
@group(0) @binding(6) var<storage, read> m4: array<u32>;
@group(0) @binding(7) var<storage, read> m5: array<u32>;
@group(0) @binding(8) var<storage, read_write> out: array<atomic<u32>>;

var<workgroup> largest: array<u32, LANES>;

fn word(slot: u32, at: u32) -> u32 {
    switch slot {
        case 0u: { return m0[at]; }
        case 1u: { return m1[at]; }
        case 2u: { return m2[at]; }
        case 3u: { return m3[at]; }
        case 4u: { return m4[at]; }
        default: { return m5[at]; }
    }
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = group.y * groups.x + group.x;
    var i = 0u;
    while i + 1u < params.matrices && number >= params.list[i + 1u].group {
        i += 1u;
    }
    let own = params.list[i];
    let first = (number - own.group) * LANES * EACH + lane;
    var most = 0u;
    for (var n = 0u; n < EACH; n += 1u) {
        let cell = first + n * LANES;
        if cell < own.cells {
            most = max(most, word(own.slot, own.offset + cell / own.cols * own.stride + cell % own.cols) & 0x7fffffffu);
        }
    }
    largest[lane] = most;
    workgroupBarrier();
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        if lane < width {
            largest[lane] = max(largest[lane], largest[lane + width]);
        }
        workgroupBarrier();
    }
    if lane == 0u {
        let cell = step.step % params.ring;
        atomicMax(&out[params.out_offset + cell * params.out_stride], largest[0]);
        if number == 0u {
            atomicStore(&out[params.out_offset + (cell + 1u) % params.ring * params.out_stride], 0u);
        }
    }
}
