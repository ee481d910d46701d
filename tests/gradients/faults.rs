//! The checker itself: it finds each kind of fault by the parameter's name, and takes nothing right for wrong.

use rt_tensor::{
    Activation, BagOptions, Device, Fault, GradCheck, Init, Step, Store, TOLERANCE, Tape, Var, check_gradients,
};
use rt_tests::devices;

fn check(device: &Device, tape: &Tape) -> GradCheck {
    let store = Store::new(device, tape.params(), 11).unwrap();
    check_gradients(tape, &store, &Step::new(3, 11, 0, 6), usize::MAX, |_| Ok(())).unwrap()
}

/// Every parameter is reached by two ways, through views, a concatenation, dropout and a table that is looked up and pooled.
fn two_ways() -> Tape {
    const N: usize = 6;
    let mut tape = Tape::new();
    let table = tape.table("table", 7, 4, Init::Normal(0.7)).unwrap();
    let (w, v) =
        (tape.param("w", [4, 4], Init::Normal(0.6)).unwrap(), tape.param("v", [8, 3], Init::Normal(0.6)).unwrap());
    let ids = tape.constant_ids(&[1, 3, 3, 6, 2, 1], N, 1).unwrap();
    let items = tape.constant_ids(&[1, 2, 2, 5, 4, 3, 1, 6], 8, 1).unwrap();
    let slices = tape.constant_ids(&[0, 3, 1, 4, 5, 2, 2, 1, 0, 2, 4, 3], N, 2).unwrap();
    let rows = tape.gather(table, ids).unwrap();
    let options =
        BagOptions { windows: vec![usize::MAX], mean: true, zones: false, max_len: 4, mask: None, hole: None };
    let bag = tape.bag(table, items, slices, &options).unwrap();
    let h = tape.linear(rows, w, None, None, Activation::Tanh).unwrap();
    let h = tape.dropout(h, 0.3, 1).unwrap();
    let g = tape.gelu(bag).unwrap();
    let g = tape.linear(g, w, None, Some(h), Activation::None).unwrap();
    let both = tape.concat(&[g, h]).unwrap();
    let y = tape.linear(both, v, None, None, Activation::Sigmoid).unwrap();
    let loss = weighed(&mut tape, y);
    tape.backward(loss).unwrap();
    tape
}

/// A loss of a value: every cell with a weight of its own.
fn weighed(tape: &mut Tape, y: Var) -> Var {
    let [rows, cols] = tape.shape(y);
    let c: Vec<f32> = (0..rows * cols).map(|i| 0.3 + 0.17 * ((i * 7 % 11) as f32)).collect();
    let c = tape.constant(&c, rows, cols).unwrap();
    let z = tape.group_dot(y, c, 1.0).unwrap();
    tape.sum(z).unwrap()
}

/// Each kind, planted at each place where it can be: what is named is a parameter that it reaches, and what is said of it is right.
#[test]
fn each_planted_fault_is_found() {
    let tape = two_ways();
    for device in [&devices()[0], devices().last().unwrap()] {
        let right = check(device, &tape);
        assert_eq!(right.fault(), None, "{device:?}");
        for fault in Fault::ALL {
            let says = if fault == Fault::NotANumber { "the gradient is NaN" } else { "the difference" };
            let places = tape.fault_places(fault);
            assert!(places.len() > 1, "{fault:?}: {places:?}");
            for place in places {
                let about = format!("{device:?}: {fault:?} at {place:?}");
                let check = check(device, &tape.with_fault(fault, place).unwrap());
                let wrong: Vec<_> = check.parameters.iter().filter(|p| p.fault.is_some()).collect();
                assert!(!wrong.is_empty(), "{about} passes");
                let reached = tape.fault_reaches(fault, place);
                for p in wrong {
                    assert!(reached.contains(&p.parameter), "{about}: {p:?}, and it reaches {reached:?}");
                    assert!(p.error > TOLERANCE && p.fault.as_ref().unwrap().contains(says), "{about}: {p:?}");
                }
            }
        }
    }
}

