// queue_push: the newest batch takes the place of the oldest in a queue.
//
//   queue[s * rows + r, :] = x[r, :], s = (step - 1) % slots; words of either type
//
// shapes    x [rows, cols] words | queue [slots * rows, cols] words; offsets and strides in words
// launch    one invocation per (row, column); neighbouring lanes take neighbouring columns
// writes    rows s * rows .. (s + 1) * rows of queue once; the others stay
// sums      none
// cost      moves 2 * rows * cols words
// twin      crates/rt-kernels/src/kernels/queue_push.rs

override WG: u32 = 64u;

struct Params {
    rows: u32,
    cols: u32,
    slots: u32,
    x_offset: u32,
    x_stride: u32,
    queue_offset: u32,
    queue_stride: u32,
}

struct Step {
    step: u32,
    offset: u32,
    valid: u32,
    seed_lo: u32,
    seed_hi: u32,
    lr: f32,
    lr_rows: f32,
    bias1: f32,
    bias2: f32,
    inv_valid: f32,
    ln_negatives: f32,
    bias1_rows: f32,
    bias2_rows: f32,
    reserved_0: u32,
    reserved_1: u32,
    reserved_2: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> x: array<u32>;
@group(0) @binding(3) var<storage, read_write> queue: array<u32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = (group.y * groups.x + group.x) * WG + lane;
    if cell >= params.rows * params.cols {
        return;
    }
    let row = cell / params.cols;
    let column = cell % params.cols;
    let slot = (max(step.step, 1u) - 1u) % params.slots;
    queue[params.queue_offset + (slot * params.rows + row) * params.queue_stride + column] =
        x[params.x_offset + row * params.x_stride + column];
}
