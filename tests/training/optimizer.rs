//! What an optimiser does around its updates: averages, clipping, decay of touched rows.

use super::{config, fit};
use approx::abs_diff_eq;
use rt_models::{Device, ModelKind};
use rt_tensor::{BagOptions, Init, Optimizer, Step, Store, Tape};
use rt_tests::{devices, ids};

const ROWS: usize = 60;
const BATCH: usize = 12;
const DIM: usize = 5;

/// Two tables that share a gradient (their rows are added) and a matrix; few of the rows are touched in a step.
fn tape(optimizer: &Optimizer) -> Tape {
    let mut tape = Tape::new();
    let one = tape.table("one", ROWS, DIM, Init::Normal(0.3)).unwrap();
    let two = tape.table("two", ROWS, DIM, Init::Normal(0.3)).unwrap();
    let items = tape.input_ids("items", BATCH, 1);
    let slices = tape.input_ids("slices", BATCH, 2);
    let options =
        BagOptions { windows: vec![usize::MAX], mean: true, max_len: 4, mask: None, hole: None, zones: false };
    let (a, b) = (tape.gather(one, items).unwrap(), tape.gather(two, items).unwrap());
    let both = tape.add(a, b).unwrap();
    let history = tape.bag(one, items, slices, &options).unwrap();
    let weights = tape.param("w", [DIM, DIM], Init::Uniform(0.5)).unwrap();
    let users = tape.linear(history, weights, None, None, rt_tensor::Activation::None).unwrap();
    let z = tape.group_dot(users, both, 1.0).unwrap();
    let weight = tape.constant(&[1.0; BATCH], BATCH, 1).unwrap();
    let rows = tape.bce_with_logits(z, weight, None).unwrap();
    let loss = tape.sum(rows).unwrap();
    tape.backward(loss).unwrap();
    tape.optimize(optimizer).unwrap();
    tape
}

/// Runs `steps` steps; gives all parameters after each, the initial ones first.
fn run(device: &Device, optimizer: &Optimizer, lr: f32, steps: u32) -> (Store, Vec<Vec<Vec<f32>>>) {
    let tape = tape(optimizer);
    let store = Store::new(device, tape.params(), 7).unwrap();
    let mut program = tape.compile(&store).unwrap();
    let slices: Vec<u32> = (0..BATCH as u32).flat_map(|i| [i.min(8), i % 5]).collect();
    program.write_u32("slices", &slices).unwrap();
    let all = |store: &Store| ["one", "two", "w"].map(|name| store.get(name).unwrap()).to_vec();
    let mut seen = vec![all(&store)];
    for step in 1..=steps {
        program.write_u32("items", &ids(BATCH, ROWS as u32, step.into())).unwrap();
        program.run(&optimizer.rates(Step::new(step, 7, 0, BATCH as u32), lr, lr)).unwrap();
        seen.push(all(&store));
    }
    (store, seen)
}

#[test]
fn averages_are_those_of_every_step() {
    for device in devices() {
        for decay in [0.6f32, 0.95] {
            let optimizer = Optimizer { ema: decay, ..Optimizer::adam() };
            let (store, seen) = run(device, &optimizer, 0.05, 40);
            // Every row at every step, in f64: what the lazy average stands for.
            let mut want: Vec<Vec<f64>> = seen[0].iter().map(|p| p.iter().map(|w| f64::from(*w)).collect()).collect();
            for (s, params) in seen.iter().enumerate().skip(1) {
                let stays = f64::from(decay).min((s as f64 - 1.0) / (s as f64 + 9.0));
                for (want, now) in want.iter_mut().flatten().zip(params.iter().flatten()) {
                    *want = f64::from(*now) + stays * (*want - f64::from(*now));
                }
            }
            let got = store.averages(decay, 40).unwrap();
            for (p, (got, want)) in got.iter().zip(&want).enumerate() {
                for (i, (g, w)) in got.iter().zip(want).enumerate() {
                    assert!(
                        abs_diff_eq!(f64::from(*g), w, epsilon = 3e-6),
                        "{device:?}, decay {decay}, parameter {p}, cell {i}: {g}, {w}"
                    );
                }
            }
            assert!(got != seen[40], "they are not the weights");
            assert!(got[0][..DIM].iter().all(|x| *x == 0.0), "row 0 is padding");
            // Keeping averages changes no weight.
            assert!(run(device, &Optimizer::adam(), 0.05, 40).1[40] == seen[40]);
        }
    }
}

/// Norm of the difference of all parameters.
fn moved(a: &[Vec<f32>], b: &[Vec<f32>]) -> f64 {
    let square = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
    a.iter().flatten().zip(b.iter().flatten()).map(square).sum::<f64>().sqrt()
}

