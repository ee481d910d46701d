// group_flags: distinct keys and null entries of each block of sorted pairs, counted; first dispatch of the compaction.
//
//   counts[0, b] = pairs of block b whose key is not null and differs from the pair before;  counts[1, b] = null pairs
//
// shapes    pairs [n] of (key, source row) u32, sorted by key | counts [2, blocks] u32
// launch    one workgroup of 256 lanes per block of 2 048 pairs
// writes    every count once
// sums      integer counts by workgroup atomics, whose order does not matter
// cost      reads 2 words a pair
// twin      crates/rt-kernels/src/kernels/group/cpu.rs

const BLOCK: u32 = 2048u;

struct Params {
    n: u32,
    blocks: u32,
    reserved_0: u32,
    reserved_1: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> pairs: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> counts: array<u32>;

var<workgroup> sums: array<atomic<u32>, 2>;

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
    if lane < 2u {
        atomicStore(&sums[lane], 0u);
    }
    workgroupBarrier();
    var distinct = 0u;
    var nulls = 0u;
    let end = min(params.n, (block + 1u) * BLOCK);
    for (var i = block * BLOCK + lane; i < end; i += 256u) {
        let key = pairs[i].x;
        if key == 0u {
            nulls += 1u;
        } else if i == 0u {
            distinct += 1u;
        } else if pairs[i - 1u].x != key {
            distinct += 1u;
        }
    }
    atomicAdd(&sums[0], distinct);
    atomicAdd(&sums[1], nulls);
    workgroupBarrier();
    if lane < 2u {
        counts[lane * params.blocks + block] = atomicLoad(&sums[lane]);
    }
}
