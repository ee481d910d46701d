//! Adam against torch's over 40 steps, and what an optimiser may be.

use approx::abs_diff_eq;
use rt_kernels::kernels::{DenseRule, RowRule};
use rt_models::Device;
use rt_tensor::{Init, Optimizer, Step, Store, Tape};
use rt_tests::devices;

const STEPS: u32 = 40;
const ROWS: usize = 4;
const DIM: usize = 3;
const LR: f32 = 0.01;
/// Columns with gradients far above eps, above it, and near it.
const SCALES: [f64; DIM] = [1.0, 1e-4, 1e-8];
/// A row of the table is touched by every so many-th step; 0: by none.
const EVERY: [u32; ROWS] = [1, 2, 5, 0];

// Made by benches/peers/adam.py with torch 1.12.1, in f64.
const ADAM: [f64; ROWS * DIM] = [
    0.04434812192386052,
    0.07038112391075511,
    0.015172111144451057,
    0.17201681002898617,
    0.20769176673469775,
    0.0940912021218316,
    0.32038321503619116,
    0.2831829037579795,
    0.17649950888551233,
    0.4577000405394579,
    0.33751360023014265,
    0.28263651427715686,
];
/// Betas 0.8 and 0.99, decay 0.1.
const ADAMW: [f64; ROWS * DIM] = [
    0.051582582030034976,
    0.06119566960860893,
    0.013069961962502529,
    0.16757721027037875,
    0.1901008517597134,
    0.09265305820102514,
    0.30138938310663144,
    0.2685882633839187,
    0.1735942915137863,
    0.4303000323879612,
    0.3295603619974533,
    0.27354416133886467,
];
/// `SparseAdam` with `eps * sqrt(1 - beta2^t)` at step t: Algorithm 1 of the paper on the touched rows.
const LAZY: [f64; ROWS * DIM] = [
    0.04434812192386054,
    0.07038112391075511,
    0.015172111144451063,
    0.19684037241580166,
    0.17461818763291911,
    0.09292495201115504,
    0.3149615679291608,
    0.23896752405547425,
    0.19970129874178558,
    0.4,
    0.35000000000000003,
    0.30000000000000004,
];
/// `SparseAdam` as it is.
const SPARSE: [f64; ROWS * DIM] = [
    0.044348135248327196,
    0.07039882424018262,
    0.0015193884620072265,
    0.19684037471030602,
    0.17456122045426367,
    0.09908771764266851,
    0.31496156314990276,
    0.2389924123803874,
    0.19994284582034652,
    0.4,
    0.35000000000000003,
    0.30000000000000004,
];

fn weight(row: usize, column: usize) -> f64 {
    0.1 * (row + 1) as f64 - 0.05 * column as f64
}

fn gradients(t: u32) -> Vec<f32> {
    let cell = |i: usize| {
        let (row, column) = (i / DIM, i % DIM);
        (SCALES[column] * (0.7 * f64::from(t) + row as f64 + 2.0 * column as f64).sin()) as f32
    };
    (0..ROWS * DIM).map(cell).collect()
}

/// A loss whose gradients are the input `g`: for the dense parameters of the same shape, and for the rows of a table.
fn tape(optimizer: &Optimizer) -> Tape {
    let mut tape = Tape::new();
    let g = tape.input("g", ROWS, DIM);
    let rows = tape.input_ids("rows", ROWS, 1);
    let table = tape.table("table", ROWS + 1, DIM, Init::Zeros).unwrap();
    let touched = tape.gather(table, rows).unwrap();
    let dense = tape.param("dense", [ROWS, DIM], Init::Zeros).unwrap();
    let (a, b) = (tape.group_dot(g, touched, 1.0).unwrap(), tape.group_dot(g, dense, 1.0).unwrap());
    let both = tape.add(a, b).unwrap();
    let loss = tape.sum(both).unwrap();
    tape.backward(loss).unwrap();
    tape.optimize(optimizer).unwrap();
    tape
}

