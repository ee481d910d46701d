//! Grouping against a plain stable sort, and the segmented sums over its output against f64.

use crate::bag::{History, Take, end, history};
use rt_kernels::kernels::{Group, GroupTable, GroupUse, ScatterRows, SegmentRuns, SegmentSum, SegmentTable, UseKind};
use rt_kernels::{Kernel, Operands, Step};
use rt_tests::{Lay, Tensor, close, devices_with_checks, f, floats, ids, ints, out_f, out_u, run, u, uniform};

/// The output of a grouping.
pub(crate) struct Grouped {
    pub(crate) keys: Vec<u32>,
    pub(crate) sources: Vec<u32>,
    pub(crate) starts: Vec<u32>,
    pub(crate) first: Vec<u32>,
}

/// Groups (key, source row) entries by a stable sort; key 0 is null.
pub(crate) fn grouped(mut entries: Vec<(u32, u32)>, bases: &[u32]) -> Grouped {
    entries.retain(|e| e.0 != 0);
    entries.sort_by_key(|e| e.0);
    let mut keys: Vec<u32> = entries.iter().map(|e| e.0).collect();
    keys.dedup();
    let below = |key: u32| entries.iter().filter(|e| e.0 < key).count() as u32;
    let mut starts: Vec<u32> = keys.iter().map(|k| below(*k)).collect();
    starts.push(entries.len() as u32);
    let place = |base: &u32| keys.iter().filter(|k| *k < base).count() as u32;
    let mut first: Vec<u32> = bases.iter().map(place).collect();
    first.push(keys.len() as u32);
    let sources = entries.iter().map(|e| e.1).collect();
    Grouped { keys, sources, starts, first }
}

impl Grouped {
    /// As operands.
    pub(crate) fn operands(&self) -> [Option<Tensor>; 4] {
        [&self.keys, &self.sources, &self.starts, &self.first].map(|v| {
            let padded = if v.is_empty() { vec![9] } else { v.clone() };
            u(&padded, padded.len(), 1)
        })
    }

    /// The packed runs and the chunks' sums of table `t`, as operands: what cells hold that are not written is never read.
    pub(crate) fn segments(&self, t: usize, table: SegmentTable, source: &[f32]) -> [Option<Tensor>; 2] {
        let (dim, count) = (table.dim, (self.first[t + 1] - self.first[t]) as usize);
        let mut runs = vec![0xDEAD_BEEF; table.run_words()];
        let mut chunks = vec![f32::NAN; table.blocks() * dim];
        let begin = self.starts[self.first[t] as usize];
        runs[0] = count as u32;
        runs[1] = begin;
        let mut start = begin;
        for (k, (key, run)) in self.runs(t).into_iter().enumerate() {
            runs[2 * k + 2] = key - table.base;
            let first = (start - begin) as usize / 256;
            start += run.len() as u32;
            runs[2 * k + 3] = start;
            for (j, chunk) in run.chunks_exact(256).enumerate().filter(|_| run.len() >= 512) {
                for c in 0..dim {
                    let sum = chunk.iter().fold(0.0, |s, row| s + source[*row as usize * dim + c]);
                    chunks[(first + j) * dim + c] = sum;
                }
            }
        }
        let sums = if chunks.is_empty() { None } else { f(&chunks, table.blocks(), dim) };
        [u(&runs, 1, runs.len()), sums]
    }

    /// What sums the runs of table `t` reads.
    pub(crate) fn reads(&self, t: usize, table: SegmentTable, source: &[f32]) -> Vec<Option<Tensor>> {
        let rows = source.len() / table.dim;
        let [_, sources, ..] = self.operands();
        let [runs, chunks] = self.segments(t, table, source);
        vec![f(source, rows, table.dim), sources, runs, chunks]
    }

    /// The runs of table `t`: key and source rows.
    pub(crate) fn runs(&self, t: usize) -> Vec<(u32, &[u32])> {
        (self.first[t] as usize..self.first[t + 1] as usize)
            .map(|d| {
                let run = self.starts[d] as usize..self.starts[d + 1] as usize;
                (self.keys[d], &self.sources[run])
            })
            .collect()
    }
}

/// A use in a case: its table and where its ids come from.
enum From {
    Ids(Vec<u32>),
    Bag(History, usize, Vec<usize>),
}

struct Case {
    what: &'static str,
    tables: Vec<u32>,
    uses: Vec<(usize, From)>,
}

fn bag(rows: usize, max_len: usize, vocab: u32, windows: &[usize], take: Take) -> From {
    From::Bag(history(rows, max_len, vocab, take, 21), max_len, windows.to_vec())
}

