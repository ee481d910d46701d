//! Kernels on a table in slabs of columns: the same bits as on the whole table, on every device.

use crate::group::grouped;
use rt_kernels::kernels::{Bag, Gather, RowRule, SegmentTable, Sum, UpdatePart, UpdateRows};
use rt_kernels::slabs::cut;
use rt_kernels::{Buffer, Call, Device, Error, Kernel, Operand, Operands, Program, Step};
use rt_tests::{devices_with_checks, ids, uniform};
use std::collections::BTreeMap;
use std::sync::Arc;

#[rustfmt::skip] // a table
const CASES: &[(&str, usize, &[usize])] = &[
    // why it is here                          dim  slabs
    ("slabs of two widths",                     12, &[8, 4]),
    ("the narrowest slabs",                     12, &[4, 4, 4]),
    ("not a multiple of 4",                     10, &[4, 4, 2]),
    ("a last slab of one column",                5, &[4, 1]),
    ("the common width",                        64, &[32, 32]),
    ("more lanes than a workgroup has",        100, &[52, 48]),
];

const ROWS: usize = 60;

/// A matrix operand of a call: its cells, and whether it is the table or a moment of it.
struct Matrix {
    words: Vec<u32>,
    cols: usize,
    cut: bool,
}

fn floats(x: &[f32], cols: usize, cut: bool) -> Option<Matrix> {
    Some(Matrix { words: x.iter().map(|x| x.to_bits()).collect(), cols, cut })
}

fn integers(x: &[u32], cols: usize) -> Option<Matrix> {
    Some(Matrix { words: x.to_vec(), cols, cut: false })
}

/// Runs a kernel with what is cut in slabs of these widths; gives the cells of what it wrote.
fn run(
    device: &Device,
    kernel: &Arc<dyn Kernel + Send + Sync>,
    widths: &[usize],
    reads: &[Option<Matrix>],
    writes: &[Option<Matrix>],
) -> rt_kernels::Result<Vec<Vec<u32>>> {
    let (mut buffers, mut slabs) = (Vec::<Buffer>::new(), BTreeMap::new());
    let mut place = |m: &Option<Matrix>| {
        let m = m.as_ref()?;
        let rows = m.words.len() / m.cols;
        let first = buffers.len();
        let whole = [m.cols];
        let mut from = 0;
        let mut list = Vec::new();
        for width in if m.cut { widths } else { &whole } {
            let cells: Vec<u32> = m.words.chunks(m.cols).flat_map(|row| row[from..from + width].to_vec()).collect();
            let buffer = device.zeros(None, cells.len(), "test operand").expect("test buffer");
            device.write(&buffer, 0, &cells).expect("upload");
            list.push(Operand::dense(buffers.len(), rows, *width));
            buffers.push(buffer);
            from += width;
        }
        let operand = Operand::dense(first, rows, m.cols);
        if list.len() > 1 {
            slabs.insert(first, list);
        }
        Some(operand)
    };
    let reads: Vec<_> = reads.iter().map(&mut place).collect();
    let written: Vec<_> = writes.iter().map(&mut place).collect();
    let operands = Operands { reads, writes: written.clone(), scratch: Vec::new() };
    let calls = cut(Call { kernel: kernel.clone(), operands }, &slabs)?;
    let mut program = Program::new(device, buffers.clone(), calls)?;
    program.run(&Step::new(3, 0, 0, 1).with_rates(0.5, 0.05, 0.9, 0.999))?;
    let read = |o: &Operand| {
        let Some(list) = slabs.get(&o.buffer) else {
            return device.read_u32(&buffers[o.buffer]).expect("read back");
        };
        let parts: Vec<_> = list.iter().map(|o| device.read_u32(&buffers[o.buffer]).expect("read back")).collect();
        let row = |r: usize| list.iter().zip(&parts).flat_map(move |(o, part)| part[r * o.cols..][..o.cols].to_vec());
        (0..o.rows).flat_map(row).collect()
    };
    Ok(written.iter().flatten().map(read).collect())
}

