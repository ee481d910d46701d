//! Each optimiser over several steps of a tape against its formulas in f64: with repeated ids, rows that a step does not touch,
//! clipping and decay.

use approx::abs_diff_eq;
use rt_tensor::{DenseRule, Init, Optimizer, RowRule, Step, Store, Tape};
use rt_tests::{devices, ids, uniform};

const VOCAB: usize = 9;
const DIM: usize = 3;
const BATCH: usize = 8;
const STEPS: u32 = 15;
const LR: f32 = 0.05;
const LR_ROWS: f32 = 0.03;

/// The loss is half the squared distance of each looked-up row from a target, and of a matrix from another: each gradient is the
/// distance.
fn tape(optimizer: &Optimizer) -> Tape {
    let mut tape = Tape::new();
    let table = tape.table("table", VOCAB, DIM, Init::Normal(0.5)).unwrap();
    let ids = tape.input_ids("ids", BATCH, 1);
    let w = tape.param("w", [4, DIM], Init::Normal(0.5)).unwrap();
    let rows = tape.gather(table, ids).unwrap();
    let (y, q) = (targets(BATCH, 21), targets(4, 22));
    let mut losses = Vec::new();
    for (x, target, n) in [(rows, y, BATCH), (w, q, 4)] {
        let target = tape.constant(&target, n, DIM).unwrap();
        let d = tape.add(x, target).unwrap();
        let square = tape.group_dot(d, d, 0.5).unwrap();
        losses.push(tape.sum(square).unwrap());
    }
    let loss = tape.add(losses[0], losses[1]).unwrap();
    tape.backward(loss).unwrap();
    tape.optimize(optimizer).unwrap();
    tape
}

fn targets(rows: usize, seed: u64) -> Vec<f32> {
    uniform(rows * DIM, seed).into_iter().map(|x| x + 0.4).collect()
}

fn step_ids(step: u32) -> Vec<u32> {
    ids(BATCH, VOCAB as u32, 100 + u64::from(step))
}