fn cases() -> Vec<Case> {
    let case = |what, tables: &[u32], uses| Case { what, tables: tables.to_vec(), uses };
    let plain = |n, vocab, seed| From::Ids(ids(n, vocab, seed));
    vec![
        case("one id", &[10], vec![(0, From::Ids(vec![7]))]),
        case("one id, null", &[10], vec![(0, From::Ids(vec![0]))]),
        case("only null ids, over a block", &[10], vec![(0, From::Ids(vec![0; 2_500]))]),
        case("a table of one row", &[1, 5], vec![(0, From::Ids(vec![0; 9])), (1, plain(9, 5, 1))]),
        case("one hot id", &[50], vec![(0, From::Ids(vec![41; 1_000]))]),
        case("all distinct, descending", &[5_000], vec![(0, From::Ids((1..=4_097).rev().collect()))]),
        case("exactly one block", &[300], vec![(0, plain(2_048, 300, 2))]),
        case("one over a block", &[300], vec![(0, plain(2_049, 300, 3))]),
        case("a key at the end of the digits", &[256, 1], vec![(0, From::Ids(vec![255, 254, 255, 1]))]),
        case(
            "last id of a table, first of the next",
            &[8, 8, 8],
            vec![(0, From::Ids(vec![7, 7, 1])), (1, From::Ids(vec![7, 1, 0])), (2, From::Ids(vec![1, 7, 1]))],
        ),
        case(
            "tables without a use between",
            &[100, 5, 5, 100, 5],
            vec![(0, plain(70, 100, 4)), (3, plain(65, 100, 5))],
        ),
        case(
            "a table used three times, a use with id 0 alone",
            &[90, 1_000],
            vec![
                (1, plain(63, 1_000, 6)),
                (0, From::Ids(vec![0; 30])),
                (1, plain(65, 1_000, 7)),
                (0, plain(30, 90, 8)),
            ],
        ),
        case("keys of 24 bits", &[20_000_000, 7], vec![(1, plain(50, 7, 8)), (0, plain(5_000, 20_000_000, 9))]),
        case("more blocks than a scan takes at once", &[60], vec![(0, plain(530_000, 60, 15))]),
        case("many tasks, three keys", &[4], vec![(0, plain(40_000, 4, 13))]),
        case("many tasks, nothing but null ids", &[4_000], vec![(0, From::Ids(vec![0; 20_000]))]),
        case(
            "many tasks, keys of 25 bits",
            &[20_000_000, 7],
            vec![(1, plain(50, 7, 8)), (0, plain(40_000, 20_000_000, 14))],
        ),
        case("many tasks, bags of three windows", &[50_000], vec![(0, bag(1_000, 40, 50_000, &[1, 5, 0], Take::Both))]),
        case("bag, no mask", &[300], vec![(0, bag(65, 20, 300, &[0], Take::All))]),
        case("bag, windows end before the slice", &[300], vec![(0, bag(63, 40, 300, &[1, 5, 20], Take::All))]),
        case(
            "bag, mask and hole, windows past the slice",
            &[300],
            vec![(0, bag(65, 50, 300, &[1, 5, 90], Take::Both))],
        ),
        case("bag, holes", &[300], vec![(0, bag(64, 9, 300, &[2, usize::MAX], Take::Hole))]),
        case("bag, holes, windows end before the slice", &[300], vec![(0, bag(72, 9, 300, &[1, 2, 5], Take::Hole))]),
        case("bag, everything masked", &[300], vec![(0, bag(64, 40, 300, &[1, 0], Take::Nothing))]),
        case(
            "history, target and negatives of a shared table, and users",
            &[2_000, 300, 20],
            vec![
                (1, bag(500, 50, 300, &[1, 5, 50], Take::Mask)),
                (0, plain(500, 2_000, 10)),
                (1, plain(500, 300, 11)),
                (2, bag(500, 3, 20, &[0], Take::All)),
                (1, plain(1_000, 300, 12)),
            ],
        ),
        case("more tables than a dispatch takes", &[3; 70], (0..70).map(|t| (t, plain(3, 3, t as u64))).collect()),
    ]
}