fn same_bits(
    what: &str,
    kernel: impl Kernel + Send + Sync + 'static,
    widths: &[usize],
    reads: &[Option<Matrix>],
    writes: &[Option<Matrix>],
) {
    let kernel: Arc<dyn Kernel + Send + Sync> = Arc::new(kernel);
    let dim: usize = widths.iter().sum();
    for device in devices_with_checks() {
        let whole = run(device, &kernel, &[dim], reads, writes).expect("whole");
        let slabs = run(device, &kernel, widths, reads, writes).expect("slabs");
        assert!(whole == slabs, "{what}, {kernel:?}, {device:?}");
    }
}

#[test]
fn lookups_in_slabs_have_the_bits_of_the_whole_table() {
    for &(what, dim, widths) in CASES {
        let table = || floats(&uniform(ROWS * dim, 1), dim, true);
        let n = 70;
        let nan = |cols: usize| floats(&vec![f32::NAN; n * cols], cols, false);
        let looked_up = integers(&ids(n, ROWS as u32, 2), 1);
        same_bits(what, Gather { rows: n, dim }, widths, &[table(), looked_up], &[nan(dim)]);

        let items = integers(&ids(200, ROWS as u32, 3), 1);
        let slices: Vec<u32> = (0..n as u32).flat_map(|i| [i * 2, i % 40]).collect();
        let reads = [table(), items, integers(&slices, 2), None, None];
        for windows in [vec![7], vec![1, 5, usize::MAX]] {
            let writes = [nan(windows.len() * dim)];
            let bag = Bag { rows: n, dim, apart: dim, windows, max_len: 30, mean: true, zones: false };
            same_bits(what, bag, widths, &reads, &writes);
        }
    }
}

#[test]
fn updates_in_slabs_have_the_bits_of_the_whole_table() {
    for &(what, dim, widths) in CASES {
        let n = 2_000;
        let (vocab, base) = (ROWS as u32, 40);
        // Id 1 is hot.
        let looked_up = ids(n, vocab, 4).into_iter().enumerate().map(|(i, id)| if i % 3 == 0 { 1 } else { id });
        let mut entries: Vec<(u32, u32)> =
            looked_up.enumerate().map(|(i, id)| (if id == 0 { 0 } else { base + id }, i as u32)).collect();
        entries.push((7, 3));
        let groups = grouped(entries, &[0, base]);
        let source = uniform(n * dim, 5);
        let [runs, chunks] = groups.segments(1, SegmentTable { base, capacity: ROWS, entries: n, dim }, &source);
        let (runs, chunks) = (runs.unwrap().words(), chunks.unwrap().words());
        let chunks: Vec<f32> = chunks.into_iter().map(f32::from_bits).collect();
        let reads = [
            floats(&source, dim, false),
            integers(&groups.sources, 1),
            integers(&runs, runs.len()),
            floats(&chunks, dim, false),
        ];
        let state = |cols: usize, seed, cut| {
            let values: Vec<f32> = uniform(ROWS * cols, seed).into_iter().map(f32::abs).collect();
            floats(&values, cols, cut)
        };
        for (rule, one, two) in [
            (RowRule::Sgd, None, None),
            (RowRule::Adagrad { eps: 1e-8 }, state(1, 7, false), None),
            (RowRule::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 }, state(dim, 7, true), state(dim, 8, true)),
        ] {
            let writes = [floats(&uniform(ROWS * dim, 6), dim, true), one, two];
            let kernel = UpdateRows { rule, part: UpdatePart::Whole, capacity: ROWS, entries: n, dim };
            same_bits(what, kernel, widths, &reads, &writes);
        }
    }
}

#[test]
fn a_kernel_without_a_table_refuses_slabs() {
    let kernel: Arc<dyn Kernel + Send + Sync> = Arc::new(Sum { rows: 60, ring: 1 });
    let reads = [floats(&uniform(60, 1), 60, true)];
    match run(&devices_with_checks()[0], &kernel, &[40, 20], &reads, &[floats(&[0.0], 1, false)]) {
        Err(Error::Call { kernel: "sum", what }) => assert!(what.contains("2 slabs"), "{what}"),
        other => panic!("{other:?}"),
    }
}
