// ema_rows: the moving averages of the rows of tables that a step touches, brought up to date with the steps before it.
//
//   average[id, :] = w[id, :] + D (average[id, :] - w[id, :]), D = product of d_s over s = seen[id] ..= step - 1,
//   d_s = min(decay, (s - 1) / (s + 9)); of the warm steps (s <= warm) it telescopes to ten factors
//
// shapes    keys, first u32 (the output of group) | weights, average [any, dim] f32 | seen [any] f32, the first step that
//           a row's average does not hold; offsets and strides in words
// then      seen[id] = step
//           (tables that lie in the same buffers, each from its own offset, are one dispatch)
// launch    of each table `lanes` lanes (a power of two) for each distinct id of the worst case, whole ids in a workgroup of
//           64; PART: 0 all, 1 the averages alone, 2 seen alone (a table in slabs: the averages slab by slab, then seen)
// writes    the touched rows of average and seen, each cell once (ids are distinct); no row without an entry
// sums      none
// cost      per distinct id 3 * dim + 3 words
// twin      crates/rt-kernels/src/kernels/average.rs

override PART: u32 = 0u;

const TABLES: u32 = 16u;

struct Table {
    group: u32, // first workgroup
    lanes: u32,
    capacity: u32,
    dim: u32,
    number: u32,
    base: u32,
    weights_offset: u32,
    weights_stride: u32,
    seen_offset: u32,
    seen_stride: u32,
    average_offset: u32,
    average_stride: u32,
    rows: u32, // of the table; a row past it is left alone
    reserved_0: u32,
    reserved_1: u32,
    reserved_2: u32,
}

struct Params {
    tables: u32,
    decay: f32,
    ln_decay: f32,
    warm: u32,
    keys_offset: u32,
    keys_stride: u32,
    first_offset: u32,
    first_stride: u32,
    list: array<Table, TABLES>,
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
@group(0) @binding(2) var<storage, read> keys: array<u32>;
@group(0) @binding(3) var<storage, read> first: array<u32>;
@group(0) @binding(4) var<storage, read> weights: array<f32>;
@group(0) @binding(5) var<storage, read_write> seen: array<f32>;
@group(0) @binding(6) var<storage, read_write> average: array<f32>;

// The product of d_s over s = begin ..= end.
fn over(begin: f32, end: f32) -> f32 {
    let s = max(begin, 1.0);
    if end < s {
        return 1.0;
    }
    let warm = f32(params.warm);
    var product = 1.0;
    if s <= warm {
        let last = min(end, warm);
        for (var i = 0u; i < 10u; i += 1u) {
            product *= (s - 1.0 + f32(i)) / (last + f32(i));
        }
    }
    let cold = end - max(warm, s - 1.0);
    if cold > 0.0 {
        product *= exp(max(cold * params.ln_decay, -87.0));
    }
    return product;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = group.y * groups.x + group.x;
    var t = 0u;
    while t + 1u < params.tables && number >= params.list[t + 1u].group {
        t += 1u;
    }
    let table = params.list[t];
    let rank = lane % table.lanes;
    let k = (number - table.group) * (64u / table.lanes) + lane / table.lanes;
    let segment = first[params.first_offset + table.number * params.first_stride] + k;
    let past = first[params.first_offset + (table.number + 1u) * params.first_stride];
    // A barrier follows: lanes without an id stay and do nothing.
    var has_id = k < table.capacity && segment < past;
    var id = 0u;
    if has_id {
        id = keys[params.keys_offset + segment * params.keys_stride] - table.base;
        has_id = id < table.rows;
    }
    let mark = table.seen_offset + select(0u, id, has_id) * table.seen_stride;
    if has_id && PART != 2u {
        let stays = over(seen[mark], f32(step.step) - 1.0);
        for (var column = rank; column < table.dim; column += table.lanes) {
            let w = weights[table.weights_offset + id * table.weights_stride + column];
            let place = table.average_offset + id * table.average_stride + column;
            average[place] = w + stays * (average[place] - w);
        }
    }
    storageBarrier(); // every lane of the id has read its mark
    if has_id && rank == 0u && PART != 1u {
        seen[mark] = f32(step.step);
    }
}