/// A tie that rounding breaks excuses its own cell, and no other of the parameter.
#[test]
fn a_cell_on_a_kink_hides_no_wrong_gradient_of_others() {
    let mut tape = Tape::new();
    let (a, b) =
        (tape.param("a", [10, 1], Init::Normal(1.0)).unwrap(), tape.param("b", [10, 1], Init::Normal(1.0)).unwrap());
    let less = tape.scale(b, -1.0).unwrap();
    let apart = tape.add(a, less).unwrap();
    let y = tape.activation(apart, Activation::Relu).unwrap();
    let loss = weighed(&mut tape, y);
    tape.backward(loss).unwrap();
    for device in devices() {
        let check = |tape: &Tape| {
            let store = Store::new(device, tape.params(), 11).unwrap();
            store.set("a", &[1.5, 2.0, -1.0, 0.5, 3.0, 1.0, -2.0, 2.5, 0.7, -0.3]).unwrap();
            store.set("b", &[1.5, 1.0, 1.0, -0.5, 1.0, 2.0, -3.0, 1.5, 0.1, 0.4]).unwrap();
            check_gradients(tape, &store, &Step::new(3, 11, 0, 10), usize::MAX, |_| Ok(())).unwrap()
        };
        let right = check(&tape);
        assert_eq!(right.fault(), None, "{device:?}: {right:?}");
        let skipped = |name| right.parameters.iter().find(|p| p.parameter == name).unwrap().skipped;
        assert_eq!([skipped("a"), skipped("b")], [1, 1], "{device:?}: {right:?}");
        for fault in [Fault::WrongSign, Fault::MissingFactor] {
            let places = tape.fault_places(fault);
            assert!(!places.is_empty());
            for place in places {
                let wrong = check(&tape.with_fault(fault, place).unwrap());
                let named = wrong.parameters.iter().any(|p| ["a", "b"].contains(&&*p.parameter) && p.fault.is_some());
                assert!(named, "{device:?}: {fault:?} at {place:?} passes: {wrong:?}");
            }
        }
    }
}

/// What passed `stop_gradient` is in the report.
#[test]
fn what_is_held_is_listed() {
    let mut tape = Tape::new();
    let x = tape.param("x", [4, 3], Init::Normal(1.0)).unwrap();
    let y = tape.activation(x, Activation::Tanh).unwrap();
    let still = tape.stop_gradient(y);
    let z = tape.group_dot(x, still, 1.0).unwrap();
    let loss = tape.sum(z).unwrap();
    tape.backward(loss).unwrap();
    for device in devices() {
        let checked = check(device, &tape);
        assert_eq!(checked.fault(), None, "{device:?}: {checked:?}");
        let why: Vec<_> = checked.held.iter().map(|held| held.why).collect();
        assert_eq!(why, ["stop_gradient"], "{device:?}: {:?}", checked.held);
    }
}

#[test]
fn nan_in_the_values_is_found_too() {
    for device in devices() {
        let mut tape = Tape::new();
        let x = tape.param("x", [3, 2], Init::Constant(1.0)).unwrap();
        let c = tape.constant(&[1.0, 2.0, f32::INFINITY, 1.0, 1.0, 1.0], 3, 2).unwrap();
        let z = tape.group_dot(x, c, 1.0).unwrap();
        let loss = tape.sum(z).unwrap();
        tape.backward(loss).unwrap();
        let check = check(device, &tape);
        assert_eq!(check.error(), f64::INFINITY, "{device:?}: {check:?}");
        assert!(check.parameters.iter().all(|p| p.fault.is_some()), "{device:?}: {check:?}");
    }
}

