//! Row updates of every rule against f64.

use crate::group::grouped;
use rt_kernels::Step;
use rt_kernels::kernels::{RowRule, SegmentTable, UpdatePart, UpdateRows};
use rt_tests::{Lay, close, devices_with_checks, f, floats, ids, run, uniform};

const U: f64 = f32::EPSILON as f64 / 2.0;

#[rustfmt::skip] // a table
const CASES: &[(&str, usize, usize, u32)] = &[
    // why it is here                      entries  dim     ids
    ("one cell",                                 1,   1,      2),
    ("no entry at all",                          0,   8,      5),
    ("id 0 alone",                               9,   8,      1),
    ("one hot id",                           1_000,   5,      2),
    ("one column, many ids a workgroup",        65,   1,     30),
    ("three columns",                           63,   3,     40),
    ("width 16",                               130,  16,    900),
    ("nothing divides",                      1_000,  33,    100),
    ("the common width, several tasks",      3_000,  64, 20_000),
    ("width 100",                              130, 100,     20),
    ("width 128",                              130, 128,    500),
    ("long runs beside each other",          4_000,   5,      5),
    ("width 200: past the registers",           65, 200,     50),
];

const RULES: [RowRule; 3] =
    [RowRule::Sgd, RowRule::Adagrad { eps: 1e-8 }, RowRule::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 }];

/// A cell of the oracle: value and bound.
type Cell = (f64, f64);

/// New w, m (or accumulator) and v of one row, with bounds. `sums` are the gradient's (sum, bound).
fn oracle(rule: RowRule, step: &Step, sums: &[Cell], w: &[f32], one: &[f32], two: &[f32]) -> [Vec<Cell>; 3] {
    let lr = f64::from(step.lr_rows);
    let wide = |x: &f32| f64::from(*x);
    // w - change, each with its bound: the subtraction rounds once.
    let minus = |w: &f32, change: f64, bound: f64| {
        let new = wide(w) - change;
        (new, bound + U * (wide(w).abs() + change.abs() + bound))
    };
    match rule {
        RowRule::Sgd => {
            let w = w.iter().zip(sums).map(|(w, (g, b))| minus(w, lr * g, lr * (b + 2.0 * U * g.abs())));
            [w.collect(), vec![], vec![]]
        }
        RowRule::Adagrad { eps } => {
            let n = sums.len() as f64;
            let mean = sums.iter().map(|(g, _)| g * g).sum::<f64>() / n;
            // d(g^2) = 2 g dg; the mean adds n + 3 roundings.
            let slack = sums.iter().map(|(g, b)| 2.0 * g.abs() * b + b * b).sum::<f64>() / n + (n + 3.0) * U * mean;
            let a = wide(&one[0]) + mean;
            let a_bound = slack + 2.0 * U * a;
            let root = a.sqrt() + f64::from(eps);
            // Half the accumulator's relative error, and the roots and quotients of a GPU (5 ULP together).
            let relative = a_bound / (2.0 * a).max(1e-30) + 16.0 * U;
            let w = w
                .iter()
                .zip(sums)
                .map(|(w, (g, b))| minus(w, lr * g / root, lr * b / root + (lr * g / root).abs() * relative));
            [w.collect(), vec![(a, a_bound)], vec![]]
        }
        RowRule::Adam { beta1, beta2, eps } => {
            let (b1, b2) = (f64::from(beta1), f64::from(beta2));
            let (c1, c2) = (f64::from(step.bias1_rows), f64::from(step.bias2_rows));
            let mut out = [vec![], vec![], vec![]];
            for (c, (g, b)) in sums.iter().enumerate() {
                let (m0, v0) = (wide(&one[c]), wide(&two[c]));
                let (m, v) = (b1 * m0 + (1.0 - b1) * g, b2 * v0 + (1.0 - b2) * g * g);
                // Moments below 1e-36 become 0.
                let m_bound = (1.0 - b1) * b + 4.0 * U * (b1 * m0.abs() + (1.0 - b1) * g.abs()) + 1e-36;
                let v_bound = (1.0 - b2) * (2.0 * g.abs() * b + b * b) + 5.0 * U * v + 1e-36;
                let root = (v * c2).sqrt() + f64::from(eps);
                let relative = v_bound / (2.0 * v).max(1e-30) + 20.0 * U;
                let change = lr * m * c1 / root;
                out[0].push(minus(&w[c], change, lr * c1 * m_bound / root + change.abs() * relative));
                out[1].push((m, m_bound));
                out[2].push((v, v_bound));
            }
            out
        }
    }
}

