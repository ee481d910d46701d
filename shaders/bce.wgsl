// bce: binary cross-entropy with logits.
//
//   loss_i = weight_i * mean_j (max(z, 0) - z y + ln(1 + exp(-|z|))); dz_ij = weight_i / count * (sigmoid(z) - y)
//   over all n columns; with ids over column 0 and those that do not have its id
//
// shapes    z, labels, dz [rows, n] f32 (no labels: column 0 is 1, the others 0) | ids [rows, n] u32 | weight,
//           loss [rows] f32; offsets and strides in words
// launch    one invocation per row
// writes    every cell of loss and dz once
// sums      ascending j in one f32
// cost      reads rows * n words twice. Weak spot: neighbouring lanes read n words apart.
// twin      crates/rt-kernels/src/kernels/bce.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    n: u32,
    flags: u32, // 1 labels are there, 2 dz is wanted, 4 ids are there
    z_offset: u32,
    z_stride: u32,
    weight_offset: u32,
    weight_stride: u32,
    labels_offset: u32,
    labels_stride: u32,
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
@group(0) @binding(4) var<storage, read> labels: array<f32>;
@group(0) @binding(5) var<storage, read> ids: array<u32>;
@group(0) @binding(6) var<storage, read_write> loss: array<f32>;
@group(0) @binding(7) var<storage, read_write> dz: array<f32>;

// By its bits: compilers may take comparisons of floats to be between numbers.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// ln(1 + e) for e in (0, 1]: WGSL has no log1p, and log loses small e.
fn ln_1p(e: f32) -> f32 {
    let series = e * (1.0 - e * (0.5 - e * (1.0 / 3.0 - e * 0.25)));
    return select(log(1.0 + e), series, e < 0.01);
}

fn counts(row: u32, j: u32) -> bool {
    if (params.flags & 4u) == 0u || j == 0u {
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
    var number = params.n;
    if (params.flags & 4u) != 0u {
        number = 0u;
        for (var j = 0u; j < params.n; j += 1u) {
            number += select(0u, 1u, counts(row, j));
        }
    }
    let w = weight[params.weight_offset + row * params.weight_stride] / f32(number);
    var sum = 0.0;
    for (var j = 0u; j < params.n; j += 1u) {
        let counted = counts(row, j);
        let logit = z[params.z_offset + row * params.z_stride + j];
        var label = select(0.0, 1.0, j == 0u);
        if (params.flags & 1u) != 0u {
            label = labels[params.labels_offset + row * params.labels_stride + j];
        }
        let e = exp(-abs(logit));
        sum += select(0.0, max(logit, 0.0) - logit * label + ln_1p(e), counted);
        if (params.flags & 2u) != 0u {
            let small = e / (1.0 + e);
            let probability = select(select(1.0 - small, small, logit < 0.0), logit, is_nan(logit));
            dz[params.dz_offset + row * params.dz_stride + j] = select(0.0, w * (probability - label), counted);
        }
    }
    loss[params.loss_offset + row * params.loss_stride] = w * sum;
}
