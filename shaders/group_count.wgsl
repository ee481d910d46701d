// group_count: digits of each block of pairs, counted; first dispatch of a radix pass.
//
//   counts[d * blocks + b] = number of pairs of block b whose key has digit d, (key >> shift) & 255
//
// shapes    pairs [n] of (key, source row) u32 | counts [256, blocks] u32
// launch    one workgroup of 256 lanes per block of 2 048 pairs
// writes    every count once
// sums      integer counts by workgroup atomics, whose order does not matter
// cost      reads 2 words a pair, writes 256 a block
// twin      crates/rt-kernels/src/kernels/group/cpu.rs

const BLOCK: u32 = 2048u;

struct Params {
    n: u32,
    blocks: u32,
    shift: u32,
    reserved_0: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> pairs: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> counts: array<u32>;

var<workgroup> digits: array<atomic<u32>, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = group.y * groups.x + group.x;
    if block >= params.blocks {
        return;
    }
    atomicStore(&digits[lane], 0u);
    workgroupBarrier();
    let end = min(params.n, (block + 1u) * BLOCK);
    for (var i = block * BLOCK + lane; i < end; i += 256u) {
        atomicAdd(&digits[(pairs[i].x >> params.shift) & 255u], 1u);
    }
    workgroupBarrier();
    counts[lane * params.blocks + block] = atomicLoad(&digits[lane]);
}
