//! Gradients of every op and of both whole models, on every device, against central differences of the f64 reference.

mod differ;
mod dropout;
mod faults;
mod ids;
mod large;
mod operands;
mod optimizers;
mod random;
mod sampling;
mod views;

use rt_models::check_models;
use rt_tensor::{Init, OpCheck, Optimizer, Step, Store, TOLERANCE, Tape, check_ops};
use rt_tests::devices;

/// All of them pass, and none because its differences said nothing.
fn hold(device: &rt_tensor::Device, checks: &[OpCheck]) {
    for OpCheck { op, check } in checks {
        let report = check.parameters.iter().map(|p| format!("{}: {:e}", p.parameter, p.error)).collect::<Vec<_>>();
        assert!(check.fault().is_none(), "{device:?}: {op}: {}\n{report:?}", check.fault().unwrap());
        assert!(check.error() <= TOLERANCE, "{device:?}: {op}: {report:?}");
        let skipped: usize = check.parameters.iter().map(|p| p.skipped).sum();
        let cells: usize = check.parameters.iter().map(|p| p.cells).sum();
        assert!(skipped * 50 <= cells, "{device:?}: {op}: {skipped} of {cells} cells lie on kinks");
    }
}

#[test]
fn every_op() {
    for device in devices() {
        hold(device, &check_ops(device, 42).unwrap());
    }
}

#[test]
fn whole_models_with_every_loss() {
    for device in devices() {
        let checks = check_models(device, 7).unwrap();
        assert_eq!(
            checks.len(),
            28,
            "two models with seven losses and five sets of options, three with parts that are off by default, and searches"
        );
        assert!(checks[27].check.parameters.iter().any(|p| p.parameter == "search"), "{:?}", checks[27]);
        hold(device, &checks);
    }
}

#[test]
fn the_text_model_with_both_losses() {
    for device in devices() {
        let checks = rt_models::text::check_text(device, 7).unwrap();
        assert_eq!(checks.len(), 3, "in-batch with one tower and with two, list");
        hold(device, &checks);
    }
}

#[test]
fn no_gradient_is_an_error_and_names_the_parameter() {
    let mut tape = Tape::new();
    let x = tape.param("x", [2, 2], Init::Normal(1.0)).unwrap();
    let _lonely = tape.param("lonely", [2, 2], Init::Normal(1.0)).unwrap();
    let c = tape.constant(&[1.0; 4], 2, 2).unwrap();
    let z = tape.group_dot(x, c, 1.0).unwrap();
    let loss = tape.sum(z).unwrap();
    let error = tape.backward(loss).unwrap_err().to_string();
    assert!(error.contains("`lonely` does not reach the loss"), "{error}");

    let mut tape = Tape::new();
    let c = tape.constant(&[1.0; 2], 2, 1).unwrap();
    let loss = tape.sum(c).unwrap();
    assert!(tape.backward(loss).unwrap_err().to_string().contains("depends on no parameter"));

    let mut tape = Tape::new();
    let table = tape.table("table", 5, 2, Init::Normal(1.0)).unwrap();
    let _ = (table, tape.optimize(&Optimizer::adam()).unwrap_err());

    // A loss whose upstream is no number: the softmax rows are multiplied by something that depends on a parameter.
    let mut tape = Tape::new();
    let z = tape.param("z", [3, 2], Init::Normal(1.0)).unwrap();
    let w = tape.constant(&[1.0; 3], 3, 1).unwrap();
    let rows = tape.list_softmax(z, w, None, None, false, 0.0).unwrap();
    let s = tape.param("s", [3, 1], Init::Constant(1.0)).unwrap();
    let product = tape.group_dot(rows, s, 1.0).unwrap();
    let loss = tape.sum(product).unwrap();
    let error = tape.backward(loss).unwrap_err().to_string();
    assert!(error.contains("give weights of examples to the op"), "{error}");
}

#[test]
fn ids_are_checked_where_the_host_writes_them() {
    for device in devices() {
        let mut tape = Tape::new();
        let (small, large) =
            (tape.table("small", 5, 2, Init::Zeros).unwrap(), tape.table("large", 9, 2, Init::Zeros).unwrap());
        let ids = tape.input_ids("ids", 3, 1);
        let (a, b) = (tape.gather(small, ids).unwrap(), tape.gather(large, ids).unwrap());
        let sum = tape.add(a, b).unwrap();
        tape.output("sum", sum);
        let store = Store::new(device, tape.params(), 1).unwrap();
        let mut program = tape.compile(&store).unwrap();
        program.write_u32("ids", &[0, 4, 1]).unwrap();
        let error = program.write_u32("ids", &[0, 1, 5]).unwrap_err().to_string();
        assert!(error.contains("`ids`") && error.contains("id 5 at place 2") && error.contains("below 5"), "{error}");
        program.run(&Step::new(1, 1, 0, 3)).unwrap();
    }
}

#[test]
fn shapes_are_checked_when_recorded() {
    let mut tape = Tape::new();
    let x = tape.param("x", [4, 3], Init::Zeros).unwrap();
    let w = tape.param("w", [5, 2], Init::Zeros).unwrap();
    let error = tape.linear(x, w, None, None, rt_tensor::Activation::None).unwrap_err().to_string();
    assert!(error.contains("[5, 2]") && error.contains("gemm"), "{error}");
    let error = tape.param("x", [4, 4], Init::Zeros).unwrap_err().to_string();
    assert!(error.contains("`x`") && error.contains("[4, 3]") && error.contains("[4, 4]"), "{error}");
    let ids = tape.input_ids("ids", 4, 1);
    let error = tape.gather(x, ids).unwrap_err().to_string();
    assert!(error.contains("rows of a table"), "{error}");
    let table = tape.table("t", 9, 3, Init::Zeros).unwrap();
    let past = tape.constant_ids(&[1, 8, 9], 3, 1).unwrap();
    let error = tape.gather(table, past).unwrap_err().to_string();
    assert!(error.contains("id 9 at place 2") && error.contains("9 rows"), "{error}");
    let slice = tape.input_ids("slice", 4, 2);
    let windows = (1..=17).collect();
    let many = rt_tensor::BagOptions { windows, mean: true, zones: false, max_len: 20, mask: None, hole: None };
    let error = tape.bag(table, ids, slice, &many).unwrap_err().to_string();
    assert!(error.contains("17 windows"), "{error}");
    let error = tape.gather(table, x).unwrap_err().to_string();
    assert!(error.contains("ids"), "{error}");
}
