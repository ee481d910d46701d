//! What is no number: refused at the door, handed on to the loss, and seen in the gradient.

use rt_tensor::{Activation, DenseRule, GRADIENT_NORM, Init, Optimizer, Step, Store, Tape};
use rt_tests::devices;

const ROWS: usize = 6;
const WIDE: usize = 9;

/// Two layers, the second with ReLU, a dot product with a row of a table, a loss for each row; the loss is kept for `ring` steps.
fn tape(optimizer: &Optimizer, ring: usize) -> Tape {
    let mut tape = Tape::new();
    let x = tape.input("x", ROWS, 2);
    let w = tape.param("w", [2, WIDE], Init::Uniform(0.5)).unwrap();
    let first = tape.linear(x, w, None, None, Activation::None).unwrap();
    let v = tape.param("v", [WIDE, WIDE], Init::Uniform(0.5)).unwrap();
    let hidden = tape.linear(first, v, None, None, Activation::Relu).unwrap();
    let table = tape.table("table", 8, WIDE, Init::Normal(0.3)).unwrap();
    let ids = tape.input_ids("ids", ROWS, 1);
    let items = tape.gather(table, ids).unwrap();
    let z = tape.group_dot(hidden, items, 1.0).unwrap();
    let weight = tape.constant(&[1.0; ROWS], ROWS, 1).unwrap();
    let rows = tape.bce_with_logits(z, weight, None).unwrap();
    let loss = tape.sum(rows).unwrap();
    tape.backward(loss).unwrap();
    tape.log_sum("loss", rows, ring).unwrap();
    tape.optimize(optimizer).unwrap();
    tape
}

#[test]
fn one_nan_in_a_hidden_layer_is_in_the_loss_and_in_the_gradient_of_that_step() {
    let optimizer = Optimizer::sgd();
    let ring = 4;
    let tape = tape(&optimizer, ring);
    for device in devices() {
        let store = Store::new(device, tape.params(), 3).unwrap();
        // Finite all of them: the third unit overflows for a large x, and times zero that is NaN.
        let (mut w, mut v) = (store.get("w").unwrap(), store.get("v").unwrap());
        (w[2], w[WIDE + 2]) = (f32::MAX, 0.0);
        v[2 * WIDE..3 * WIDE].fill(0.0);
        store.set("w", &w).unwrap();
        store.set("v", &v).unwrap();
        let mut program = tape.compile(&store).unwrap();
        program.write_u32("ids", &[1, 2, 3, 4, 5, 6]).unwrap();
        program.write_f32("x", &[1e-3; 2 * ROWS]).unwrap();
        let mut run = |t: u32| {
            program.run(&optimizer.rates(Step::new(t, 1, 0, ROWS as u32), 0.1, 0.1)).unwrap();
            let row = |name, t: usize, rows: usize| program.read_f32(name).unwrap()[t % rows];
            let norms = program.read_f32(GRADIENT_NORM).unwrap();
            assert_eq!(norms.len(), ring + 1, "{device:?}");
            assert_eq!(norms[(t as usize + 1) % (ring + 1)], 0.0, "{device:?}: the next step's");
            (row("loss", t as usize, ring), norms[t as usize % (ring + 1)])
        };
        let (loss, norm) = run(1);
        assert!(loss.is_finite() && norm.is_finite() && norm > 0.0, "{device:?}: {loss}, {norm}");
        program.write_f32("x", &[[4.0, 4.0].as_slice(), &[1e-3; 2 * ROWS - 2]].concat()).unwrap();
        let mut run = |t: u32| {
            program.run(&optimizer.rates(Step::new(t, 1, 0, ROWS as u32), 0.1, 0.1)).unwrap();
            let (losses, norms) = (program.read_f32("loss").unwrap(), program.read_f32(GRADIENT_NORM).unwrap());
            (losses[t as usize % ring], norms[t as usize % (ring + 1)])
        };
        let (loss, norm) = run(2);
        assert!(loss.is_nan(), "{device:?}: the loss is {loss}");
        assert!(norm.is_nan(), "{device:?}: the gradient's norm is {norm}");
    }
}

/// The loss of each row is x times a weight of zero: finite, whatever the gradient is.
#[test]
fn a_gradient_that_overflows_behind_a_finite_loss_is_seen_at_that_step() {
    let optimizer = Optimizer { dense: DenseRule::Sgd, ..Optimizer::sgd() };
    let ring = 3;
    let mut tape = Tape::new();
    let x = tape.input("x", ROWS, 1);
    let w = tape.param("w", [1, 1], Init::Zeros).unwrap();
    let rows = tape.linear(x, w, None, None, Activation::None).unwrap();
    let loss = tape.sum(rows).unwrap();
    tape.backward(loss).unwrap();
    tape.log_sum("loss", rows, ring).unwrap();
    tape.optimize(&optimizer).unwrap();
    for device in devices() {
        let store = Store::new(device, tape.params(), 3).unwrap();
        let mut program = tape.compile(&store).unwrap();
        // Round the ring and over its end: what a step found does not stay in its cell.
        for (t, x) in [1.0f32, 2.0, 3e38, 0.5, 0.25, 3e38].into_iter().enumerate() {
            let t = t as u32 + 1;
            program.write_f32("x", &[x; ROWS]).unwrap();
            // A rate of zero: the weight stays 0, or becomes NaN by an infinite gradient.
            program.run(&optimizer.rates(Step::new(t, 1, 0, ROWS as u32), 0.0, 0.0)).unwrap();
            let norm = program.read_f32(GRADIENT_NORM).unwrap()[t as usize % (ring + 1)];
            if x > 1e38 {
                assert_eq!(program.read_f32("loss").unwrap()[t as usize % ring], 0.0, "{device:?}: step {t}");
                assert!(norm.is_infinite(), "{device:?}: step {t}: {norm}");
                store.set("w", &[0.0]).unwrap();
            } else {
                assert_eq!(norm, x * ROWS as f32, "{device:?}: step {t}");
            }
        }
    }
}

#[test]
fn values_that_are_no_numbers_are_refused_with_their_place() {
    let tape = tape(&Optimizer::sgd(), 2);
    for device in devices() {
        let store = Store::new(device, tape.params(), 3).unwrap();
        let before = store.get("w").unwrap();
        let mut program = tape.compile(&store).unwrap();
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut w = before.clone();
            w[WIDE + 4] = odd;
            let said = store.set("w", &w).unwrap_err().to_string();
            assert!(said.contains("`w`") && said.contains(&format!("holds {odd} at row 1, column 4")), "{said}");
            assert_eq!(store.get("w").unwrap(), before, "nothing was written");
            let said = program.write_f32("x", &[0.0, 1.0, odd]).unwrap_err().to_string();
            assert!(said.contains("`x`") && said.contains(&format!("holds {odd} at place 2")), "{said}");
            let said = store.put_f32("more", &[odd]).unwrap_err().to_string();
            assert!(said.contains("`more`") && said.contains("at place 0"), "{said}");
        }
    }
}
