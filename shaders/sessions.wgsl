// sessions: the running session before an event: the user's last events with no pause between two of them longer than a limit.
//
//   length[i]        = most n with t[e-k+1] - t[e-k] <= pause for k = 2..n, e the event of row i, n <= max(history, 256)
//   slices[i]        = (e - m, m), m = min(length[i], length of the row's history)
//   categories[i, 0] = bits of length[i], at most 9
//   categories[i, 1] = 0 without two events, else 1 + bits of the seconds between the last two
//
// shapes    seconds [events] u32 | slice [rows, 2] u32 (start, length) | user [rows] u32 | user_start [users + 1] u32
//           | slices [rows, 2] u32 | categories [rows, 2] u32; offsets and strides in words
// expects   slices end at the row's event and lie in its user's events; a slice that does not lie in the events is empty, a user
//           without a start has no events
// launch    one invocation per row
// writes    every cell of slices and categories once
// sums      none
// cost      moves at most rows * (max(history, 256) + 8) words
// weak      rows of long sessions hold up those of short ones
// twin      crates/rt-kernels/src/kernels/sessions.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    pause: u32,
    most: u32,
    events: u32,
    users: u32,
    seconds_offset: u32,
    seconds_stride: u32,
    slice_offset: u32,
    slice_stride: u32,
    user_offset: u32,
    user_stride: u32,
    user_start_offset: u32,
    user_start_stride: u32,
    slices_offset: u32,
    slices_stride: u32,
    categories_offset: u32,
    categories_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> seconds: array<u32>;
@group(0) @binding(3) var<storage, read> slice: array<u32>;
@group(0) @binding(4) var<storage, read> user: array<u32>;
@group(0) @binding(5) var<storage, read> user_start: array<u32>;
@group(0) @binding(6) var<storage, read_write> slices: array<u32>;
@group(0) @binding(7) var<storage, read_write> categories: array<u32>;

fn between(event: u32) -> u32 {
    let now = seconds[params.seconds_offset + event * params.seconds_stride];
    let before = seconds[params.seconds_offset + (event - 1u) * params.seconds_stride];
    return now - min(now, before);
}

fn bits(n: u32) -> u32 {
    return 32u - countLeadingZeros(n);
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
    let at = params.slice_offset + row * params.slice_stride;
    let start = slice[at];
    var history = slice[at + 1u];
    var event = 0u;
    if start <= params.events && history <= params.events - start {
        event = start + history;
    } else {
        history = 0u;
    }
    let owner = user[params.user_offset + row * params.user_stride];
    var first = event;
    if owner < params.users {
        first = user_start[params.user_start_offset + owner * params.user_start_stride];
    }
    let events = event - min(event, first);
    var length = min(events, 1u);
    loop {
        if length == 0u || length >= min(events, params.most) || between(event - length) > params.pause {
            break;
        }
        length += 1u;
    }
    var pause = 0u;
    if events > 1u {
        pause = 1u + bits(between(event - 1u));
    }
    let kept = min(length, history);
    let to = params.slices_offset + row * params.slices_stride;
    slices[to] = event - kept;
    slices[to + 1u] = kept;
    let into = params.categories_offset + row * params.categories_stride;
    categories[into] = min(bits(length), 9u);
    categories[into + 1u] = pause;
}
