//! Hostile operands and attributes: refused by name before anything runs, or run within their own words. These tests do not rest on
//! the overflow checks of the dev profile: each asserts an error, or that words are untouched, and release builds, where
//! arithmetic wraps, have to pass them as they are (tests/fuzz runs them so).

use rt_kernels::kernels::*;
use rt_kernels::philox::{PhiloxRng, key};
use rt_kernels::rand_core::Rng;
use rt_kernels::{Buffer, Call, CpuIo, Device, Dtype, Error, Kernel, Mat, MatMut, Operand, Operands, Program, Step};
use rt_tests::hostile::{Fate, Source, by_hand, program};
use rt_tests::{devices, representative_kernels};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

fn make(
    device: &Device,
    buffers: &[Buffer],
    kernel: impl Kernel + Send + Sync + 'static,
    reads: Vec<Option<Operand>>,
    writes: Vec<Option<Operand>>,
) -> rt_kernels::Result<Program> {
    let operands = Operands { reads, writes, scratch: Vec::new() };
    Program::new(device, buffers.to_vec(), vec![Call { kernel: Arc::new(kernel), operands }])
}

fn refused(made: rt_kernels::Result<Program>, names: &str) {
    let Err(error) = made else { panic!("it was taken, `{names}` should be in the error") };
    assert!(error.to_string().contains(names), "`{error}` does not name `{names}`");
}

#[test]
fn operands_whose_ends_wrap_are_refused() {
    let most = usize::MAX;
    for device in devices() {
        let buffers: Vec<Buffer> = (0..2).map(|_| device.zeros(Dtype::F32, 64, "x").unwrap()).collect();
        let copy = |rows, cols, a: Operand| {
            make(device, &buffers, Copy { rows, cols }, vec![Some(a)], vec![Some(Operand::dense(1, rows, cols))])
        };
        let scale = |rows, cols, out: Operand| {
            let kernel = Scale { rows, cols, factor: 2.0 };
            make(device, &buffers, kernel, vec![Some(Operand::dense(0, rows, cols))], vec![Some(out)])
        };
        let o = |rows, cols, offset, stride| Operand { buffer: 0, offset, rows, cols, stride };
        // (rows - 1) stride + cols, offset plus that, or both are a small number modulo 2^64.
        for (rows, cols, offset, stride) in [
            (2, 4, 0, most - 3),
            (2, 4, 0, most),
            (3, 2, 0, most / 2 + 1),
            (5, 1, 0, most / 4 + 1),
            (4, 4, most - 3, 4),
            (2, 4, 8, most - 8),
            (1, 4, most - 2, 4),
            (1, 4, most, 4),
        ] {
            refused(copy(rows, cols, o(rows, cols, offset, stride)), "operand `a`");
            refused(scale(rows, cols, Operand { buffer: 1, ..o(rows, cols, offset, stride) }), "operand `out`");
        }
        // A kernel that loops to such a number itself.
        refused(copy(most, 0, o(most, 0, 0, 0)), "operand `a`");
        refused(copy(1 << 32, 1 << 32, o(1 << 32, 1 << 32, 0, 1 << 32)), "operand `a`");
        // Past the end by one, and before it.
        refused(copy(4, 16, o(4, 16, 1, 16)), "its buffer has 64 words");
        assert!(copy(4, 16, o(4, 16, 0, 16)).is_ok());
        assert!(copy(4, 13, o(4, 13, 3, 16)).is_ok());
    }
}

