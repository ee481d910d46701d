//! Averages, decays and updates of several tables in one buffer have the bits that they have one after the other.

use crate::group::grouped;
use rt_kernels::kernels::{DecayRows, EmaDecay, EmaPart, EmaRows, RowRule, SegmentTable, UpdatePart, UpdateRows};
use rt_kernels::{Buffer, Call, Device, Kernel, Operand, Operands, Program, Step, Target};
use rt_tests::{devices_with_checks, ids, uniform};
use std::sync::Arc;

/// Rows and columns of each table: more tables than a dispatch takes, narrow and wide beside each other, hot ids.
const TABLES: [(usize, usize); 18] = [
    (7, 3),
    (30, 64),
    (2, 8),
    (90, 33),
    (4, 1),
    (9, 128),
    (50, 16),
    (3, 5),
    (20, 200),
    (700, 3),
    (30, 64),
    (2, 1),
    (90, 33),
    (1, 4),
    (9, 128),
    (50, 16),
    (3, 5),
    (20, 7),
];
const ENTRIES: usize = 700;
const WIDTH: usize = 200;

#[derive(Debug, Clone, Copy)]
enum What {
    Average,
    Decay,
    Update(RowRule),
}

/// Buffers on a device, in the order of their numbers.
struct Buffers<'a> {
    device: &'a Device,
    list: Vec<Buffer>,
}

impl Buffers<'_> {
    fn put(&mut self, words: &[u32]) -> Operand {
        let buffer = self.device.zeros(None, words.len(), "test operand").unwrap();
        self.device.write(&buffer, 0, words).unwrap();
        self.list.push(buffer);
        Operand::dense(self.list.len() - 1, words.len(), 1)
    }
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// The weights and both states of all tables afterwards, and the dispatches that it took.
fn after(device: &Device, what: What, at_once: bool) -> ([Vec<u32>; 3], usize) {
    let total = |f: fn(&(usize, usize)) -> usize, n: usize| TABLES[..n].iter().map(f).sum::<usize>();
    let (cells, rows) = (|n| total(|t| t.0 * t.1, n), |n| total(|t| t.0, n));
    let mut entries = Vec::new();
    for (t, table) in TABLES.iter().enumerate() {
        let own = ids(ENTRIES, table.0 as u32, t as u64 + 1);
        let key = |id| if id == 0 { 0 } else { rows(t) as u32 + id };
        entries.extend(own.iter().enumerate().map(|(i, id)| (key(*id), i as u32)));
    }
    let bases: Vec<u32> = (0..TABLES.len()).map(|t| rows(t) as u32).collect();
    let groups = grouped(entries, &bases);
    let mut buffers = Buffers { device, list: vec![] };
    let [keys, sources, _, first] = groups.operands().map(|t| buffers.put(&t.unwrap().words()));
    let source = uniform(ENTRIES * WIDTH, 5);
    let rows_of_all = buffers.put(&bits(&source));
    let (mut runs, mut chunks, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for (t, &(capacity, dim)) in TABLES.iter().enumerate() {
        let table = SegmentTable { base: bases[t], capacity, entries: ENTRIES, dim };
        let narrow: Vec<f32> = source.chunks(WIDTH).flat_map(|row| row[..dim].to_vec()).collect();
        places.push((runs.len(), chunks.len(), table));
        let [own, sums] = groups.segments(t, table, &narrow);
        runs.extend(own.unwrap().words());
        chunks.extend(sums.unwrap().words());
    }
    let (runs, chunks) = (buffers.put(&runs), buffers.put(&chunks));
    let n = cells(TABLES.len());
    let positive = |seed| uniform(n, seed).iter().map(|x| x.abs()).collect::<Vec<_>>();
    let state = [uniform(n, 6), positive(7), positive(8)].map(|x| buffers.put(&bits(&x)));
    let mut calls: Vec<Call> = Vec::new();
    for (t, &(capacity, dim)) in TABLES.iter().enumerate() {
        let matrix = |of: Operand, offset, rows, cols| Some(Operand { offset, rows, cols, stride: cols, ..of });
        let table = |of| matrix(of, cells(t), capacity, dim);
        let (base, tables) = (bases[t], TABLES.len());
        let (kernel, reads, writes): (Arc<dyn Kernel + Send + Sync>, _, _) = match what {
            What::Average => {
                let decay = EmaDecay::new(0.99);
                let kernel = EmaRows { decay, part: EmaPart::Whole, table: t, base, capacity, dim, tables };
                let writes = vec![table(state[1]), matrix(state[2], rows(t), capacity, 1)];
                (Arc::new(kernel), vec![Some(keys), Some(first), table(state[0])], writes)
            }
            What::Decay => {
                let kernel = DecayRows { decay: 0.3, table: t, base, capacity, dim, tables };
                (Arc::new(kernel), vec![Some(keys), Some(first)], vec![table(state[0])])
            }
            What::Update(rule) => {
                let (run, chunk, segment) = places[t];
                let reads = vec![
                    Some(Operand { rows: ENTRIES, cols: dim, stride: WIDTH, ..rows_of_all }),
                    Some(sources),
                    matrix(runs, run, 1, segment.run_words()),
                    matrix(chunks, chunk, segment.blocks(), dim),
                ];
                let [one, two] = match rule {
                    RowRule::Sgd => [None, None],
                    RowRule::Adagrad { .. } => [matrix(state[1], rows(t), capacity, 1), None],
                    RowRule::Adam { .. } => [table(state[1]), table(state[2])],
                };
                let kernel = UpdateRows { rule, part: UpdatePart::Whole, capacity, entries: ENTRIES, dim };
                (Arc::new(kernel), reads, vec![table(state[0]), one, two])
            }
        };
        calls.push(Call { kernel, operands: Operands { reads, writes, scratch: vec![] } });
    }
    let step = Step::new(40, 0, 0, 1).with_rates(0.5, 0.05, 0.9, 0.999);
    let programs = if at_once { vec![calls] } else { calls.into_iter().map(|call| vec![call]).collect() };
    let mut dispatches = 0;
    for calls in programs {
        let mut program = Program::new(device, buffers.list.clone(), calls).unwrap();
        dispatches += program.dispatches();
        program.run(&step).unwrap();
    }
    (state.map(|o| device.read_u32(&buffers.list[o.buffer]).unwrap()), dispatches)
}

#[test]
fn tables_of_one_buffer_take_a_dispatch_and_keep_their_bits() {
    let adam = RowRule::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
    for what in [What::Average, What::Decay]
        .into_iter()
        .chain([RowRule::Sgd, RowRule::Adagrad { eps: 1e-8 }, adam].map(What::Update))
    {
        for device in devices_with_checks().iter().filter(|d| d.target() == Target::Gpu) {
            let ((at_once, few), (one_by_one, many)) = (after(device, what, true), after(device, what, false));
            assert!(at_once == one_by_one, "{what:?} on {device:?}");
            assert_eq!((few, many), (2, TABLES.len()), "{what:?}: dispatches; one lists 16 tables");
        }
    }
}
