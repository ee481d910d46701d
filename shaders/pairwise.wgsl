// pairwise: losses over pairs of a row's positive (column 0) and its negatives.
//
//   d = z_ij - z_i0; bpr: f = ln(1 + exp d), f' = sigmoid(d); hinge: f = max(0, margin + d), f' = [margin + d > 0]
//   loss_i = weight_i * mean_j f; dz_ij = weight_i / count * f'; dz_i0 = - sum_j dz_ij
//   over the j >= 1 that count: with ids those that do not have the positive's id
//
// shapes    z, dz [rows, n] f32 | ids [rows, n] u32 | weight, loss [rows] f32; offsets and strides in words
// launch    one invocation per row
// writes    every cell of loss and dz once
// sums      ascending j in one f32
// cost      reads rows * n words twice. Weak spot: neighbouring lanes read n words apart.
// twin      crates/rt-kernels/src/kernels/pairwise.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    n: u32,
    flags: u32, // 1 ids are there, 2 dz is wanted, 4 hinge
    margin: f32,
    z_offset: u32,
    z_stride: u32,
    weight_offset: u32,
    weight_stride: u32,
    ids_offset: u32,
    ids_stride: u32,
    loss_offset: u32,
    loss_stride: u32,
    dz_offset: u32,
    dz_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> z: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> ids: array<u32>;
@group(0) @binding(5) var<storage, read_write> loss: array<f32>;
@group(0) @binding(6) var<storage, read_write> dz: array<f32>;

// ln(1 + e) for e in (0, 1]: WGSL has no log1p, and log loses small e.
fn ln_1p(e: f32) -> f32 {
    let series = e * (1.0 - e * (0.5 - e * (1.0 / 3.0 - e * 0.25)));
    return select(log(1.0 + e), series, e < 0.01);
}

// By its bits: compilers may take comparisons of floats to be between numbers.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// A pair's loss and its derivative; NaN goes through to both.
fn pair(d: f32) -> vec2<f32> {
    if is_nan(d) {
        return vec2(d);
    }
    let e = exp(-abs(d));
    let small = e / (1.0 + e);
    let bpr = vec2<f32>(max(d, 0.0) + ln_1p(e), select(small, 1.0 - small, d > 0.0));
    let over = params.margin + d;
    let hinge = vec2<f32>(max(over, 0.0), select(0.0, 1.0, over > 0.0));
    return select(bpr, hinge, (params.flags & 4u) != 0u);
}

fn counts(row: u32, j: u32) -> bool {
    if (params.flags & 1u) == 0u {
        return true;
    }
    let place = params.ids_offset + row * params.ids_stride;
    return ids[place + j] != ids[place];
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = (group.y * groups.x + group.x) * WG + lane;
    if row >= params.rows {
        return;
    }
    let first = params.z_offset + row * params.z_stride;
    let positive = z[first];
    var number = 0u;
    var sum = vec2<f32>(0.0, 0.0);
    for (var j = 1u; j < params.n; j += 1u) {
        if counts(row, j) {
            number += 1u;
            sum += pair(z[first + j] - positive);
        }
    }
    let w = weight[params.weight_offset + row * params.weight_stride] / f32(max(number, 1u));
    loss[params.loss_offset + row * params.loss_stride] = w * sum.x;
    if (params.flags & 2u) == 0u {
        return;
    }
    let out = params.dz_offset + row * params.dz_stride;
    dz[out] = -w * sum.y;
    for (var j = 1u; j < params.n; j += 1u) {
        let slope = w * pair(z[first + j] - positive).y;
        dz[out + j] = select(0.0, slope, counts(row, j));
    }
}
