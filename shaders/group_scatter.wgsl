// group_scatter: moves pairs to their places by one digit, stably; third dispatch of a radix pass.
//
//   sorted[sum of totals below d + counts[d, block] + pairs of digit d before this one in its block] = pair
//
// shapes    pairs, sorted [n] of (key, source row) u32 | counts [256, blocks] u32 (scanned) | totals [256] u32
// launch    one workgroup of 256 lanes per block of 2 048 pairs
// writes    every pair of sorted once
// sums      integers. A lane's rank among the lanes with its digit is a count of bits: each lane sets its bit in the set of
//           its digit (an atomic or, whose order does not matter) and counts the bits below its own
// cost      reads and writes 2 words a pair, reads 256 counts a block. Weak spot: neighbouring pairs go to far places, a
//           memory transaction each while the keys are in no order.
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
@group(0) @binding(3) var<storage, read> counts: array<u32>;
@group(0) @binding(4) var<storage, read> totals: array<u32>;
@group(0) @binding(5) var<storage, read_write> sorted: array<vec2<u32>>;

// Word w of the set of digit d is lanes[w * 256 + d]: lane 32 w + j is bit j.
var<workgroup> lanes: array<atomic<u32>, 2048>;
var<workgroup> next: array<u32, 256>; // where the next pair of each digit goes

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
    let total = totals[lane];
    next[lane] = total;
    for (var w = 0u; w < 8u; w += 1u) {
        atomicStore(&lanes[w * 256u + lane], 0u);
    }
    workgroupBarrier();
    for (var reach = 1u; reach < 256u; reach *= 2u) {
        var left = 0u;
        if lane >= reach {
            left = next[lane - reach];
        }
        workgroupBarrier();
        next[lane] += left;
        workgroupBarrier();
    }
    next[lane] = next[lane] - total + counts[lane * params.blocks + block];
    workgroupBarrier();
    let word = lane / 32u;
    let bit = lane % 32u;
    for (var round = 0u; round < BLOCK; round += 256u) {
        let i = block * BLOCK + round + lane;
        var pair = vec2(0u, 0u);
        var digit = 0u;
        if i < params.n {
            pair = pairs[i];
            digit = (pair.x >> params.shift) & 255u;
            atomicOr(&lanes[word * 256u + digit], 1u << bit);
        }
        workgroupBarrier();
        if i < params.n {
            var rank = countOneBits(atomicLoad(&lanes[word * 256u + digit]) & ((1u << bit) - 1u));
            for (var w = 0u; w < word; w += 1u) {
                rank += countOneBits(atomicLoad(&lanes[w * 256u + digit]));
            }
            sorted[next[digit] + rank] = pair;
        }
        workgroupBarrier();
        // Lane d looks after digit d: counts its set and empties it.
        var moved = 0u;
        for (var w = 0u; w < 8u; w += 1u) {
            moved += countOneBits(atomicLoad(&lanes[w * 256u + lane]));
            atomicStore(&lanes[w * 256u + lane], 0u);
        }
        next[lane] += moved;
        workgroupBarrier();
    }
}
