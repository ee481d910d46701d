// group_scan: running sums of rows of counts; second dispatch of a radix pass, and of the compaction.
//
//   counts[r, b] = sum of the old counts[r, 0 .. b];  totals[r] = sum of the old row
//
// shapes    counts [rows, blocks] u32, changed in place | totals [rows] u32
// launch    one workgroup of 256 lanes per row (a digit, or a kind of flag)
// writes    every count and total once
// sums      exclusive, of integers
// cost      reads and writes rows * blocks words
// twin      crates/rt-kernels/src/kernels/group/cpu.rs

struct Params {
    rows: u32,
    blocks: u32,
    reserved_0: u32,
    reserved_1: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> counts: array<u32>;
@group(0) @binding(3) var<storage, read_write> totals: array<u32>;

var<workgroup> sums: array<u32, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.y * groups.x + group.x;
    if row >= params.rows {
        return;
    }
    var before = 0u; // the same in all lanes
    for (var at = 0u; at < params.blocks; at += 256u) {
        let b = at + lane;
        var own = 0u;
        if b < params.blocks {
            own = counts[row * params.blocks + b];
        }
        sums[lane] = own;
        workgroupBarrier();
        for (var reach = 1u; reach < 256u; reach *= 2u) {
            var left = 0u;
            if lane >= reach {
                left = sums[lane - reach];
            }
            workgroupBarrier();
            sums[lane] += left;
            workgroupBarrier();
        }
        if b < params.blocks {
            counts[row * params.blocks + b] = before + sums[lane] - own;
        }
        before += sums[255];
        workgroupBarrier();
    }
    if lane == 0u {
        totals[row] = before;
    }
}
