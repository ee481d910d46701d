// group_ids: the entries of a column of ids, first step of the grouping.
//
//   pairs[entry + i] = (ids[i] == 0 ? 0 : base + ids[i], source + i)
//
// shapes    ids [n] u32 | pairs [capacity] of (key, source row) u32
// launch    one invocation per id
// writes    pairs[entry .. entry + n], each once
// sums      none
// cost      reads 1 word an id, writes 2
// twin      crates/rt-kernels/src/kernels/group/cpu.rs

override WG: u32 = 64u;

struct Params {
    n: u32,
    base: u32,
    source: u32,
    entry: u32,
    ids_offset: u32,
    ids_stride: u32,
    reserved_0: u32,
    reserved_1: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> pairs: array<vec2<u32>>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * WG + lane;
    if i >= params.n {
        return;
    }
    let id = ids[params.ids_offset + i * params.ids_stride];
    pairs[params.entry + i] = vec2(select(params.base + id, 0u, id == 0u), params.source + i);
}