#[test]
fn buffers_that_do_not_fit_are_refused() {
    let others: Vec<Device> = devices().iter().filter(|d| d.target() != devices()[0].target()).cloned().collect();
    for device in devices() {
        let zeros = |dtype: Option<Dtype>| device.zeros(dtype, 16, "x").unwrap();
        let (floats, ids, either) = (zeros(Some(Dtype::F32)), zeros(Some(Dtype::U32)), zeros(None));
        let dense = |buffer| Some(Operand::dense(buffer, 4, 4));
        let scale = |a: &Buffer, out: &Buffer, read: usize, write: usize| {
            let kernel = Scale { rows: 4, cols: 4, factor: 2.0 };
            make(device, &[a.clone(), out.clone()], kernel, vec![dense(read)], vec![dense(write)])
        };
        assert!(scale(&floats, &either, 0, 1).is_ok());
        refused(scale(&floats, &either, 2, 1), "buffer 2 of 2");
        refused(scale(&floats, &either, 0, usize::MAX), "of 2");
        let nothing = Operand::dense(7, 0, 4);
        let none = make(
            device,
            std::slice::from_ref(&floats),
            Copy { rows: 0, cols: 4 },
            vec![Some(nothing)],
            vec![Some(nothing)],
        );
        assert!(none.is_err(), "an operand without a cell, in no buffer");
        refused(scale(&ids, &either, 0, 1), "of F32, its buffer holds U32");
        refused(scale(&floats, &ids, 0, 1), "of F32, its buffer holds U32");
        refused(scale(&either, &either, 0, 1), "the same words");
        // What moves words takes those of either type.
        let copy = Copy { rows: 4, cols: 4 };
        assert!(make(device, &[ids.clone(), floats.clone()], copy, vec![dense(0)], vec![dense(1)]).is_ok());
        let take = |ids: &Buffer| {
            let reads = vec![dense(0), Some(Operand::dense(1, 4, 1))];
            let buffers = [floats.clone(), ids.clone(), either.clone()];
            make(device, &buffers, Take { rows: 4, cols: 4 }, reads, vec![dense(2)])
        };
        assert!(take(&ids).is_ok());
        refused(take(&zeros(Some(Dtype::F32))), "operand `ids` is of U32");
        for other in &others {
            let away = other.zeros(Dtype::F32, 16, "x").unwrap();
            if device.target() != other.target() {
                refused(scale(&away, &either, 0, 1), "another device");
            }
        }
    }
}

