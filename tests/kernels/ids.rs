//! Ids, slices, labels, orders and keys that are out of range: zeros are read and nothing is written, on every device, whatever lies
//! beside the table in its buffer. Each call is held against the same call with nulls in their place, to the bit.

use rt_kernels::kernels::{
    Bag, BagBackward, Batch, CandidateLogQ, DecayRows, DrawAlias, DrawUnseen, EmaDecay, EmaPart, EmaRows, Frequency,
    Gather, Group, GroupTable, GroupUse, HistoryGaps, HistoryIds, LogQ, Lookup, Lookups, OwnMask, Positive, RowRule,
    ScatterRows, SegmentRuns, SegmentTable, Sessions, ShownNegatives, SoftmaxLoss, Take, TopK, UpdatePart, UpdateRows,
    UseKind,
};
use rt_kernels::{Call, Dtype, Kernel, Operand, Operands, Program, Step};
use rt_tests::{Lay, Tensor, devices_with_checks, f, floats, ids, ints, out_f, out_u, run, u, uniform};
use std::sync::Arc;

const VOCAB: usize = 5;
const DIM: usize = 4;

/// Ids, some of them past a table of [`VOCAB`] rows: by one, by much, by so much that `id * DIM` is past 2^32 and wraps into the table.
const HOSTILE: [u32; 12] = [3, 5, 0, 7, 1, u32::MAX, 2, 1 << 31, 0x4000_0001, 4, 0xC000_0002, 6];

fn tame() -> Vec<u32> {
    HOSTILE.iter().map(|id| if (*id as usize) < VOCAB { *id } else { 0 }).collect()
}

/// A table whose row 0 is zero.
fn table(rows: usize, cols: usize) -> Vec<f32> {
    let mut cells = uniform(rows * cols, 7);
    cells[..cols].fill(0.0);
    cells
}

/// Slices of `items` words, some of which do not lie in them, and the same with those empty.
fn slices(items: u32) -> [Vec<u32>; 2] {
    let hostile = vec![
        [0, 3],
        [items - 2, 3],
        [items, 0],
        [items + 1, 0],
        [u32::MAX, 2],
        [u32::MAX - 1, 2],
        [2, u32::MAX],
        [2, u32::MAX - 1],
        [items - 2, 2],
        [1 << 31, 1 << 31],
        [0, items],
        [0, items + 1],
    ];
    let lies = |s: &[u32; 2]| u64::from(s[0]) + u64::from(s[1]) <= u64::from(items);
    let tame = hostile.iter().map(|s| if lies(s) { *s } else { [0, 0] }).collect::<Vec<_>>();
    [hostile.concat(), tame.concat()]
}

/// Both calls give the same on every device.
fn same<K: Kernel + Clone + Send + Sync + 'static>(
    kernel: &K,
    step: &Step,
    hostile: &[Option<Tensor>],
    tame: &[Option<Tensor>],
    writes: &[Option<Tensor>],
) {
    for device in devices_with_checks() {
        for lay in [Lay::Dense, Lay::Strided] {
            let [got, want] = [hostile, tame].map(|reads| run(device, kernel.clone(), step, lay, reads, writes));
            assert_eq!(got, want, "{}, {device:?}, {lay:?}", kernel.name());
        }
    }
}

#[test]
fn lookups_read_zeros() {
    let (cells, n) = (table(VOCAB, DIM), HOSTILE.len());
    let reads = |ids: &[u32]| [f(&cells, VOCAB, DIM), u(ids, n, 1)];
    let (step, out) = (Step::default(), [out_f(n, DIM)]);
    same(&Gather { rows: n, dim: DIM }, &step, &reads(&HOSTILE), &reads(&tame()), &out);
    let words: Vec<u32> = cells.iter().map(|x| x.to_bits()).collect();
    let reads = |ids: &[u32]| [u(&words, VOCAB, DIM), u(ids, n, 1)];
    let out = [out_u(n, DIM)];
    same(&Take { rows: n, cols: DIM }, &step, &reads(&HOSTILE), &reads(&tame()), &out);
    let one = Lookup { rows: n, cols: DIM, dtype: Dtype::U32 };
    let twice = |ids| [reads(ids), reads(ids)].concat();
    same(&Lookups { list: vec![one; 2] }, &step, &twice(&HOSTILE), &twice(&tame()), &[out.clone(), out].concat());
    let one = |ids: &[u32]| [f(&cells[..VOCAB], VOCAB, 1), u(ids, n, 1)];
    let step = Step::new(1, 1, 0, 9);
    let logq = LogQ { n, batch: true, constant: 0.5, first: 0 };
    same(&logq, &step, &one(&HOSTILE), &one(&tame()), &[out_f(n, 1)]);
}

