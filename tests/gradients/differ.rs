//! Gradients as a step uses them, against central differences of the program itself: neither the adjoints nor the f64 reference
//! takes part.

use approx::abs_diff_eq;
use rt_tensor::{Device, Optimizer, Program, Step, Store, TOLERANCE, Tape, Var, check_gradients};
use rt_tests::devices;
use std::collections::BTreeMap;

/// Half the distance of a central difference.
const H: f32 = 1.0 / 64.0;
/// f32 losses near 1 are good to 1e-7, so their differences to 1e-5; the third derivatives of what is recorded here add 1e-3.
const BOUND: f64 = 5e-3;

/// Records a tape up to its loss.
pub(crate) type Record<'a> = dyn Fn(&mut Tape) -> rt_tensor::Result<Var> + 'a;

fn step() -> Step {
    Step::new(3, 11, 0, 5)
}

/// What a step of plain gradient descent with rate 1 takes off each parameter.
fn gradients(device: &Device, mut tape: Tape) -> BTreeMap<String, Vec<f64>> {
    let optimizer = Optimizer::sgd();
    tape.optimize(&optimizer).unwrap();
    let store = Store::new(device, tape.params(), 5).unwrap();
    let names: Vec<String> = tape.params().list().iter().map(|p| p.name.clone()).collect();
    let values = || names.iter().map(|name| store.get(name).unwrap()).collect::<Vec<_>>();
    let mut program = tape.compile(&store).unwrap();
    let before = values();
    program.run(&optimizer.rates(step(), 1.0, 1.0)).unwrap();
    let taken = |(b, a): (Vec<f32>, Vec<f32>)| b.iter().zip(a).map(|(b, a)| f64::from(b - a)).collect();
    let list: Vec<Vec<f64>> = before.into_iter().zip(values()).map(taken).collect();
    names.iter().cloned().zip(list).collect()
}

fn loss(program: &mut Program) -> f64 {
    program.run(&step()).unwrap();
    f64::from(program.read_f32("loss").unwrap()[0])
}

/// Central differences of the forward pass for every cell but a table's row 0.
fn differences(record: &Record<'_>) -> BTreeMap<String, Vec<f64>> {
    let mut tape = Tape::new();
    let out = record(&mut tape).unwrap();
    tape.output("loss", out);
    let store = Store::new(&devices()[0], tape.params(), 5).unwrap();
    let mut program = tape.compile(&store).unwrap();
    let mut all = BTreeMap::new();
    for p in tape.params().list() {
        let values = store.get(&p.name).unwrap();
        let first = if p.kind == rt_tensor::ParamKind::Table { p.shape[1] } else { 0 };
        let mut cells = vec![0.0; values.len()];
        for (cell, out) in cells.iter_mut().enumerate().skip(first) {
            let mut at = |x: f32| {
                let mut moved = values.clone();
                moved[cell] = x;
                store.set(&p.name, &moved).unwrap();
                loss(&mut program)
            };
            let (up, down) = (values[cell] + H, values[cell] - H);
            *out = (at(up) - at(down)) / f64::from(up - down);
        }
        store.set(&p.name, &values).unwrap();
        all.insert(p.name.clone(), cells);
    }
    all
}

/// Holds the gradients for which `tape` has recorded backward on every device against the differences of `record`; and
/// against the gradient checker, which has the f64 reference.
pub(crate) fn hold_tape(what: &str, tape: &Tape, record: &Record<'_>) {
    let want = differences(record);
    for device in devices() {
        for (name, got) in gradients(device, tape.clone()) {
            let want = &want[&name];
            let largest = want.iter().fold(1e-3, |a: f64, w| a.max(w.abs()));
            assert!(want.iter().any(|w| w.abs() > 1e-2), "{what}: `{name}` does not move the loss");
            for (cell, (g, w)) in got.iter().zip(want).enumerate() {
                assert!(
                    abs_diff_eq!(g, w, epsilon = BOUND * largest),
                    "{what} on {device:?}: `{name}` cell {cell} has {g}, needs {w}"
                );
            }
        }
        let store = Store::new(device, tape.params(), 5).unwrap();
        let check = check_gradients(tape, &store, &step(), 40, |_| Ok(())).unwrap();
        assert!(check.error() <= TOLERANCE, "{what} on {device:?}: {:?}", check.fault());
    }
}

/// [`hold_tape`] of what one loss records.
pub(crate) fn hold(what: &str, record: &Record<'_>) {
    let mut tape = Tape::new();
    let loss = record(&mut tape).unwrap_or_else(|e| panic!("{what}: {e}"));
    tape.backward(loss).unwrap_or_else(|e| panic!("{what}: {e}"));
    hold_tape(what, &tape, record);
}

/// `rows x cols` floats in [-1, 1], none of them 0.
pub(crate) fn given(t: &mut Tape, rows: usize, cols: usize, number: usize) -> rt_tensor::Result<Var> {
    let cell = |i: usize| ((i * 37 + number * 53) % 64) as f32 / 32.0 - 63.0 / 64.0;
    let data: Vec<f32> = (0..rows * cols).map(cell).collect();
    t.constant(&data, rows, cols)
}

/// The sum of a value's cells, each times a number of its own.
pub(crate) fn weighted(t: &mut Tape, y: Var, number: usize) -> rt_tensor::Result<Var> {
    let [rows, cols] = t.shape(y);
    let c = given(t, rows, cols, number)?;
    let rows = t.group_dot(y, c, 1.0)?;
    t.sum(rows)
}