/// The kernel, its operands and the entries of the oracle.
fn build(case: &Case) -> (Group, Vec<Option<Tensor>>, Vec<(u32, u32)>) {
    let mut tables = Vec::new();
    let mut base = 0;
    for rows in &case.tables {
        tables.push(GroupTable { base, rows: *rows });
        base += rows;
    }
    let mut sources = vec![0u32; tables.len()];
    let (mut uses, mut reads, mut entries) = (Vec::new(), Vec::new(), Vec::new());
    for (table, from) in &case.uses {
        let (entry, source) = (entries.len(), sources[*table]);
        let key = |id: u32| if id == 0 { 0 } else { tables[*table].base + id };
        let (kind, rows) = match from {
            From::Ids(ids) => {
                reads.push(u(ids, ids.len(), 1));
                entries.extend(ids.iter().zip(source..).map(|(id, s)| (key(*id), s)));
                (UseKind::Ids { n: ids.len() }, ids.len())
            }
            From::Bag(history, max_len, windows) => {
                reads.extend(history.operands());
                let rows = history.slice.len() / 2;
                for i in 0..rows {
                    let row = history.row(i, *max_len);
                    for k in 0..*max_len {
                        let zone = windows.iter().position(|w| k < end(*w));
                        let id = row.get(k).copied().unwrap_or(0);
                        entries.push(match zone {
                            Some(z) => (key(id), source + (i * windows.len() + z) as u32),
                            None => (0, 0),
                        });
                    }
                }
                let kind = UseKind::Bag { rows, max_len: *max_len, windows: windows.clone() };
                (kind, rows * windows.len())
            }
        };
        sources[*table] += rows as u32;
        uses.push(GroupUse { table: *table, source, entry, kind });
    }
    let capacity = entries.len();
    (Group { uses, tables, capacity }, reads, entries)
}

#[test]
fn groups_like_a_stable_sort() {
    for case in cases() {
        let (kernel, reads, entries) = build(&case);
        let bases: Vec<u32> = kernel.tables.iter().map(|t| t.base).collect();
        let want = grouped(entries, &bases);
        let n = kernel.capacity;
        let writes = [out_u(n, 1), out_u(n, 1), out_u(n + 1, 1), out_u(bases.len() + 1, 1)];
        for device in devices_with_checks() {
            for lay in [Lay::Dense, Lay::Strided] {
                let what = format!("{}, {device:?}, {lay:?}", case.what);
                let got = run(device, kernel.clone(), &Step::default(), lay, &reads, &writes);
                assert_eq!(ints(&got[3]), want.first, "{what}: first");
                for (i, want) in [&want.keys, &want.sources, &want.starts].into_iter().enumerate() {
                    let got = ints(&got[i]);
                    assert_eq!(&got[..want.len()], want, "{what}: output {i}");
                    assert!(got[want.len()..].iter().all(|w| *w == 0xDEAD_BEEF), "{what}: output {i} past the count");
                }
            }
        }
    }
}

#[rustfmt::skip] // a table
const SUMS: &[(&str, usize, usize, u32)] = &[
    // why it is here            entries  dim  ids
    ("one cell",                       1,   1,   2),
    ("one hot id",                 1_000,   5,   2),
    ("one column",                    65,   1,  30),
    ("nothing divides",            1_000,  33, 100),
    ("width 16",                      63,  16, 900),
    ("the common width",           1_000,  64, 700),
    ("width 100",                    130, 100,  20),
    ("width 128",                    130, 128, 500),
    ("long runs beside each other",  4_000,   5,   5),
    ("a hot id, chunks of two tasks", 12_000,  16,   2),
];

/// A run's sum in the order that is promised: of 512 entries or more the sums of its chunks of 256, then the rest.
fn in_chunks(run: &[u32], cell: impl Fn(u32) -> f32) -> f32 {
    let add = |s: f32, row: &u32| s + cell(*row);
    let (filled, rest) = run.split_at(if run.len() < 512 { 0 } else { run.len() / 256 * 256 });
    let chunks = filled.chunks(256).map(|chunk| chunk.iter().fold(0.0, add));
    rest.iter().fold(chunks.fold(0.0, |s, chunk| s + chunk), add)
}

#[test]
fn runs_about_as_long_as_chunks_are_summed_in_the_promised_order() {
    let lengths = [511, 1, 512, 255, 513, 256, 767, 768, 1, 1_024, 1_023, 1, 1, 1_300];
    let n: usize = lengths.iter().sum();
    let dim = 3;
    // Before the table lies another, whose entries shift the chunks' places.
    for before in [0, 1, 255, 256, 700] {
        let mut entries = vec![(1, 0); before];
        for (id, length) in (2..).zip(lengths) {
            entries.extend((0..length).map(|i| (id, ((i * 13 + id as usize * 101) % n) as u32)));
        }
        let groups = grouped(entries, &[0, 2]);
        let source = uniform(n * dim, 5);
        let table = SegmentTable { base: 2, capacity: lengths.len(), entries: n, dim };
        let reads = groups.reads(1, table, &source);
        let runs = groups.runs(1);
        let want: Vec<f32> = runs
            .iter()
            .flat_map(|(_, run)| (0..dim).map(|c| in_chunks(run, |row| source[row as usize * dim + c])))
            .collect();
        for device in
            devices_with_checks().iter().filter(|d| d.target() == rt_kernels::Target::Gpu || rt_tests::is_fast_cpu(d))
        {
            let sum = SegmentSum { rows: lengths.len(), entries: n, dim };
            let out = [out_f(lengths.len(), dim)];
            let got = run(device, sum, &Step::default(), Lay::Strided, &reads, &out);
            // Additions alone, in one order: no device rounds them differently.
            assert_eq!(floats(&got[0]), want, "{before} entries before, {device:?}");
        }
    }
}