/// A parameter in f64 with the state of its rule: first and second, a cell or a row each.
struct Replica {
    values: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Replica {
    fn new(values: &[f32]) -> Self {
        let zeros = vec![0.0; values.len()];
        Self { values: values.iter().map(|x| f64::from(*x)).collect(), first: zeros.clone(), second: zeros }
    }

    /// Adam of cell c: the moments, the correction by the number of the step, eps outside the root.
    fn adam(&mut self, c: usize, g: f64, lr: f64, step: u32, [beta1, beta2, eps]: [f64; 3]) {
        self.first[c] = beta1 * self.first[c] + (1.0 - beta1) * g;
        self.second[c] = beta2 * self.second[c] + (1.0 - beta2) * g * g;
        let (m, v) =
            (self.first[c] / (1.0 - beta1.powi(step as i32)), self.second[c] / (1.0 - beta2.powi(step as i32)));
        self.values[c] -= lr * m / (v.sqrt() + eps);
    }
}

/// What the optimiser makes of a step: of the table's rows in `touched`, and of all cells of the matrix.
fn replay(optimizer: &Optimizer, table: &mut Replica, w: &mut Replica, step: u32) {
    let (lr, lr_rows) = (f64::from(LR), f64::from(LR_ROWS));
    let list = step_ids(step);
    let y = targets(BATCH, 21);
    let mut rows = vec![0.0; VOCAB * DIM];
    let mut touched = [false; VOCAB];
    for (i, id) in list.iter().enumerate().filter(|(_, id)| **id > 0) {
        touched[*id as usize] = true;
        for c in 0..DIM {
            rows[*id as usize * DIM + c] += table.values[*id as usize * DIM + c] + f64::from(y[i * DIM + c]);
        }
    }
    let mut dense: Vec<f64> = w.values.iter().zip(targets(4, 22)).map(|(w, q)| w + f64::from(q)).collect();
    if optimizer.clip > 0.0 {
        let norm = rows.iter().chain(&dense).map(|g| g * g).sum::<f64>().sqrt();
        let factor = (f64::from(optimizer.clip) / norm).min(1.0);
        assert!(factor < 1.0, "the clip does nothing");
        rows.iter_mut().chain(&mut dense).for_each(|g| *g *= factor);
    }
    for id in (0..VOCAB).filter(|id| touched[*id]) {
        let cells = id * DIM..(id + 1) * DIM;
        table.values[cells.clone()]
            .iter_mut()
            .for_each(|x| *x *= 1.0 - lr_rows * f64::from(optimizer.weight_decay_rows));
        match optimizer.rows {
            RowRule::Sgd => cells.for_each(|c| table.values[c] -= lr_rows * rows[c]),
            RowRule::Adagrad { eps } => {
                // One accumulator a row: the mean square of its gradient.
                table.first[id] += cells.clone().map(|c| rows[c] * rows[c]).sum::<f64>() / DIM as f64;
                let root = table.first[id].sqrt() + f64::from(eps);
                cells.for_each(|c| table.values[c] -= lr_rows * rows[c] / root);
            }
            RowRule::Adam { beta1, beta2, eps } => {
                cells.for_each(|c| table.adam(c, rows[c], lr_rows, step, [beta1, beta2, eps].map(f64::from)));
            }
        }
    }
    for (c, g) in dense.iter().enumerate() {
        w.values[c] *= 1.0 - lr * f64::from(optimizer.weight_decay);
        match optimizer.dense {
            DenseRule::Sgd => w.values[c] -= lr * g,
            DenseRule::Adagrad { eps } => {
                w.first[c] += g * g;
                w.values[c] -= lr * g / (w.first[c].sqrt() + f64::from(eps));
            }
            DenseRule::Adam { beta1, beta2, eps } => w.adam(c, *g, lr, step, [beta1, beta2, eps].map(f64::from)),
        }
    }
}

#[test]
fn each_over_several_steps() {
    let adagrad = Optimizer { dense: DenseRule::Adagrad { eps: 1e-8 }, ..Optimizer::adagrad_rows() };
    let plain = [
        ("adam", Optimizer::adam()),
        ("adagrad rows", Optimizer::adagrad_rows()),
        ("adagrad", adagrad),
        ("sgd", Optimizer::sgd()),
    ];
    for (name, optimizer) in plain {
        let all = [
            ("", optimizer),
            (", clipped", Optimizer { clip: 0.3, ..optimizer }),
            (", decayed", Optimizer { weight_decay: 0.2, weight_decay_rows: 0.3, ..optimizer }),
        ];
        for (what, optimizer) in all {
            let tape = tape(&optimizer);
            for device in devices() {
                let store = Store::new(device, tape.params(), 3).unwrap();
                let mut program = tape.compile(&store).unwrap();
                let [mut table, mut w] = ["table", "w"].map(|name| Replica::new(&store.get(name).unwrap()));
                let start = w.values.clone();
                for step in 1..=STEPS {
                    program.write_u32("ids", &step_ids(step)).unwrap();
                    program.run(&optimizer.rates(Step::new(step, 3, 0, BATCH as u32), LR, LR_ROWS)).unwrap();
                    replay(&optimizer, &mut table, &mut w, step);
                    for (parameter, replica) in [("table", &table), ("w", &w)] {
                        let got = store.get(parameter).unwrap();
                        for (c, (got, want)) in got.iter().zip(&replica.values).enumerate() {
                            // A step's change is off by some twenty roundings of itself and of the value; later steps see that as a
                            // distance, which they make smaller.
                            let bound = f64::from(step) * 20.0 * f64::from(f32::EPSILON) * (want.abs() + 0.1);
                            assert!(
                                abs_diff_eq!(f64::from(*got), *want, epsilon = bound),
                                "{name}{what}, {device:?}, step {step}, `{parameter}` cell {c}: {got} is not {want}"
                            );
                        }
                    }
                }
                let moved = w.values.iter().zip(&start).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(moved > 0.01, "{name}{what}: nothing was learned");
            }
        }
    }
}