/// In a queue they are empty places, as null is; elsewhere they are left out, and the others are what they are beside null.
#[test]
fn candidates_that_are_no_rows_are_left_out() {
    let (shares, n) = ([0.0f32, 0.1, 0.2, 0.3, 0.4], HOSTILE.len());
    let reads = |ids: &[u32]| [f(&shares, VOCAB, 1), u(ids, n, 1)];
    let (step, out) = (Step::new(1, 1, 0, 9), [out_f(n, 1)]);
    let pool = CandidateLogQ { batch: 0, drawn: 0, queued: n, catalogue: 4, corrected: true, first: 0 };
    for corrected in [true, false] {
        let queue = CandidateLogQ { corrected, ..pool.clone() };
        same(&queue, &step, &reads(&HOSTILE), &reads(&tame()), &out);
        let mixed = CandidateLogQ { batch: 9, drawn: n - 9, queued: 0, corrected, ..pool.clone() };
        for device in devices_with_checks() {
            let [got, null] =
                [&HOSTILE[..], &tame()].map(|ids| run(device, mixed.clone(), &step, Lay::Dense, &reads(ids), &out));
            let left = |(id, q): (&u32, f32)| if (*id as usize) < VOCAB { q } else { 1e30 };
            let want: Vec<f32> = HOSTILE.iter().zip(floats(&null[0])).map(left).collect();
            assert_eq!(floats(&got[0]), want, "{device:?}");
        }
    }
}

#[test]
fn bags_and_grouping_leave_out_what_is_no_row_and_no_slice() {
    let (rows, vocab) = (12, VOCAB);
    let items = [HOSTILE, HOSTILE].concat();
    let kept: Vec<u32> = [tame(), tame()].concat();
    let [bad, good] = slices(24);
    let cells = table(vocab, DIM);
    let slices = |items: &[u32], slice: &[u32]| [u(items, 24, 1), u(slice, rows, 2), None, None];
    let step = Step::default();
    for (windows, mean, zones) in [(vec![2, 7], true, false), (vec![1, usize::MAX], false, true)] {
        let w = windows.len();
        let bag = Bag { rows, dim: DIM, apart: DIM, windows: windows.clone(), max_len: usize::MAX, mean, zones };
        let reads = |items, slice| [vec![f(&cells, vocab, DIM)], slices(items, slice).to_vec()].concat();
        same(&bag, &step, &reads(&items, &bad), &reads(&kept, &good), &[out_f(rows, w * DIM)]);
        let backward =
            BagBackward { rows, dim: DIM, vocab, windows: windows.clone(), max_len: usize::MAX, mean, zones };
        let dout = uniform(rows * w * DIM, 9);
        let reads = |items, slice| [vec![f(&dout, rows, w * DIM)], slices(items, slice).to_vec()].concat();
        same(&backward, &step, &reads(&items, &bad), &reads(&kept, &good), &[out_f(rows * w, DIM)]);
        // Two tables: an id past the first one is a key of the second.
        let max_len = 9;
        let kind = UseKind::Bag { rows, max_len, windows };
        let first = GroupUse { table: 0, source: 0, entry: 0, kind };
        let capacity = rows * max_len + 24;
        let second = GroupUse { table: 0, source: 90, entry: rows * max_len, kind: UseKind::Ids { n: 24 } };
        let tables = vec![GroupTable { base: 0, rows: vocab as u32 }, GroupTable { base: vocab as u32, rows: 40 }];
        let group = Group { uses: vec![first, second], tables, capacity };
        let reads = |items: &[u32], slice: &[u32]| [slices(items, slice).to_vec(), vec![u(items, 24, 1)]].concat();
        let writes = [out_u(capacity, 1), out_u(capacity, 1), out_u(capacity + 1, 1), out_u(3, 1)];
        same(&group, &step, &reads(&items, &bad), &reads(&kept, &good), &writes);
    }
    let history = HistoryIds { rows, history: 7 };
    let reads = |slice: &[u32]| slices(&kept, slice).to_vec();
    same(&history, &step, &reads(&bad), &reads(&good), &[out_u(rows * 7, 1)]);
    let times = |slice: &[u32]| [u(&(0..24).map(|i| 50 * i).collect::<Vec<u32>>(), 24, 1), u(slice, rows, 2)];
    same(&HistoryGaps { rows, history: 7 }, &step, &times(&bad), &times(&good), &[out_f(rows, 7)]);
}