#[test]
fn rows_move_as_the_rules_say() {
    for &(what, n, dim, vocab) in CASES {
        // Table 1 of three; the others have entries too.
        let base = 40;
        let mut entries: Vec<(u32, u32)> = (0..5).map(|i| (i + 1, i % n.max(1) as u32)).collect();
        entries.extend(ids(n, vocab, 3).iter().enumerate().map(|(i, id)| match id {
            0 => (0, 0),
            id => (base + id, (i as u32 * 7 + 3) % n as u32),
        }));
        entries.push((base + vocab + 1, 0));
        let groups = grouped(entries, &[0, base, base + vocab]);
        let rows = n.max(1);
        let source = uniform(rows * dim, 5);
        let v = vocab as usize;
        let weights = uniform(v * dim, 6);
        let reads = groups.reads(1, SegmentTable { base, capacity: n, entries: n, dim }, &source);
        let step = Step::new(3, 0, 0, 1).with_rates(0.5, 0.05, 0.5, 0.6).with_row_betas(0.9, 0.999);

        for rule in RULES {
            let cols = match rule {
                RowRule::Sgd => [0, 0],
                RowRule::Adagrad { .. } => [1, 0],
                RowRule::Adam { .. } => [dim, dim],
            };
            // First moments of either sign, second moments and accumulators positive, some of them 0.
            let positive = |x: f32| if x < -0.8 { 0.0 } else { x.abs() };
            let adagrad = matches!(rule, RowRule::Adagrad { .. });
            let one: Vec<f32> =
                uniform(v * cols[0], 7).into_iter().map(|x| if adagrad { positive(x) } else { x }).collect();
            let two: Vec<f32> = uniform(v * cols[1], 8).into_iter().map(positive).collect();
            // Rows that are not touched keep every bit.
            let exact = |x: &[f32]| x.iter().map(|x| (f64::from(*x), 0.0)).collect::<Vec<Cell>>();
            let mut want = [exact(&weights), exact(&one), exact(&two)];
            for (key, run) in groups.runs(1) {
                let id = (key - base) as usize;
                let sums: Vec<Cell> = (0..dim)
                    .map(|c| {
                        let terms = run.iter().map(|s| f64::from(source[*s as usize * dim + c]));
                        let (sum, size) = terms.fold((0.0, 0.0), |(s, a), x| (s + x, a + x.abs()));
                        (sum, run.len() as f64 * U * size)
                    })
                    .collect();
                let row = |x: &[f32], cols: usize| x[id * cols..][..cols].to_vec();
                let new = oracle(rule, &step, &sums, &row(&weights, dim), &row(&one, cols[0]), &row(&two, cols[1]));
                for ((want, new), cols) in want.iter_mut().zip(new).zip([dim, cols[0], cols[1]]) {
                    want[id * cols..][..cols].copy_from_slice(&new);
                }
            }
            let state = |x: &[f32], cols: usize| if cols == 0 { None } else { f(x, v, cols) };
            let writes = [f(&weights, v, dim), state(&one, cols[0]), state(&two, cols[1])];
            let kernel = UpdateRows { rule, part: UpdatePart::Whole, capacity: n, entries: n, dim };
            let mut cpu = None;
            for device in devices_with_checks() {
                for lay in [Lay::Dense, Lay::Strided] {
                    let what = format!("{what}, {rule:?}, {device:?}, {lay:?}");
                    let go = || run(device, kernel.clone(), &step, lay, &reads, &writes);
                    let got = go();
                    for (i, want) in want.iter().enumerate().filter(|(_, want)| !want.is_empty()) {
                        let values: Vec<f64> = want.iter().map(|c| c.0).collect();
                        close(&format!("{what}, output {i}"), &floats(&got[i]), &values, |c| want[c].1);
                    }
                    assert_eq!(got, go(), "{what}: a second run");
                    if rt_tests::is_fast_cpu(device) {
                        assert_eq!(&got, cpu.get_or_insert_with(|| got.clone()), "{what}: bits");
                    }
                }
            }
        }
    }
}
