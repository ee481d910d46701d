// part_sums: the second half of several products whose k was cut into parts, in one dispatch.
//
//   out[cell] = sum over p of parts[p, cell] for each product
//
// shapes    parts: each product's [parts, cells] dense, from an offset of its own | out: each product's [cells / cols, cols]
//           strided; all f32
// launch    one lane for each cell of each product
// writes    every cell of each out once
// sums      ascending part, from zero, as gemm_sum.wgsl
// cost      reads parts cells words and writes cells words a product. Weak spot: a lane looks for its product, 16 steps at
//           most.
// twin      crates/rt-kernels/src/kernels/part_sums.rs

override WG: u32 = 64u;

const PRODUCTS: u32 = 16u;

struct Product {
    cell: u32, // first invocation
    cells: u32,
    cols: u32,
    parts: u32,
    parts_offset: u32,
    out_offset: u32,
    out_stride: u32,
    reserved: u32,
}

struct Params {
    products: u32,
    reserved_0: u32,
    reserved_1: u32,
    reserved_2: u32,
    list: array<Product, PRODUCTS>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> parts: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let invocation = (group.y * groups.x + group.x) * WG + lane;
    var i = 0u;
    while i + 1u < params.products && invocation >= params.list[i + 1u].cell {
        i += 1u;
    }
    let product = params.list[i];
    let cell = invocation - product.cell;
    if cell >= product.cells {
        return;
    }
    var sum = 0.0;
    for (var p = 0u; p < product.parts; p += 1u) {
        sum += parts[product.parts_offset + p * product.cells + cell];
    }
    out[product.out_offset + cell / product.cols * product.out_stride + cell % product.cols] = sum;
}