/// Runs of every length about a chunk's, of tables of several widths; more tables than a dispatch takes, more sources than it
/// binds.
#[test]
fn runs_are_packed_and_their_chunks_summed() {
    for (many, entries_each) in [(1, 30), (3, 2_000), (21, 1_100)] {
        let rows = 5u32;
        let bases: Vec<u32> = (0..many).map(|t| t * rows).collect();
        let n = entries_each * many as usize;
        // Table 2 has no entry; the ids of the others are the hotter the lower.
        let id = |i: usize| 1 + (i * i % 7).min(3) as u32 % (rows - 1);
        let entry = |i: usize| match i as u32 % many {
            2 => (0, 0),
            t => (bases[t as usize] + id(i), (i * 31 % 900) as u32),
        };
        let groups = grouped((0..n).map(entry).collect(), &bases);
        let table = |t: u32| {
            let (base, dim) = (bases[t as usize], [3, 8, 1][t as usize % 3]);
            SegmentTable { base, capacity: rows as usize, entries: entries_each, dim }
        };
        let kernel = SegmentRuns { tables: (0..many).map(table).collect() };
        let sources: Vec<Vec<f32>> =
            kernel.tables.iter().zip(5..).map(|(t, seed)| uniform(900 * t.dim, seed)).collect();
        let mut reads: Vec<_> = groups.operands().into();
        reads.extend(kernel.tables.iter().zip(&sources).map(|(t, source)| f(source, 900, t.dim)));
        let [run_words, chunk_words] = kernel.words();
        let writes = [out_u(1, run_words), if chunk_words > 0 { out_f(1, chunk_words) } else { None }];
        let (mut want_runs, mut want_chunks) = (Vec::new(), Vec::new());
        for (t, (table, source)) in kernel.tables.iter().zip(&sources).enumerate() {
            let [runs, chunks] = groups.segments(t, *table, source);
            want_runs.extend(runs.unwrap().words());
            want_chunks.extend(chunks.into_iter().flat_map(|c| c.words()));
        }
        assert_eq!(want_chunks.iter().any(|w| !f32::from_bits(*w).is_nan()), entries_each > 512, "long runs");
        for device in devices_with_checks() {
            for lay in [Lay::Dense, Lay::Strided] {
                let got = run(device, kernel.clone(), &Step::default(), lay, &reads, &writes);
                assert_eq!(ints(&got[0]), want_runs, "{many} tables, {device:?}, {lay:?}: runs");
                if chunk_words > 0 {
                    assert_eq!(ints(&got[1]), want_chunks, "{many} tables, {device:?}, {lay:?}: chunks");
                }
            }
        }
    }
}

