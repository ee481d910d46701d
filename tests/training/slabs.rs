//! Tables past one binding of a GPU: training gives the bits of tables that fit. Small ones, which share a buffer of a GPU: each
//! keeps to its own words.

use super::config;
use rt_kernels::GpuOptions;
use rt_models::{ModelKind, StepBench, StepSizes};
use rt_tensor::{BagOptions, Device, Init, Optimizer, Step, Store, Tape};
use rt_tests::{devices, ids};

/// Each adapter with its own limits, and again with bindings of `bytes`.
fn pairs(bytes: u64) -> Vec<[Device; 2]> {
    // Fails where a driver has to be there and is not.
    let gpus = devices().len() - 2;
    let limited = GpuOptions { max_binding_bytes: Some(bytes), ..GpuOptions::default() };
    let open = |i| [GpuOptions::default(), limited].map(|options| Device::open_gpu(i, options).unwrap());
    Device::adapters()
        .iter()
        .filter(|a| a.unusable.is_none() && a.backend != "Gl")
        .take(gpus)
        .map(|a| open(a.index))
        .collect()
}

const ROWS: usize = 3_000;
const BATCH: usize = 20;

/// A table that is pooled and looked up, `steps` times; gives the table and the state of its optimiser.
fn steps(device: &Device, dim: usize, optimizer: &Optimizer, states: &[&str]) -> (usize, Vec<Vec<u32>>) {
    let mut tape = Tape::new();
    let table = tape.table("table", ROWS, dim, Init::Normal(0.3)).unwrap();
    let items = tape.input_ids("items", 300, 1);
    let slice = tape.input_ids("slice", BATCH, 2);
    let target = tape.input_ids("target", 2 * BATCH, 1);
    let options =
        BagOptions { windows: vec![2, usize::MAX], mean: true, zones: false, max_len: 40, mask: None, hole: None };
    let bag = tape.bag(table, items, slice, &options).unwrap();
    let targets = tape.gather(table, target).unwrap();
    let weights = tape.param("w", [2 * dim, dim], Init::Uniform(0.3)).unwrap();
    let users = tape.linear(bag, weights, None, None, rt_tensor::Activation::None).unwrap();
    let z = tape.group_dot(users, targets, 1.0).unwrap();
    let weight = tape.constant(&[1.0 / BATCH as f32; BATCH], BATCH, 1).unwrap();
    let rows = tape.bce_with_logits(z, weight, None).unwrap();
    let loss = tape.sum(rows).unwrap();
    tape.backward(loss).unwrap();
    tape.optimize(optimizer).unwrap();

    let store = Store::new(device, tape.params(), 7).unwrap();
    let mut program = tape.compile(&store).unwrap();
    // Some ids often, most of them once.
    let often = |n, seed| ids(n, ROWS as u32, seed).into_iter().map(|id| if id % 4 == 0 { 5 } else { id });
    program.write_u32("items", &often(300, 1).collect::<Vec<_>>()).unwrap();
    let slices: Vec<u32> = (0..BATCH as u32).flat_map(|i| [i * 11, i * 2]).collect();
    program.write_u32("slice", &slices).unwrap();
    for step in 1..=4 {
        program.write_u32("target", &often(2 * BATCH, step.into()).collect::<Vec<_>>()).unwrap();
        program.run(&optimizer.rates(Step::new(step, 7, 0, BATCH as u32), 0.05, 0.05)).unwrap();
    }
    // Timed by node, whatever the number of calls.
    let timed = program.run_timed(&optimizer.rates(Step::new(5, 7, 0, BATCH as u32), 0.05, 0.05)).unwrap();
    assert!(timed.windows(2).all(|w| w[0].0 < w[1].0), "{timed:?}");
    let mut values = vec![store.get("table").unwrap().into_iter().map(f32::to_bits).collect()];
    values.extend(states.iter().map(|state| store.read(state).unwrap()));
    // What is written comes back.
    let other: Vec<f32> = (0..ROWS * dim).map(|i| i as f32).collect();
    store.set("table", &other).unwrap();
    assert!(store.get("table").unwrap() == other);
    (program.dispatches(), values)
}

#[test]
fn a_step_on_slabs_has_the_bits_of_the_whole_table() {
    // Bytes of 8 columns, so dims 12 and 10 are cut in two, 20 in three, 7 not at all.
    for [whole, limited] in pairs(ROWS as u64 * 8 * 4) {
        for dim in [12, 10, 20, 7] {
            for (optimizer, states) in [
                (Optimizer::sgd(), &[][..]),
                (Optimizer::adagrad_rows(), &["table.sum"]),
                (Optimizer::adam(), &["table.m", "table.v"]),
                (
                    Optimizer { ema: 0.7, clip: 0.1, weight_decay_rows: 0.2, ..Optimizer::adam() },
                    &["table.m", "table.v", "table.ema", "table.ema.seen"],
                ),
            ] {
                let (few, want) = steps(&whole, dim, &optimizer, states);
                let (many, got) = steps(&limited, dim, &optimizer, states);
                assert_eq!(many > few, dim > 8, "{limited:?}, {dim} columns: cut where they do not fit");
                assert!(got == want, "{limited:?}, {dim} columns, {optimizer:?}");
            }
        }
    }
}