/// Each kernel whose attributes no slot shows, with attributes that do not fit: the shaders would be bounded by them.
#[test]
fn attributes_that_do_not_fit_are_refused() {
    let mut kernels: Vec<(Arc<dyn Kernel + Send + Sync>, &str)> = Vec::new();
    let mut add = |kernel: Arc<dyn Kernel + Send + Sync>, names| kernels.push((kernel, names));
    let (rows, dim, n) = (4, 4, 0);
    for windows in [vec![], vec![3, 2], vec![2, 2], vec![0, 2], (1..18).collect()] {
        let (mean, zones) = (false, false);
        add(Arc::new(Bag { rows, dim, apart: dim, windows: windows.clone(), max_len: 9, mean, zones }), "windows");
        add(
            Arc::new(BagBackward { rows, dim, vocab: 5, windows: windows.clone(), max_len: 9, mean, zones }),
            "windows",
        );
        add(Arc::new(MaxPool { rows, history: 3, dim, windows: windows.clone(), zones }), "windows");
        let kind = UseKind::Bag { rows, max_len: 3, windows };
        let uses = vec![GroupUse { table: 0, source: 0, entry: 0, kind }];
        add(Arc::new(Group { uses, tables: vec![GroupTable { base: 0, rows: 9 }], capacity: 12 }), "windows");
    }
    add(Arc::new(Bag { rows, dim, apart: 3, windows: vec![1, 2], max_len: 9, mean: false, zones: false }), "apart");
    let of = |table, entry, capacity, bases: [u32; 2], rows| {
        let uses = vec![GroupUse { table, source: 0, entry, kind: UseKind::Ids { n: 5 } }];
        Group { uses, tables: bases.map(|base| GroupTable { base, rows }).into(), capacity }
    };
    assert!(of(1, 0, 5, [0, 9], 9).mismatch(&Operands::default()).is_none());
    add(Arc::new(of(2, 0, 5, [0, 9], 9)), "table 2 of 2");
    add(Arc::new(of(1, 1, 5, [0, 9], 9)), "entry 1");
    add(Arc::new(of(1, 0, 4, [0, 9], 9)), "capacity of 4");
    add(Arc::new(of(1, 0, 5, [0, 8], 9)), "overlap");
    add(Arc::new(of(1, 0, 5, [0, u32::MAX], 9)), "pass 32 bits");
    let (table, tables, base, capacity) = (2, 2, 0, 4);
    add(Arc::new(DecayRows { decay: 0.1, table, base, capacity, dim, tables }), "table 2 of 2");
    let (decay, part) = (EmaDecay::new(0.9), EmaPart::Whole);
    add(Arc::new(EmaRows { decay, part, table, base, capacity, dim, tables }), "table 2 of 2");
    add(Arc::new(SquaredNorm { rows, cols: 4, table, tables }), "table 2 of 2");
    add(Arc::new(ScatterRows { table: 69, base, capacity, dim, rows }), "table 69 of 69");
    let one = OnTable::Decay(DecayRows { decay: 0.1, table, base, capacity, dim, tables });
    add(Arc::new(OnTables { list: vec![one] }), "table 2 of 2");
    add(Arc::new(Frequency { n: 4, hashes: 1, slots: 0, hashed: true, rate: 0.1 }), "no slot");
    add(Arc::new(Pairwise { rows, n, rule: PairRule::Bpr }), "no logit");
    add(Arc::new(BceWithLogits { rows, n }), "no logit");
    add(Arc::new(ListSoftmax { rows, n, mask_hits: false, correct_positive: false, smoothing: 0.0 }), "no logit");
    for positive in [Positive::Diagonal, Positive::Label] {
        let (candidates, scale, mask_hits) = (if positive == Positive::Label { 0 } else { 3 }, 1.0, false);
        let (correct_positive, smoothing) = (false, 0.0);
        let kernel = SoftmaxLoss { rows, candidates, dim, scale, positive, correct_positive, mask_hits, smoothing };
        add(Arc::new(kernel), "positives");
        let (from, count, tile) = (1, 2, 100);
        add(Arc::new(HardMask { rows, candidates, dim, scale, positive, mask_hits, from, count, tile }), "positives");
    }
    add(Arc::new(QueuePush { rows, cols: 4, slots: 0 }), "no slot");
    add(Arc::new(Sum { rows, ring: 0 }), "no place");
    add(Arc::new(TopK { queries: 2, items: 9, k: 3, first: u32::MAX - 8 }), "ids end");
    add(Arc::new(Search { queries: 2, items: 9, dim, k: 3, first: u32::MAX - 8, coded: false }), "ids end");
    add(Arc::new(DrawUniform { n: 4, low: 2, count: u32::MAX - 1, stream: 0 }), "ids end");
    for (kernel, names) in kernels {
        for device in [&devices()[0], &devices()[devices().len() - 1]] {
            let (operands, buffers) = fitting(device, &*kernel, &[]);
            refused(Program::new(device, buffers, vec![Call { kernel: kernel.clone(), operands }]), names);
        }
    }
}

/// Dense operands as the signature wants them, 70 rows where it takes any but for those that `rows` names.
fn fitting(device: &Device, kernel: &dyn Kernel, rows: &[(&str, usize)]) -> (Operands, Vec<Buffer>) {
    let signature = kernel.signature();
    let mut buffers = Vec::new();
    let mut place = |slot: &rt_kernels::Slot| {
        let any = rows.iter().find(|(name, _)| *name == slot.name).map_or(70, |(_, n)| *n);
        let (rows, cols) = (slot.rows.unwrap_or(any), slot.cols.unwrap_or(2));
        buffers.push(device.zeros(slot.dtype, rows * cols, slot.name).unwrap());
        Some(Operand::dense(buffers.len() - 1, rows, cols))
    };
    let reads = signature.reads.iter().map(&mut place).collect();
    let writes = signature.writes.iter().map(&mut place).collect();
    (Operands { reads, writes, scratch: Vec::new() }, buffers)
}