#[test]
fn segment_sum_and_scatter_match_the_oracle() {
    for &(what, n, dim, vocab) in SUMS {
        // Table 1 of three; the others have entries too. Sources lie in no order.
        let bases = [0, 40, 40 + vocab];
        let mut entries: Vec<(u32, u32)> = (0..5).map(|i| (i + 1, i)).collect();
        entries.extend(ids(n, vocab, 3).iter().enumerate().map(|(i, id)| match id {
            0 => (0, 0),
            id => (40 + id, (i as u32 * 7 + 3) % n as u32),
        }));
        entries.push((41, 0));
        entries.push((41 + vocab, 1));
        let groups = grouped(entries, &bases);
        let source = uniform(n * dim, 5);
        let (capacity, table_entries) = (n + 1, n + 1);
        let reads = groups.reads(1, SegmentTable { base: 40, capacity, entries: table_entries, dim }, &source);

        let (mut want, mut bounds, mut in_order) = (Vec::new(), Vec::new(), Vec::new());
        let mut dense = vec![0.0f64; vocab as usize * dim];
        for (key, run) in groups.runs(1) {
            for c in 0..dim {
                let terms = run.iter().map(|s| f64::from(source[*s as usize * dim + c]));
                let (sum, size) = terms.fold((0.0, 0.0), |(s, a), x| (s + x, a + x.abs()));
                in_order.push(in_chunks(run, |row| source[row as usize * dim + c]));
                want.push(sum);
                bounds.push(run.len() as f64 * f64::from(f32::EPSILON) / 2.0 * size);
                dense[(key - 40) as usize * dim + c] = sum;
            }
        }
        let cells = want.len();
        for device in devices_with_checks() {
            for lay in [Lay::Dense, Lay::Strided] {
                let what = format!("{what}, {device:?}, {lay:?}");
                let sum = SegmentSum { rows: capacity, entries: table_entries, dim };
                let got = run(device, sum, &Step::default(), lay, &reads, &[out_f(capacity, dim)]);
                let rows = floats(&got[0]);
                close(&what, &rows[..cells], &want, |i| bounds[i]);
                if rt_tests::is_fast_cpu(device) {
                    assert_eq!(rows[..cells], in_order, "{what}: order of the sums");
                }
                assert!(rows[cells..].iter().all(|x| x.is_nan()), "{what}: past the count");

                let [keys, _, _, first] = groups.operands();
                let kernel = ScatterRows { table: 1, base: 40, capacity, dim, rows: vocab as usize };
                let start = uniform(vocab as usize * dim, 6);
                let reads = [f(&rows, capacity, dim), keys, first];
                let got = run(device, kernel, &Step::default(), lay, &reads, &[f(&start, vocab as usize, dim)]);
                let want: Vec<f64> = dense.iter().zip(&start).map(|(d, s)| d + f64::from(*s)).collect();
                // The sums' own error (at most n terms below 1) and one addition.
                let bound = |i: usize| {
                    let n = groups.runs(1).iter().map(|r| r.1.len()).max().unwrap_or(0) as f64;
                    f64::from(f32::EPSILON) / 2.0 * (n * n + 1.0 + want[i].abs())
                };
                close(&what, &floats(&got[0]), &want, bound);
            }
        }
    }
}

/// All 32 bits of a key count, in a small grouping too, whose pairs are one bucket.
#[test]
fn keys_of_thirty_two_bits() {
    let most = u32::MAX;
    let list = [most - 1, 1, 3, 1 << 31, most - 1, 0, most, 64, 63, 1 << 31, (1 << 31) + 1, 2, 65];
    for tables in [vec![GroupTable { base: 0, rows: most }], vec![GroupTable { base: 1, rows: most }]] {
        let (n, base) = (list.len(), tables[0].base);
        let key = |id: u32| if id == 0 || id == most { 0 } else { base + id };
        let entries = list.iter().zip(7..).map(|(id, source)| (key(*id), source)).collect();
        let want = grouped(entries, &[base]);
        let uses = vec![GroupUse { table: 0, source: 7, entry: 0, kind: UseKind::Ids { n } }];
        let kernel = Group { uses, tables, capacity: n };
        let writes = [out_u(n, 1), out_u(n, 1), out_u(n + 1, 1), out_u(2, 1)];
        for device in devices_with_checks() {
            let got = run(device, kernel.clone(), &Step::default(), Lay::Strided, &[u(&list, n, 1)], &writes);
            let what = format!("base {base}, {device:?}");
            assert_eq!(ints(&got[3]), want.first, "{what}: first");
            for (i, want) in [&want.keys, &want.sources, &want.starts].into_iter().enumerate() {
                assert_eq!(&ints(&got[i])[..want.len()], want, "{what}: output {i}");
            }
        }
    }
}

/// The source rows of a use end within 32 bits, or the kernel is refused.
#[test]
fn source_rows_that_wrap_are_refused() {
    let none = Operands { reads: Vec::new(), writes: Vec::new(), scratch: Vec::new() };
    let said = |source, kind: UseKind| {
        let capacity = kind.entries();
        let uses = vec![GroupUse { table: 0, source, entry: 0, kind }];
        Group { uses, tables: vec![GroupTable { base: 0, rows: 9 }], capacity }.mismatch(&none)
    };
    let bag = |rows| UseKind::Bag { rows, max_len: 3, windows: vec![1, 2, 3] };
    for (source, kind) in [(u32::MAX - 4, UseKind::Ids { n: 4 }), (u32::MAX - 12, bag(4)), (0, bag(9))] {
        assert_eq!(said(source, kind), None);
    }
    for (source, kind) in [(u32::MAX - 3, UseKind::Ids { n: 4 }), (u32::MAX - 11, bag(4)), (u32::MAX, bag(1))] {
        let wrong = said(source, kind.clone()).unwrap_or_else(|| panic!("{source}, {kind:?}"));
        assert!(wrong.contains("source rows"), "{wrong}");
    }
}