/// Dense parameters and the table's rows 1 to 4 after 40 steps.
fn run(device: &Device, optimizer: &Optimizer) -> [Vec<f32>; 2] {
    let tape = tape(optimizer);
    let store = Store::new(device, tape.params(), 1).unwrap();
    let start: Vec<f32> = (0..ROWS * DIM).map(|i| weight(i / DIM, i % DIM) as f32).collect();
    store.set("dense", &start).unwrap();
    store.set("table", &[&[0.0; DIM], &start[..]].concat()).unwrap();
    let mut program = tape.compile(&store).unwrap();
    for t in 1..=STEPS {
        program.write_f32("g", &gradients(t)).unwrap();
        let row = |r: usize| if EVERY[r] > 0 && t % EVERY[r] == 0 { r as u32 + 1 } else { 0 };
        program.write_u32("rows", &(0..ROWS).map(row).collect::<Vec<_>>()).unwrap();
        program.run(&optimizer.rates(Step::new(t, 1, 0, ROWS as u32), LR, LR)).unwrap();
    }
    [store.get("dense").unwrap(), store.get("table").unwrap()[DIM..].to_vec()]
}

/// Forty updates of up to 0.01, each rounded: f32 against f64.
fn close(what: &str, got: &[f32], want: &[f64]) {
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert!(abs_diff_eq!(f64::from(*got), want, epsilon = 4e-6), "{what}, cell {i}: {got}, torch {want}");
    }
}

#[test]
fn adam_moves_as_torchs_adam_and_lazily_as_its_sparse_adam_but_for_eps() {
    for device in devices() {
        let [dense, table] = run(device, &Optimizer::adam());
        close(&format!("{device:?}: Adam"), &dense, &ADAM);
        close(&format!("{device:?}: lazy Adam"), &table, &LAZY);
        // A row that every step touches moves as a dense parameter does.
        assert_eq!(table[..DIM].iter().zip(&dense).filter(|(a, b)| (*a - *b).abs() > 1e-6).count(), 0);
        // Where eps does not count, SparseAdam is the same; near it, the documented difference is seen.
        for (i, (got, sparse)) in table.iter().zip(&SPARSE).enumerate() {
            let off = (f64::from(*got) - sparse).abs();
            match (i / DIM, i % DIM) {
                (_, 0) | (3, _) => assert!(off < 4e-6, "cell {i}: {got}, SparseAdam {sparse}"),
                (_, 1) => assert!(off < 1e-4, "cell {i}: {got}, SparseAdam {sparse}"),
                (0 | 1, _) => assert!(off > 1e-3, "cell {i}: {got}, SparseAdam {sparse}"),
                _ => {}
            }
        }
    }
}

#[test]
fn dense_parameters_and_rows_each_have_their_betas() {
    let decayed = Optimizer {
        dense: DenseRule::Adam { beta1: 0.8, beta2: 0.99, eps: 1e-8 },
        weight_decay: 0.1,
        ..Optimizer::adam()
    };
    for device in devices() {
        let [dense, table] = run(device, &decayed);
        close(&format!("{device:?}: AdamW"), &dense, &ADAMW);
        close(&format!("{device:?}: lazy Adam beside it"), &table, &LAZY);
    }
}