/// Adagrad alone has a part that leaves the table out; a shader of another rule would write where none is bound.
#[test]
fn a_table_that_is_written_is_not_left_out() {
    let (capacity, entries, dim, eps) = (8, 8, 4, 1e-8);
    for (rule, taken) in [
        (RowRule::Sgd, false),
        (RowRule::Adagrad { eps }, true),
        (RowRule::Adam { beta1: 0.9, beta2: 0.99, eps }, false),
    ] {
        let kernel = UpdateRows { rule, part: UpdatePart::Accumulators, capacity, entries, dim };
        let (mut operands, buffers) = fitting(&devices()[0], &kernel, &[]);
        operands.writes[0] = None;
        let made = Program::new(&devices()[0], buffers, vec![Call { kernel: Arc::new(kernel), operands }]);
        assert_eq!(made.is_ok(), taken, "{rule:?}");
    }
}

/// Operands that each fit their slot, and not each other.
#[test]
fn operands_that_do_not_fit_each_other_are_refused() {
    let eps = 1e-8;
    let (capacity, entries, dim) = (8, 8, 4);
    let rows = |rule| UpdateRows { rule, part: UpdatePart::Whole, capacity, entries, dim };
    let cases: [(Arc<dyn Kernel + Send + Sync>, &str, usize); 8] = [
        (Arc::new(rows(RowRule::Adagrad { eps })), "state1", 69),
        (Arc::new(rows(RowRule::Adam { beta1: 0.9, beta2: 0.99, eps })), "state2", 69),
        (Arc::new(DrawAlias { n: 4, stream: 0 }), "alias", 69),
        (Arc::new(DrawUnseen { rows: 4, k: 2, count: 9, tries: 2, stream: 0 }), "alias", 69),
        (Arc::new(Batch { batch: 4, history: 3, set: true, first: 0 }), "ends", 68),
        (Arc::new(Batch { batch: 4, history: 3, set: false, first: 0 }), "starts", 0),
        (
            Arc::new(EmaRows {
                decay: EmaDecay::new(0.9),
                part: EmaPart::Whole,
                table: 0,
                base: 0,
                capacity,
                dim,
                tables: 1,
            }),
            "seen",
            69,
        ),
        (Arc::new(ScatterRows { table: 1, base: 0, capacity, dim, rows: 4 }), "first", 2),
    ];
    for (kernel, name, rows) in cases {
        let device = &devices()[0];
        let made = |rows: &[(&str, usize)]| {
            let (operands, buffers) = fitting(device, &*kernel, rows);
            Program::new(device, buffers, vec![Call { kernel: kernel.clone(), operands }])
        };
        assert!(matches!(made(&[(name, rows)]), Err(Error::Call { .. })), "{kernel:?}: `{name}` of {rows} rows");
        assert!(made(&[]).is_ok(), "{kernel:?}");
    }
}

/// A kernel run by hand, without a program, on a matrix that says more of itself than its slice has.
#[test]
fn a_neighbour_is_not_written() {
    let (half, most) = (1usize << (usize::BITS / 2), usize::MAX);
    let ones = [1.0f32.to_bits(); 64];
    for (rows, cols, stride) in [(4, 4, 8), (2, 4, most - 2), (half, half, half), (3, 4, most / 2 + 1), (most, 1, most)]
    {
        let mut words = [0u32; 64];
        let (own, neighbour) = words.split_at_mut(16);
        let ran = catch_unwind(AssertUnwindSafe(|| {
            let (trans_a, trans_b, activation) = (false, false, Activation::None);
            let (m, n, k) = (rows, cols, 2);
            let reads =
                vec![Some(Mat::new(&ones, m.min(9), k, k)), Some(Mat::new(&ones, k, n.min(9), n.min(9))), None, None];
            let out = MatMut::new(own, rows, cols, stride);
            let kernel = Gemm { m, n, k, trans_a, trans_b, activation };
            kernel.run(&mut CpuIo::new(&Step::default(), reads, vec![Some(out)]));
        }));
        let text = ran.expect_err("it says more than it has").downcast::<String>().expect("a message");
        assert!(text.contains("a matrix ["), "{text}");
        assert!(neighbour.iter().all(|word| *word == 0), "[{rows}, {cols}] with stride {stride}");
    }
    // Fields are public: what is changed after the check is checked again where it counts.
    let mut words = [0u32; 64];
    let (own, neighbour) = words.split_at_mut(16);
    let mut out = MatMut::new(own, 4, 4, 4);
    out.stride = 16;
    let kernel = Gemm { m: 4, n: 4, k: 2, trans_a: false, trans_b: false, activation: Activation::None };
    let reads = vec![Some(Mat::new(&ones, 4, 2, 2)), Some(Mat::new(&ones, 2, 4, 4)), None, None];
    let run = || kernel.run(&mut CpuIo::new(&Step::default(), reads, vec![Some(out)]));
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    assert!(neighbour.iter().all(|word| *word == 0));
}