#[test]
fn lists_of_users_and_sessions_are_empty_where_there_are_none() {
    let rows = 12;
    let [bad, good] = slices(24);
    let step = Step::new(3, 5, 0, 12);
    let items: Vec<u32> = (1..25).collect();
    // A user past the starts has no events: here as one whose events begin at the end.
    let starts = [0, 24];
    let seconds: Vec<u32> = (0..24).map(|i| 10 * i).collect();
    let reads = |slice: &[u32], user: u32| {
        [u(&seconds, 24, 1), u(slice, rows, 2), u(&vec![user; rows], rows, 1), u(&starts, 2, 1)]
    };
    let sessions = Sessions { rows, history: 5, pause: 15 };
    same(&sessions, &step, &reads(&bad, 0), &reads(&good, 0), &[out_u(rows, 2), out_u(rows, 2)]);
    same(&sessions, &step, &reads(&bad, u32::MAX), &reads(&good, 1), &[out_u(rows, 2), out_u(rows, 2)]);

    let (k, drawn) = (3, ids(36, 5, 4));
    let shown = ShownNegatives { rows, k, own: 2, constant: 0.25 };
    let table = table(VOCAB, 1);
    let reads = |spans: &[u32]| [u(&items, 24, 1), u(spans, rows, 2), u(&drawn, 36, 1), f(&table, VOCAB, 1)];
    same(&shown, &step, &reads(&bad), &reads(&good), &[out_u(36, 1), out_f(36, 1)]);
    let none = vec![0; 2 * rows];
    let many = |id: &[u32]| [u(&items, 24, 1), u(&none, rows, 2), u(id, 12, 1), f(&table, VOCAB, 1)];
    let shown = ShownNegatives { rows, k: 1, own: 0, constant: 0.25 };
    for device in devices_with_checks() {
        let [got, want] = [&HOSTILE[..], &tame()].map(|ids| {
            floats(&run(device, shown.clone(), &step, Lay::Strided, &many(ids), &[out_u(12, 1), out_f(12, 1)])[1])
        });
        assert_eq!(got, want, "{device:?}");
    }

    let mask = OwnMask { rows, candidates: 40 };
    let candidates: Vec<u32> = (0..40).collect();
    let reads = |slice: &[u32]| [u(slice, rows, 2), u(&items, 24, 1), u(&candidates, 40, 1), u(&[3; 12], rows, 1)];
    same(&mask, &step, &reads(&bad), &reads(&good), &[out_u(rows, 2)]);

    let scores = uniform(rows * 30, 8);
    let top = TopK { queries: rows, items: 30, k: 4, first: 0 };
    let reads = |slice: &[u32]| [f(&scores, rows, 30), u(slice, rows, 2), u(&items, 24, 1)];
    same(&top, &step, &reads(&bad), &reads(&good), &[out_f(rows, 4), out_u(rows, 4)]);

    let unseen = DrawUnseen { rows, k: 4, count: 30, tries: 8, stream: 3 };
    let users: Vec<u32> = (0..12).collect();
    let reads = |user: &[u32], slices: &[u32]| {
        [u(user, rows, 1), u(&[3; 12], rows, 1), u(&items, 24, 1), u(slices, 12, 2), None, None]
    };
    same(&unseen, &step, &reads(&users, &bad), &reads(&users, &good), &[out_u(rows, 4)]);
    // User 2 has no list.
    let past: Vec<u32> = users.iter().map(|u| if u % 3 == 0 { 12 + u * 0x1555_5555 } else { *u }).collect();
    let empty: Vec<u32> = users.iter().map(|u| if u % 3 == 0 { 2 } else { *u }).collect();
    same(&unseen, &step, &reads(&past, &good), &reads(&empty, &good), &[out_u(rows, 4)]);
}

#[test]
fn draws_from_tables_of_other_lengths_are_refused() {
    for device in devices_with_checks() {
        for [thresholds, aliases] in [[6, 4], [4, 6], [0, 4]] {
            let dense = |(buffer, rows): (usize, usize)| Some(Operand::dense(buffer, rows, 1));
            let operands = Operands {
                reads: [thresholds, aliases].into_iter().enumerate().map(dense).collect(),
                writes: vec![dense((2, 50))],
                scratch: vec![],
            };
            let buffers = [6, 6, 50].map(|words| device.zeros(Dtype::U32, words, "words").unwrap()).to_vec();
            let call = Call { kernel: Arc::new(DrawAlias { n: 50, stream: 1 }), operands };
            let error = Program::new(device, buffers, vec![call]).err().expect("refused").to_string();
            assert!(error.contains("`alias`") && error.contains("`threshold`"), "{error}");
        }
    }
}