#[test]
fn clipping_bounds_the_norm_of_everything_together() {
    for device in devices() {
        // Plain descent with a rate of 1: the parameters move by the gradient.
        let free = run(device, &Optimizer::sgd(), 1.0, 1).1;
        let norm = moved(&free[0], &free[1]);
        for share in [0.1, 0.7] {
            let clip = (share * norm) as f32;
            let clipped = run(device, &Optimizer { clip, ..Optimizer::sgd() }, 1.0, 1).1;
            let got = moved(&clipped[0], &clipped[1]);
            assert!(
                abs_diff_eq!(got, share * norm, epsilon = 1e-4 * norm),
                "{device:?}: {got} is not {}",
                share * norm
            );
            // The same direction.
            let straight: Vec<Vec<f32>> = (0..3)
                .map(|p| free[0][p].iter().zip(&free[1][p]).map(|(a, b)| a + share as f32 * (b - a)).collect())
                .collect();
            assert!(moved(&clipped[1], &straight) < 1e-5 * norm, "{device:?}");
        }
        let loose = Optimizer { clip: 1.01 * norm as f32, ..Optimizer::sgd() };
        assert!(run(device, &loose, 1.0, 1).1 == free, "{device:?}: a norm below the clip changes no bit");
    }
}

#[test]
fn decay_shrinks_touched_rows_alone() {
    for device in devices() {
        let decayed = Optimizer { weight_decay_rows: 0.5, ..Optimizer::sgd() };
        let (plain, got) = (run(device, &Optimizer::sgd(), 0.1, 1).1, run(device, &decayed, 0.1, 1).1);
        let touched = ids(BATCH, ROWS as u32, 1);
        for table in 0..2 {
            for id in 0..ROWS {
                for c in id * DIM..(id + 1) * DIM {
                    let (start, plain, got) = (plain[0][table][c], plain[1][table][c], got[1][table][c]);
                    let want = if id > 0 && touched.contains(&(id as u32)) { plain - 0.05 * start } else { start };
                    assert!(
                        abs_diff_eq!(got, want, epsilon = 1e-6),
                        "{device:?}, table {table}, row {id}: {got}, {want}"
                    );
                }
            }
        }
        assert!(got[1][2] == plain[1][2], "dense parameters have a decay of their own");
    }
}

#[test]
fn settings_reach_the_training_of_models() {
    let device = &devices()[1];
    let sha = |settings: &[&str]| fit(device, &config(ModelKind::Dssm, settings), 3).0.sha256().unwrap();
    let plain = sha(&["epochs=2", "ema=0"]);
    let mut all = vec![plain.clone()];
    for setting in ["ema=0.9", "schedule=cosine", "schedule=step", "warmup=5", "clip=0.01", "weight_decay_rows=0.3"] {
        all.push(sha(&["epochs=2", "ema=0", setting]));
        assert_eq!(all.last().unwrap(), &sha(&["epochs=2", "ema=0", setting]), "{setting}: the same bits again");
    }
    let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
    assert_eq!(distinct.len(), all.len(), "every setting changes the weights");
    assert_eq!(plain, sha(&["epochs=2", "ema=0", "clip=1e9"]), "a clip that no norm reaches changes no bit");
}

#[test]
fn the_chosen_metric_chooses_the_epoch() {
    let device = &devices()[1];
    for select in ["NDCG@10", "HR@50", "MRR"] {
        let settings = ["epochs=6", "lr=5e-3", "ema=0.8", &format!("select={select}")];
        let (_, report) = fit(device, &config(ModelKind::YoutubeDnn, &settings), 5);
        let own: Vec<f64> = report.valid_figures.iter().map(|f| f.get(select).unwrap()).collect();
        assert_eq!(own, report.valid, "{select}");
        let best = own.iter().copied().fold(f64::MIN, f64::max);
        assert_eq!(own[report.best_epoch - 1], best, "{select}: {own:?}");
    }
}

/// A decay of more than all of a weight takes all of it: it does not turn it over and let it grow.
#[test]
fn a_decay_past_one_leaves_nothing() {
    for device in devices() {
        let plain = run(device, &Optimizer::sgd(), 0.1, 1).1;
        let huge = Optimizer { weight_decay: 1e6, weight_decay_rows: 1e6, ..Optimizer::sgd() };
        let got = run(device, &huge, 0.1, 1).1;
        let touched = ids(BATCH, ROWS as u32, 1);
        for id in touched.iter().filter(|id| **id > 0) {
            for c in *id as usize * DIM..(*id as usize + 1) * DIM {
                // The update alone is left.
                let want = plain[1][0][c] - plain[0][0][c];
                assert!(
                    abs_diff_eq!(got[1][0][c], want, epsilon = 1e-5),
                    "{device:?}, row {id}: {}, not {want}",
                    got[1][0][c]
                );
            }
        }
        for (got, (after, before)) in got[1][2].iter().zip(plain[1][2].iter().zip(&plain[0][2])) {
            assert!(abs_diff_eq!(*got, after - before, epsilon = 1e-5), "{device:?}: {got}");
        }
    }
}