#[test]
fn the_generator_makes_every_kernel() {
    let of = |kernel: &dyn Kernel| {
        let text = format!("{kernel:?}");
        text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
    };
    let bytes: Vec<Vec<u8>> = (0..40).map(|seed| random(seed, 400)).collect();
    let made: BTreeSet<String> = (0..Source::KERNELS)
        .flat_map(|number| bytes.iter().map(move |bytes| of(&*Source::new(bytes).kernel(number))))
        .collect();
    let all: BTreeSet<String> = representative_kernels().iter().map(|case| of(&*case.kernel)).collect();
    assert_eq!(made, all);
}

fn random(seed: u64, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    PhiloxRng::at(key(seed), [0, 7, 0, 0]).fill_bytes(&mut bytes);
    bytes
}

/// Panics that are caught say nothing.
fn quietly(f: impl FnOnce()) {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let ended = catch_unwind(AssertUnwindSafe(f));
    std::panic::set_hook(hook);
    if let Err(panic) = ended {
        panic!("{}", panic.downcast_ref::<String>().map_or("a panic", String::as_str));
    }
}

/// What the fuzz target does, on fixed seeds: every kernel, as a program and by hand.
#[test]
fn hostile_calls_stay_within_their_words() {
    quietly(|| {
        let mut fates: BTreeMap<(bool, String), usize> = BTreeMap::new();
        let cpu = &devices()[0];
        for number in 0..Source::KERNELS {
            for seed in 0..120 {
                let bytes = random(1000 * seed + number as u64, 600);
                let fate = program(cpu, &mut Source::new(&bytes), number);
                *fates.entry((true, format!("{fate:?}"))).or_default() += 1;
                let fate = by_hand(&mut Source::new(&bytes), number);
                *fates.entry((false, format!("{fate:?}"))).or_default() += 1;
            }
        }
        // The generator is of use if much of what it makes runs and much is refused.
        for (by_program, fate, least) in
            [(true, Fate::Ran, 1000), (true, Fate::Refused, 1000), (false, Fate::Ran, 1000)]
        {
            let got = fates.get(&(by_program, format!("{fate:?}"))).copied().unwrap_or_default();
            assert!(got > least, "{fates:?}");
        }
        println!("{fates:?}");
    });
}

/// No row, no column, one of each: an error or a run, no panic.
#[test]
fn shapes_at_the_edge_run() {
    quietly(|| {
        let mut ran = BTreeSet::new();
        for number in 0..Source::KERNELS {
            for seed in 0..150 {
                let bytes = random(77_000 + 1000 * seed + number as u64, 200);
                if program(&devices()[0], &mut Source::edge(&bytes), number) == Fate::Ran {
                    ran.insert(number);
                }
            }
        }
        let never: Vec<usize> = (0..Source::KERNELS).filter(|n| !ran.contains(n)).collect();
        assert!(never.is_empty(), "kernels that no such shape ran: {never:?}");
    });
}