#[test]
fn estimates_of_ids_past_the_slots_are_left_out_and_change_nothing() {
    let n = HOSTILE.len();
    let kernel = Frequency { n, hashes: 1, slots: VOCAB, hashed: false, rate: 0.1 };
    let (last, gap) = (f(&[0.0, 1.0, 2.0, 0.0, 3.0], 1, VOCAB), f(&[0.0, 5.0, 2.0, 0.0, 3.0], 1, VOCAB));
    let step = Step::new(4, 1, 0, n as u32);
    for device in devices_with_checks() {
        let got = run(
            device,
            kernel.clone(),
            &step,
            Lay::Strided,
            &[u(&HOSTILE, n, 1)],
            &[last.clone(), gap.clone(), out_f(n, 1)],
        );
        let rows: Vec<u32> = HOSTILE.into_iter().filter(|id| (*id as usize) < VOCAB).collect();
        let want = Frequency { n: rows.len(), ..kernel.clone() };
        let want = run(
            device,
            want,
            &step,
            Lay::Strided,
            &[u(&rows, rows.len(), 1)],
            &[last.clone(), gap.clone(), out_f(rows.len(), 1)],
        );
        assert_eq!(got[..2], want[..2], "{device:?}");
        let mut want = ints(&want[2]).into_iter();
        let want: Vec<u32> = HOSTILE
            .iter()
            .map(|id| if (*id as usize) < VOCAB { want.next().expect("one each") } else { 1e30f32.to_bits() })
            .collect();
        assert_eq!(ints(&got[2]), want, "{device:?}");
    }
}

#[test]
fn examples_that_are_none_are_padding() {
    let (items, starts) = ((1..21).collect::<Vec<u32>>(), [0, 7, 7, 20]);
    let ends = [6, 7, 90];
    let kernel = |set| Batch { batch: 8, history: 4, set, first: 0 };
    let writes = || [out_u(8, 1), out_u(8, 1), out_u(8, 2), out_f(8, 1), out_u(8, 1), out_u(8, 1)];
    let reads =
        |order: &[u32], ends: &[u32]| [u(order, order.len(), 1), u(&items, 20, 1), u(&starts, 4, 1), u(ends, 3, 1)];
    for device in devices_with_checks() {
        let go = |set, step: &Step, order: &[u32], ends: &[u32]| {
            run(device, kernel(set), step, Lay::Strided, &reads(order, ends), &writes())
        };
        let step = Step::new(1, 1, 2, 8);
        // Events past the items: rows 1, 3 and 4 are padding, the others stay what they are.
        let order = [9, 9, 3, 20, 19, u32::MAX, 0x8000_0000, 8, 4, 12];
        let got = go(false, &step, &order, &ends);
        assert_eq!(ints(&got[0]), [0, 0, 2, 0, 0, 2, 0, 2], "users, {device:?}");
        assert_eq!(ints(&got[1]), [4, 0, 20, 0, 0, 9, 5, 13], "targets, {device:?}");
        assert_eq!(ints(&got[2])[..6], [0, 3, 0, 0, 15, 4], "slices, {device:?}");
        assert_eq!(floats(&got[3]), [0.125, 0.0, 0.125, 0.0, 0.0, 0.125, 0.125, 0.125], "weights, {device:?}");
        assert_eq!(ints(&got[5]), [3, 0, 19, 0, 0, 8, 4, 12], "events, {device:?}");
        // An end past the items is no history; the other users keep theirs.
        let got = go(true, &step, &order, &ends);
        assert_eq!(ints(&got[2])[..6], [2, 4, 0, 0, 0, 0], "{device:?}");
    }
}