#[test]
fn numbers_that_no_optimiser_can_have_are_refused() {
    let adam = |beta1, beta2, eps| DenseRule::Adam { beta1, beta2, eps };
    let lazy = |beta1, beta2, eps| RowRule::Adam { beta1, beta2, eps };
    let nan = f32::NAN;
    let base = Optimizer::adam();
    let cases = [
        ("beta1 of dense", Optimizer { dense: adam(1.0, 0.999, 1e-8), ..base }),
        ("beta2 of dense", Optimizer { dense: adam(0.9, nan, 1e-8), ..base }),
        ("eps of dense", Optimizer { dense: adam(0.9, 0.999, 0.0), ..base }),
        ("eps of dense", Optimizer { dense: DenseRule::Adagrad { eps: -1e-8 }, ..base }),
        ("beta1 of table", Optimizer { rows: lazy(-0.1, 0.999, 1e-8), ..base }),
        ("beta2 of table", Optimizer { rows: lazy(0.9, 1.0, 1e-8), ..base }),
        ("eps of table", Optimizer { rows: lazy(0.9, 0.999, nan), ..base }),
        ("eps of table", Optimizer { rows: RowRule::Adagrad { eps: f32::INFINITY }, ..base }),
        ("ema", Optimizer { ema: 1.5, ..base }),
        ("ema", Optimizer { ema: 1.0, ..base }),
        ("clip", Optimizer { clip: nan, ..base }),
        ("clip", Optimizer { clip: -1.0, ..base }),
        ("weight_decay ", Optimizer { weight_decay: -0.1, ..base }),
        ("weight_decay_rows", Optimizer { weight_decay_rows: f32::INFINITY, ..base }),
    ];
    for (name, optimizer) in cases {
        let mut tape = Tape::new();
        let x = tape.constant(&[1.0], 1, 1).unwrap();
        let w = tape.param("w", [1, 1], Init::Zeros).unwrap();
        let loss = tape.group_dot(x, w, 1.0).unwrap();
        tape.backward(loss).unwrap();
        let nodes = tape.listing();
        let error = tape.optimize(&optimizer).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("has to be"), "{name}: {error}");
        assert_eq!(tape.listing(), nodes, "nothing is recorded");
        tape.optimize(&base).unwrap();
    }
    let store = Store::new(&devices()[0], tape(&Optimizer { ema: 0.9, ..base }).params(), 1).unwrap();
    for decay in [0.0, 1.0, 1.5, nan] {
        assert!(store.averages(decay, 1).unwrap_err().to_string().contains("has to be"), "{decay}");
    }
}

#[test]
fn a_rate_that_is_no_number_is_refused_before_anything_moves() {
    for device in devices() {
        let tape = tape(&Optimizer::adam());
        let store = Store::new(device, tape.params(), 1).unwrap();
        let mut program = tape.compile(&store).unwrap();
        for (lr, lr_rows, name) in [(f32::NAN, 0.1, "dense"), (0.1, f32::INFINITY, "rows"), (-0.1, 0.1, "dense")] {
            let step = Optimizer::adam().rates(Step::new(1, 1, 0, 4), lr, lr_rows);
            for error in [
                program.run(&step).unwrap_err().to_string(),
                program.run_timed(&step).unwrap_err().to_string(),
                program.run_clocked(&step, &|| 0.0).unwrap_err().to_string(),
            ] {
                assert!(error.contains(name) && error.contains("learning rate"), "{error}");
            }
        }
        program.run(&Optimizer::adam().rates(Step::new(1, 1, 0, 4), 0.1, 0.1)).unwrap();
        assert!(store.get("dense").unwrap().iter().all(|w| w.is_finite()));
    }
}

/// Late steps: the power of beta is 0 and the correction 1; it once turned negative at step 2^31, and nothing moved.
#[test]
fn steps_past_the_range_of_i32_move() {
    for device in devices() {
        let tape = tape(&Optimizer::adam());
        for t in [i32::MAX as u32, 1 << 31, u32::MAX] {
            let store = Store::new(device, tape.params(), 1).unwrap();
            let mut program = tape.compile(&store).unwrap();
            program.write_f32("g", &[1.0; ROWS * DIM]).unwrap();
            program.write_u32("rows", &[1, 2, 3, 4]).unwrap();
            program.run(&Optimizer::adam().rates(Step::new(t, 1, 0, 4), LR, LR)).unwrap();
            // m = 0.1, v = 0.001: lr * 0.1 / sqrt(0.001).
            let want = -LR * 0.1 / 0.001f32.sqrt();
            for w in [store.get("dense").unwrap(), store.get("table").unwrap()[DIM..].to_vec()].concat() {
                assert!(abs_diff_eq!(w, want, epsilon = 1e-6), "{device:?}, step {t}: {w}, {want}");
            }
        }
    }
}
