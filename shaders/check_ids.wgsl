// check_ids: ids and slices that nobody has proven, copied with nulls in place of what is out of range (first half of the kernel
// check_ids).
//
//   ids      out[p] = ids[p] where that is below bound, else null; p counts cells, row by row
//   slices   out[p] = (start, length) of row p where start + length <= bound without wrapping, else (0, 0)
//   least[g] = the smallest place of workgroup g that was replaced, else 0xFFFFFFFF
//
// shapes    ids, out [rows, cols] u32 | least [workgroups] u32; offsets and strides in words
// launch    one invocation per place
// writes    every word of out once; least once a workgroup
// sums      a minimum of integers by a workgroup atomic, whose order does not matter
// cost      moves 2 * rows * cols words
// twin      crates/rt-kernels/src/kernels/check_ids.rs

override WG: u32 = 64u;

struct Params {
    places: u32,
    cols: u32,
    slices: u32, // 0: ids
    bound: u32,
    null_id: u32,
    ids_offset: u32,
    ids_stride: u32,
    out_offset: u32,
    out_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;
@group(0) @binding(4) var<storage, read_write> least: array<u32>;

var<workgroup> first: atomic<u32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = group.y * groups.x + group.x;
    let place = number * WG + lane;
    if lane == 0u {
        atomicStore(&first, 0xFFFFFFFFu);
    }
    workgroupBarrier();
    if place < params.places {
        var allowed = true;
        if params.slices != 0u {
            let at = params.ids_offset + place * params.ids_stride;
            let to = params.out_offset + place * params.out_stride;
            let start = ids[at];
            let length = ids[at + 1u];
            allowed = start <= params.bound && length <= params.bound - start;
            out[to] = select(0u, start, allowed);
            out[to + 1u] = select(0u, length, allowed);
        } else {
            let row = place / params.cols;
            let column = place % params.cols;
            let id = ids[params.ids_offset + row * params.ids_stride + column];
            allowed = id < params.bound;
            out[params.out_offset + row * params.out_stride + column] = select(params.null_id, id, allowed);
        }
        if !allowed {
            atomicMin(&first, place);
        }
    }
    workgroupBarrier();
    if lane == 0u && place < params.places {
        least[number] = atomicLoad(&first);
    }
}
