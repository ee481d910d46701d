// history_gaps: how long before a history's newest event each of its events was, in hours, compressed.
//
//   gaps[i, k] = ln(1 + (t_newest - t_k) / 3600), k from the newest; 0 past the slice and for times after the newest's
//
// shapes    times [any] u32 seconds | slice [rows, 2] u32 (start, length) | gaps [rows, history] f32; offsets and strides
//           in words
// expects   nothing: a slice that does not lie in times is empty
// launch    one invocation per (row, position)
// writes    every cell of gaps once
// sums      none
// cost      moves 2 * rows * (history + 1) words
// twin      crates/rt-kernels/src/kernels/history_ids.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    history: u32,
    times_rows: u32,
    times_offset: u32,
    times_stride: u32,
    slice_offset: u32,
    slice_stride: u32,
    gaps_offset: u32,
    gaps_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> times: array<u32>;
@group(0) @binding(3) var<storage, read> slice: array<u32>;
@group(0) @binding(4) var<storage, read_write> gaps: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    if cell >= params.rows * params.history {
        return;
    }
    let row = cell / params.history;
    let k = cell % params.history;
    let start = slice[params.slice_offset + row * params.slice_stride];
    var len = slice[params.slice_offset + row * params.slice_stride + 1u];
    len = select(0u, len, start <= params.times_rows && len <= params.times_rows - start);
    var gap = 0.0;
    if k < len {
        let newest = times[params.times_offset + (start + len - 1u) * params.times_stride];
        let then = times[params.times_offset + (start + len - 1u - k) * params.times_stride];
        let seconds = newest - min(newest, then);
        gap = log(1.0 + f32(seconds) / 3600.0);
    }
    gaps[params.gaps_offset + row * params.gaps_stride + k] = gap;
}
