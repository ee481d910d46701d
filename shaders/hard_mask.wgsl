// hard_mask: which candidates are not among a row's hardest.
//
//   keys order the logits z_ij = scale * scores_ij - logq_j as integers, 0 where left out or the positive; four passes of a
//   radix select find the key of rank `skipped` and of rank `end`; a bit is 0 where the rank lies between, or at the positive
//
// shapes    scores [rows, candidates] f32 without gaps, products of this tile of rows | logq [candidates] f32 | candidate_ids
//           [candidates], target_ids, label [first + rows] u32 | mask, out [first + rows, ceil(candidates / 32)] u32, a bit is set
//           where a candidate is left out; offsets and strides in words
// launch    one workgroup of 256 lanes per row
// writes    every word of out's rows first .. first + rows once
// sums      integers alone; counts by atomics, whose order is not used
// cost      reads 9 * candidates words a row. Weak spot: keys are made again in each pass.
// twin      crates/rt-kernels/src/kernels/hard_mask.rs

// 0 candidate i, 1 candidate label[i], 2 none of the candidates
override POSITIVE: u32 = 0u;

struct Params {
    rows: u32,
    candidates: u32,
    first: u32,
    scale: f32,
    flags: u32, // 1 logq is there, 2 hits are masked, 4 mask is there
    skipped: u32,
    end: u32,
    logq_offset: u32,
    logq_stride: u32,
    candidate_ids_offset: u32,
    candidate_ids_stride: u32,
    target_ids_offset: u32,
    target_ids_stride: u32,
    label_offset: u32,
    label_stride: u32,
    mask_offset: u32,
    mask_stride: u32,
    out_offset: u32,
    out_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> scores: array<f32>;
@group(0) @binding(3) var<storage, read> logq: array<f32>;
@group(0) @binding(4) var<storage, read> candidate_ids: array<u32>;
@group(0) @binding(5) var<storage, read> target_ids: array<u32>;
@group(0) @binding(6) var<storage, read> label: array<u32>;
@group(0) @binding(7) var<storage, read> mask: array<u32>;
@group(0) @binding(8) var<storage, read_write> out: array<u32>;

const LANES: u32 = 256u;
const NONE: u32 = 0xffffffffu;
var<workgroup> histogram: array<atomic<u32>, 256>;
var<workgroup> scan: array<u32, 256>;
var<workgroup> words: array<atomic<u32>, 8>;
var<workgroup> prefix: u32;
var<workgroup> wanted: u32;

fn key_of(row: u32, j: u32, positive: u32, goal: u32) -> u32 {
    if j == positive {
        return 0u;
    }
    var q = 0.0;
    if (params.flags & 1u) != 0u {
        q = logq[params.logq_offset + j * params.logq_stride];
    }
    var left_out = q >= 1e29;
    if (params.flags & 2u) != 0u {
        left_out = left_out || candidate_ids[params.candidate_ids_offset + j * params.candidate_ids_stride] == goal;
    }
    if (params.flags & 4u) != 0u {
        let word = mask[params.mask_offset + (params.first + row) * params.mask_stride + j / 32u];
        left_out = left_out || ((word >> (j % 32u)) & 1u) != 0u;
    }
    let z = params.scale * scores[row * params.candidates + j] - q;
    let word = bitcast<u32>(z);
    let bits = select(word, 0u, word == 0x80000000u); // minus zero ranks as zero
    var key = select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
    key = select(key, NONE, (bits & 0x7fffffffu) > 0x7f800000u); // NaN first: left out, the loss would not see it
    return select(key, 0u, left_out);
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.y * groups.x + group.x;
    if row >= params.rows {
        return;
    }
    let i = params.first + row;
    var positive = NONE;
    if POSITIVE == 0u {
        positive = i;
    } else if POSITIVE == 1u {
        positive = label[params.label_offset + i * params.label_stride];
        // A bit past the candidates stays set.
        positive = select(NONE, positive, positive < params.candidates);
    }
    var goal = 0u;
    if (params.flags & 2u) != 0u {
        goal = target_ids[params.target_ids_offset + i * params.target_ids_stride];
    }
    // Of the `skipped` and of the `end` largest: the smallest key among them, and how many that equal it are.
    var threshold = vec2(NONE);
    var ties = vec2(0u);
    for (var which = 0u; which < 2u; which += 1u) {
        let size = select(params.skipped, params.end, which == 1u);
        if size == 0u {
            continue;
        }
        if lane == 0u {
            prefix = 0u;
            wanted = size;
        }
        workgroupBarrier();
        for (var turn = 0u; turn < 4u; turn += 1u) {
            let shift = 24u - 8u * turn;
            atomicStore(&histogram[lane], 0u);
            workgroupBarrier();
            for (var j = lane; j < params.candidates; j += LANES) {
                let key = key_of(row, j, positive, goal);
                // In two shifts: one by 32 is not defined, and the first pass has no digits above it.
                if key != 0u && (key >> shift) >> 8u == (prefix >> shift) >> 8u {
                    atomicAdd(&histogram[(key >> shift) & 255u], 1u);
                }
            }
            workgroupBarrier();
            if lane == 0u {
                var left = wanted;
                var digit = 255u;
                loop {
                    let count = atomicLoad(&histogram[digit]);
                    if count >= left || digit == 0u {
                        break;
                    }
                    left -= count;
                    digit -= 1u;
                }
                prefix |= digit << shift;
                wanted = left;
            }
            workgroupBarrier();
        }
        threshold[which] = prefix;
        ties[which] = wanted;
        workgroupBarrier();
    }
    var before_skipped = 0u;
    var before_end = 0u;
    for (var start = 0u; start < params.candidates; start += LANES) {
        let j = start + lane;
        var key = 0u;
        if j < params.candidates {
            key = key_of(row, j, positive, goal);
        }
        if lane < 8u {
            atomicStore(&words[lane], NONE);
        }
        let equal = vec2(select(0u, 1u, key == threshold.x), select(0u, 1u, key == threshold.y));
        scan[lane] = equal.x + (equal.y << 16u);
        workgroupBarrier();
        for (var width = 1u; width < LANES; width *= 2u) {
            var left = 0u;
            if lane >= width {
                left = scan[lane - width];
            }
            workgroupBarrier();
            scan[lane] += left;
            workgroupBarrier();
        }
        let rank_skipped = before_skipped + (scan[lane] & 0xffffu) - equal.x;
        let rank_end = before_end + (scan[lane] >> 16u) - equal.y;
        let is_skipped = key > threshold.x || (equal.x == 1u && rank_skipped < ties.x);
        let is_kept = key > threshold.y || (equal.y == 1u && rank_end < ties.y);
        if j == positive || (key != 0u && is_kept && !is_skipped) {
            atomicAnd(&words[lane / 32u], ~(1u << (lane % 32u)));
        }
        let total = scan[LANES - 1u];
        before_skipped += total & 0xffffu;
        before_end += total >> 16u;
        workgroupBarrier();
        let word = start / 32u + lane;
        if lane < 8u && word * 32u < params.candidates {
            out[params.out_offset + i * params.out_stride + word] = atomicLoad(&words[lane]);
        }
        workgroupBarrier();
    }
}