#[test]
fn a_model_trains_alike_on_slabs() {
    // More than the ring of losses, which is never cut, and less than each of the two tables.
    let (rows, bytes) = (6_000, 280_000);
    let sizes = StepSizes { users: rows, items: rows, active_items: 0, user_columns: true };
    for [whole, limited] in pairs(bytes) {
        for optimizer in ["optimizer=adagrad", "optimizer=adam", "optimizer=sgd"] {
            let config = config(ModelKind::Dssm, &["dim=12", "batch=32", optimizer]);
            let run = |device: &Device| {
                let mut bench = StepBench::new(device, &config, sizes, 3).unwrap();
                for _ in 0..3 {
                    bench.run().unwrap();
                }
                let params = bench.store().params().list();
                assert!(params.iter().filter(|p| (p.shape[0] * p.shape[1] * 4) as u64 > bytes).count() == 2);
                let values = params.iter().map(|p| (p.name.clone(), bench.store().get(&p.name).unwrap()));
                (values.collect::<Vec<_>>(), bench.losses().unwrap())
            };
            assert!(run(&whole) == run(&limited), "{limited:?}, {optimizer}");
        }
    }
}

#[test]
fn a_table_too_long_for_the_narrowest_slab_is_refused() {
    for [_, limited] in pairs(4_000) {
        let mut tape = Tape::new();
        tape.table("long", 251, 16, Init::Zeros).unwrap();
        let error = Store::new(&limited, tape.params(), 1).unwrap_err().to_string();
        for part in ["table long of 251 x 16", "251 rows x 4 columns", "4016 bytes", "4000"] {
            assert!(error.contains(part), "{error}");
        }
    }
}

/// More cells than a piece of initial values has, on a device that cuts the table.
#[test]
fn a_cut_table_starts_with_the_values_of_the_whole() {
    for [_, limited] in pairs(2 << 20) {
        let mut tape = Tape::new();
        tape.table("table", 3_000, 400, Init::Normal(0.3)).unwrap();
        let store = Store::new(&limited, tape.params(), 3).unwrap();
        assert!(store.get("table").unwrap() == tape.params().list()[0].initial(3, 0), "{limited:?}");
    }
}

#[test]
fn tables_that_share_a_buffer_keep_to_their_own_words() {
    const SHAPES: [(&str, usize, usize); 4] = [("a", 9, 5), ("a.b", 1, 1), ("wide", 3_000, 400), ("c", 30, 16)];
    let mut tape = Tape::new();
    let mut loss = None;
    for (name, rows, dim) in SHAPES {
        let table = tape.table(name, rows, dim, Init::Normal(0.3)).unwrap();
        let ids = tape.input_ids(&format!("ids {name}"), 4, 1);
        let picked = tape.gather(table, ids).unwrap();
        let squares = tape.group_dot(picked, picked, 0.5).unwrap();
        let own = tape.sum(squares).unwrap();
        loss = Some(match loss {
            None => own,
            Some(so_far) => tape.add(so_far, own).unwrap(),
        });
    }
    tape.backward(loss.unwrap()).unwrap();
    let optimizer = Optimizer { ema: 0.9, ..Optimizer::adagrad_rows() };
    tape.optimize(&optimizer).unwrap();
    for device in devices() {
        let store = Store::new(device, tape.params(), 7).unwrap();
        let all = || SHAPES.map(|(name, ..)| store.get(name).unwrap());
        assert_eq!(
            all(),
            SHAPES.map(|(name, ..)| {
                let number = tape.params().find(name).unwrap();
                tape.params().list()[number].initial(7, number)
            })
        );
        // One is set: the others stay as they are.
        let mut want = all();
        want[0] = (0..45).map(|i| i as f32).collect();
        store.set("a", &want[0]).unwrap();
        assert!(all() == want, "{device:?}");
        // Row 1 of the first and row 29 of the last move, their neighbours in memory do not.
        let mut program = tape.compile(&store).unwrap();
        for (name, rows, _) in SHAPES {
            let ids = if name == "a" { [1; 4] } else { [rows as u32 - 1; 4] };
            let ids = if name.len() == 1 { ids } else { [0; 4] };
            program.write_u32(&format!("ids {name}"), &ids).unwrap();
        }
        program.run(&optimizer.rates(Step::new(1, 7, 0, 4), 0.1, 0.1)).unwrap();
        for ((name, rows, dim), (got, before)) in SHAPES.into_iter().zip(all().iter().zip(&want)) {
            let moved: Vec<usize> = (0..rows).filter(|r| got[r * dim..][..dim] != before[r * dim..][..dim]).collect();
            let asked: &[usize] = if name == "a" {
                &[1]
            } else if name == "c" {
                &[29]
            } else {
                &[]
            };
            assert_eq!(moved, asked, "{name}, {device:?}");
            for state in ["sum", "ema.seen"] {
                let words = store.read(&format!("{name}.{state}")).unwrap();
                let marked: Vec<usize> = (0..rows).filter(|r| words[*r] != 0).collect();
                assert_eq!(marked, asked, "{name}.{state}, {device:?}");
            }
        }
    }
}