#[test]
fn a_row_whose_label_is_no_candidate_counts_for_nothing() {
    let (rows, candidates, dim) = (6, 9, 5);
    for (smoothing, correct_positive) in [(0.0, false), (0.1, true)] {
        let kernel = SoftmaxLoss {
            rows,
            candidates,
            dim,
            scale: 2.0,
            positive: Positive::Label,
            correct_positive,
            mask_hits: false,
            smoothing,
        };
        let (users, vectors, logq) = (uniform(rows * dim, 1), uniform(candidates * dim, 2), uniform(candidates, 3));
        let reads = |label: &[u32], weight: &[f32]| {
            let mut reads =
                vec![f(&users, rows, dim), f(&vectors, candidates, dim), f(weight, rows, 1), f(&logq, candidates, 1)];
            reads.extend([None, None, u(label, rows, 1), None, None, None]);
            reads
        };
        let bad = reads(&[3, 9, 0, u32::MAX, 8, 1 << 31], &[0.5; 6]);
        let good = reads(&[3, 1, 0, 1, 8, 1], &[0.5, 0.0, 0.5, 0.0, 0.5, 0.0]);
        let writes = [out_f(rows, 1), out_f(rows, dim), out_f(candidates, dim), None];
        for device in devices_with_checks() {
            let [got, want] =
                [&bad, &good].map(|reads| run(device, kernel.clone(), &Step::default(), Lay::Strided, reads, &writes));
            for (got, want) in got.iter().zip(&want).take(3) {
                assert_eq!(floats(got), floats(want), "{device:?}, smoothing {smoothing}");
            }
        }
    }
}

/// Keys and runs that [`Group`] does not write: rows that are none of the table's, runs that do not lie in the sources, source rows
/// that are none.
#[test]
fn rows_past_the_table_are_left_alone() {
    let step = Step::new(3, 1, 0, 1).with_rates(0.1, 0.1, 0.9, 0.999);
    let source = uniform(3 * DIM, 5);
    let sources = [0, 1, 2, 7, u32::MAX];
    // (row, run) of the table of five rows: 2, then 7, then a run that is half past the sources, at row 2^30 + 1.
    let bad = [3, 0, 2, 2, 7, 4, 0x4000_0001, u32::MAX];
    let good = [1, 0, 2, 2, 0, 0, 0, 0];
    let weights = || f(&uniform(VOCAB * DIM, 6), VOCAB, DIM);
    let state = || f(&[0.5; VOCAB * DIM], VOCAB, DIM);
    for rule in [RowRule::Sgd, RowRule::Adagrad { eps: 1e-8 }, RowRule::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 }] {
        let kernel = UpdateRows { rule, part: UpdatePart::Whole, capacity: 3, entries: 5, dim: DIM };
        let writes = match rule {
            RowRule::Sgd => [weights(), None, None],
            RowRule::Adagrad { .. } => [weights(), f(&[0.5; VOCAB], VOCAB, 1), None],
            RowRule::Adam { .. } => [weights(), state(), state()],
        };
        let reads = |runs: &[u32]| [f(&source, 3, DIM), u(&sources, 5, 1), u(runs, 1, 8), None];
        same(&kernel, &step, &reads(&bad), &reads(&good), &writes);
    }
    // Distinct keys of table 0 (base 0): 2, then keys past its five rows.
    let keys = |keys: [u32; 4]| u(&keys, 4, 1);
    let (bad, good) = ([2, 7, 0x4000_0001, u32::MAX], [2, 0, 0, 0]);
    let first = |n: u32| u(&[0, n], 2, 1);
    let decay = DecayRows { decay: 0.5, table: 0, base: 0, capacity: 4, dim: DIM, tables: 1 };
    let all = [keys(bad), first(4)];
    let one = [keys(good), first(1)];
    same(&decay, &step, &all, &one, &[weights()]);
    let decay = EmaDecay::new(0.9);
    let ema = EmaRows { decay, part: EmaPart::Whole, table: 0, base: 0, capacity: 4, dim: DIM, tables: 1 };
    let with = |reads: &[Option<Tensor>]| [reads.to_vec(), vec![weights()]].concat();
    same(&ema, &step, &with(&all), &with(&one), &[state(), f(&[1.0; VOCAB], VOCAB, 1)]);
    let rows = f(&uniform(4 * DIM, 4), 4, DIM);
    let scatter = ScatterRows { table: 0, base: 0, capacity: 4, dim: DIM, rows: VOCAB };
    let with = |reads: &[Option<Tensor>]| [vec![rows.clone()], reads.to_vec()].concat();
    same(&scatter, &step, &with(&all), &with(&one), &[weights()]);
    // More keys than there are.
    for device in devices_with_checks() {
        let table = SegmentTable { base: 0, capacity: 9, entries: 5, dim: DIM };
        let kernel = SegmentRuns { tables: vec![table] };
        let reads = [keys(good), u(&sources, 5, 1), u(&[0, 2, 4, 5, 5], 5, 1), first(u32::MAX), f(&source, 3, DIM)];
        run(device, kernel, &step, Lay::Strided, &reads, &[out_u(1, 20), None]);
    }
}
