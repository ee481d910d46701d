// group_write: distinct keys, their runs and their source rows from the sorted pairs; third dispatch of the compaction.
//
//   for the pair i, not null, with j = i - nulls:  sources[j] = its source row
//   and if its key differs from the pair before:   keys[d] = its key, starts[d] = j, d = distinct keys before it
//
// shapes    pairs [n] of (key, source row) u32, sorted by key | counts [2, blocks] u32 (scanned) | totals [2] u32
//           (distinct, nulls) | keys, sources [n], starts [n + 1] u32
// launch    one workgroup of 256 lanes per block of 2 048 pairs, 8 consecutive pairs a lane
// writes    keys and starts for each distinct key, sources for each entry that is not null, each once
// sums      exclusive, of integers
// cost      reads 2 words a pair, writes at most 3
// twin      crates/rt-kernels/src/kernels/group/cpu.rs

const BLOCK: u32 = 2048u;
const EACH: u32 = 8u;

struct Params {
    n: u32,
    blocks: u32,
    keys_offset: u32,
    keys_stride: u32,
    sources_offset: u32,
    sources_stride: u32,
    starts_offset: u32,
    starts_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> pairs: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> counts: array<u32>;
@group(0) @binding(4) var<storage, read> totals: array<u32>;
@group(0) @binding(5) var<storage, read_write> keys: array<u32>;
@group(0) @binding(6) var<storage, read_write> sources: array<u32>;
@group(0) @binding(7) var<storage, read_write> starts: array<u32>;

var<workgroup> sums: array<u32, 256>;

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
    let begin = block * BLOCK + lane * EACH;
    let end = min(params.n, begin + EACH);
    var before = 0u; // key of the pair before; null before the first
    if begin > 0u && begin < params.n {
        before = pairs[begin - 1u].x;
    }
    var own = 0u;
    var last = before;
    for (var i = begin; i < end; i += 1u) {
        let key = pairs[i].x;
        own += select(0u, 1u, key != last); // nulls stand first, so a change is never to null
        last = key;
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
    var d = counts[block] + sums[lane] - own;
    let nulls = totals[1];
    last = before;
    for (var i = begin; i < end; i += 1u) {
        let pair = pairs[i];
        if pair.x != 0u {
            let j = i - nulls;
            sources[params.sources_offset + j * params.sources_stride] = pair.y;
            if pair.x != last {
                keys[params.keys_offset + d * params.keys_stride] = pair.x;
                starts[params.starts_offset + d * params.starts_stride] = j;
                d += 1u;
            }
        }
        last = pair.x;
    }
}