/// True gradients that are zero, or rounding: they are held against the rounding of what they are sums of.
#[test]
fn what_a_normalisation_takes_out_does_not_fail() {
    for device in devices() {
        for n in [2, 7] {
            let mut tape = Tape::new();
            let weight = tape.constant(&vec![1.0 / n as f32; n], n, 1).unwrap();
            // A bias in front of batch normalisation: no column keeps it.
            let x = tape.param("x", [n, 5], Init::Normal(3.0)).unwrap();
            let (w, b) = (
                tape.param("w", [5, 4], Init::Normal(1.0)).unwrap(),
                tape.param("bias taken out", [1, 4], Init::Normal(1.0)).unwrap(),
            );
            let (gain, bias) = (
                tape.param("gain", [1, 4], Init::Normal(1.0)).unwrap(),
                tape.param("bias", [1, 4], Init::Normal(1.0)).unwrap(),
            );
            let h = tape.linear(x, w, Some(b), None, Activation::None).unwrap();
            let h = tape.batch_norm(h, gain, bias, Some(weight), "norm").unwrap();
            let one = weighed(&mut tape, h);
            // Directions in one dimension are signs, columns of one cell have no variance.
            let s = tape.param("lengths taken out", [n, 1], Init::Normal(1.0)).unwrap();
            let s = tape.l2_normalize(s).unwrap();
            let two = weighed(&mut tape, s);
            // Two cells, and what is left of them behind layer normalisation are their signs.
            let l = tape.param("pairs", [n, 2], Init::Normal(100.0)).unwrap();
            let (gain, bias) = (
                tape.param("pairs' gain", [1, 2], Init::Normal(1.0)).unwrap(),
                tape.param("pairs' bias", [1, 2], Init::Normal(1.0)).unwrap(),
            );
            let l = tape.layer_norm(l, gain, bias).unwrap();
            let three = weighed(&mut tape, l);
            let loss = tape.add(one, two).unwrap();
            let loss = tape.add(loss, three).unwrap();
            tape.backward(loss).unwrap();
            let right = check(device, &tape);
            assert_eq!(right.fault(), None, "{device:?}, {n} rows: {right:?}");
            // And that is no blindness: of seven rows most gradients are not zero, and NaN is never one.
            // Of two rows a normalisation leaves signs: what is found there are the gains and biases.
            let least = if n == 2 { 1 } else { 2 };
            for (fault, least) in [(Fault::WrongSign, least), (Fault::MissingFactor, least), (Fault::NotANumber, 4)] {
                let places = tape.fault_places(fault);
                assert!(!places.is_empty(), "{n} rows: {fault:?} has no place");
                let wrong = |place: &&rt_tensor::FaultPlace| {
                    check(device, &tape.with_fault(fault, **place).unwrap()).fault().is_some()
                };
                let found = places.iter().filter(wrong).count();
                assert!(found > 0, "{device:?}, {n} rows: {fault:?} is not found");
                assert!(
                    found * 4 >= places.len() * least,
                    "{device:?}, {n} rows: {fault:?}: {found} of {}",
                    places.len()
                );
            }
        }
    }
}

/// A step of two parts: the loss is their sum.
#[test]
fn parts_of_a_step_are_differentiated_together() {
    let mut tape = Tape::new();
    for part in 0..2 {
        if part > 0 {
            tape.next_part(4);
        }
        let x = tape.param("x", [4, 3], Init::Normal(1.0)).unwrap();
        let y = tape.dropout(x, 0.4, 1).unwrap();
        let y = tape.activation(y, Activation::Tanh).unwrap();
        let loss = weighed(&mut tape, y);
        if part == 0 { tape.accumulate(loss).unwrap() } else { tape.backward(loss).unwrap() }
    }
    for device in devices() {
        assert_eq!(check(device, &tape).fault(), None, "{device:?}");
    }
}

/// The store is left as it was found, state and parameters.
#[test]
fn checking_changes_no_bit_of_the_store() {
    for device in devices() {
        let mut tape = Tape::new();
        let x = tape.param("x", [5, 3], Init::Normal(1.0)).unwrap();
        let gain = tape.param("gain", [1, 3], Init::Normal(1.0)).unwrap();
        let weight = tape.constant(&[0.2; 5], 5, 1).unwrap();
        let y = tape.batch_norm(x, gain, gain, Some(weight), "norm").unwrap();
        let loss = weighed(&mut tape, y);
        tape.backward(loss).unwrap();
        let store = Store::new(device, tape.params(), 11).unwrap();
        let all = || ["x", "gain", "norm.mean", "norm.variance"].map(|name| store.get(name).unwrap());
        let before = all();
        let checked = check_gradients(&tape, &store, &Step::new(3, 11, 0, 5), 99, |_| Ok(())).unwrap();
        assert_eq!(checked.fault(), None, "{device:?}");
        assert_eq!(all(), before, "{device:?}");
    }
}

/// It is so after an error as well, here of the second program's inputs, behind a run of the first.
#[test]
fn a_check_that_fails_changes_no_bit_of_the_store() {
    for device in devices() {
        let mut tape = Tape::new();
        let x = tape.param("x", [5, 3], Init::Normal(1.0)).unwrap();
        let gain = tape.param("gain", [1, 3], Init::Normal(1.0)).unwrap();
        let weight = tape.constant(&[0.2; 5], 5, 1).unwrap();
        let y = tape.batch_norm(x, gain, gain, Some(weight), "norm").unwrap();
        let loss = weighed(&mut tape, y);
        tape.backward(loss).unwrap();
        let store = Store::new(device, tape.params(), 11).unwrap();
        let all = || ["x", "gain", "norm.mean", "norm.variance"].map(|name| store.get(name).unwrap());
        let before = all();
        let calls = std::cell::Cell::new(0);
        let prepare = |_: &mut rt_tensor::Program| {
            calls.set(calls.get() + 1);
            if calls.get() == 1 { Ok(()) } else { Err(rt_tensor::Error::NoGradient("on purpose".into())) }
        };
        let failed = check_gradients(&tape, &store, &Step::new(3, 11, 0, 5), 99, prepare);
        assert!(failed.is_err_and(|e| e.to_string().contains("on purpose")), "{device:?}");
        assert_eq!((calls.get(), all()), (2, before), "{device:?}");
    }
}

/// A parameter that a step made NaN: the check fails and says so, and the cell is NaN afterwards.
#[test]
fn a_parameter_that_is_not_a_number_fails() {
    for device in devices() {
        let mut tape = Tape::new();
        let x = tape.param("x", [4, 1], Init::Normal(1.0)).unwrap();
        let c = tape.constant(&[1.0, f32::NAN, 1.0, 1.0], 4, 1).unwrap();
        let z = tape.group_dot(x, c, 1.0).unwrap();
        let loss = tape.sum(z).unwrap();
        tape.backward(loss).unwrap();
        let optimizer = rt_tensor::Optimizer::sgd();
        let mut spoil = tape.clone();
        spoil.optimize(&optimizer).unwrap();
        let store = Store::new(device, tape.params(), 11).unwrap();
        let rates = optimizer.rates(Step::new(1, 11, 0, 4), 1.0, 1.0);
        spoil.compile(&store).unwrap().run(&rates).unwrap();
        let bits = || store.get("x").unwrap().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let before = bits();
        assert!(f32::from_bits(before[1]).is_nan(), "{device:?}");
        let mut tape = Tape::new();
        let x = tape.param("x", [4, 1], Init::Normal(1.0)).unwrap();
        let y = tape.activation(x, Activation::Tanh).unwrap();
        let loss = weighed(&mut tape, y);
        tape.backward(loss).unwrap();
        let checked = check_gradients(&tape, &store, &Step::new(3, 11, 0, 4), 99, |_| Ok(())).unwrap();
        assert!(checked.parameters.iter().any(|p| p.parameter == "x" && p.fault.is_some()), "{device:?}: {checked:?}");
        assert_eq!(bits(), before, "{device:?}");
    }
}

/// Inputs are those that the caller wrote, in every run.
#[test]
fn inputs_are_written_for_every_run() {
    let mut tape = Tape::new();
    let x = tape.param("x", [4, 3], Init::Normal(1.0)).unwrap();
    let c = tape.input("c", 4, 3);
    let z = tape.group_dot(x, c, 1.0).unwrap();
    let loss = tape.sum(z).unwrap();
    tape.backward(loss).unwrap();
    for device in devices() {
        let store = Store::new(device, tape.params(), 1).unwrap();
        let write = |p: &mut rt_tensor::Program| p.write_f32("c", &[0.5; 12]);
        let good = check_gradients(&tape, &store, &Step::new(1, 1, 0, 4), 12, write).unwrap();
        assert_eq!(good.fault(), None, "{device:?}");
    }
}
