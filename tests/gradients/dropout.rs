//! Dropout whose output, or whose gradient, has several users.

use crate::differ::{Record, given, hold, hold_tape, weighted};
use rt_tensor::{Activation, Init, Tape, Var};

const N: usize = 5;
const D: usize = 6;
const NORMAL: Init = Init::Normal(0.6);

fn layer(t: &mut Tape, x: Var, name: &str, f: Activation) -> rt_tensor::Result<Var> {
    let w = t.param(name, [D, D], NORMAL)?;
    t.linear(x, w, None, None, f)
}

/// Kernels of the tape by name.
fn count(tape: &Tape, name: &str) -> usize {
    tape.nodes().iter().filter(|n| n.op == name).count()
}

/// A residual block with dropout after it.
fn residual(t: &mut Tape) -> rt_tensor::Result<Var> {
    let x = given(t, N, D, 1)?;
    let h = layer(t, x, "w1", Activation::Tanh)?;
    let f = layer(t, h, "w2", Activation::Sigmoid)?;
    let sum = t.add(h, f)?;
    let y = t.dropout(sum, 0.3, 0)?;
    weighted(t, y, 2)
}

#[test]
fn of_a_residual_block() {
    hold("dropout(h + f(h w))", &residual);
}

#[test]
fn of_a_sum_of_activations() {
    for (what, f, g) in [
        ("dropout(tanh + sigmoid)", Activation::Tanh, Activation::Sigmoid),
        ("dropout(tanh + tanh)", Activation::Tanh, Activation::Tanh),
    ] {
        hold(what, &|t| {
            let (a, b) = (t.param("a", [N, D], NORMAL)?, t.param("b", [N, D], NORMAL)?);
            let (a, b) = (t.activation(a, f)?, t.activation(b, g)?);
            let sum = t.add(a, b)?;
            let y = t.dropout(sum, 0.3, 0)?;
            weighted(t, y, 2)
        });
    }
    hold("dropout(y + y), y = tanh", &|t| {
        let x = t.param("x", [N, D], NORMAL)?;
        let y = t.activation(x, Activation::Tanh)?;
        let sum = t.add(y, y)?;
        let y = t.dropout(sum, 0.3, 0)?;
        weighted(t, y, 2)
    });
}

#[test]
fn of_an_activation_that_others_read_too() {
    hold("dropout(y) + y", &|t| {
        let x = t.param("x", [N, D], NORMAL)?;
        let y = t.activation(x, Activation::Tanh)?;
        let dropped = t.dropout(y, 0.3, 0)?;
        let sum = t.add(dropped, y)?;
        weighted(t, sum, 2)
    });
    hold("the skip of a layer is dropped with it", &|t| {
        let (x, skip) = (t.param("x", [N, D], NORMAL)?, t.param("skip", [N, D], NORMAL)?);
        let w = t.param("w", [D, D], NORMAL)?;
        let tanh = t.activation(skip, Activation::Tanh)?;
        let y = t.linear(x, w, None, Some(tanh), Activation::Sigmoid)?;
        let y = t.dropout(y, 0.3, 0)?;
        weighted(t, y, 2)
    });
    hold("rows of a table are dropped with an activation", &|t| {
        let (table, x) = (t.table("table", 7, D, NORMAL)?, t.param("x", [N, D], NORMAL)?);
        let ids = t.constant_ids(&[1, 5, 0, 5, 3], N, 1)?;
        let rows = t.gather(table, ids)?;
        let y = t.activation(x, Activation::Tanh)?;
        let sum = t.add(rows, y)?;
        let y = t.dropout(sum, 0.3, 0)?;
        // Row 0 and rows that nobody looks up keep a loss of their own, so that every row has a gradient.
        let all = t.constant_ids(&[1, 2, 3, 4, 5, 6], 6, 1)?;
        let others = t.gather(table, all)?;
        let both = t.concat_rows(&[y, others])?;
        weighted(t, both, 2)
    });
}

#[test]
fn of_several_parts_of_a_step() {
    let mut tape = Tape::new();
    let first = residual(&mut tape).unwrap();
    tape.accumulate(first).unwrap();
    tape.next_part(N);
    let second = residual(&mut tape).unwrap();
    tape.backward(second).unwrap();
    let record: &Record<'_> = &|t| {
        let first = residual(t)?;
        t.next_part(N);
        let second = residual(t)?;
        t.add(first, second)
    };
    hold_tape("two parts with dropout", &tape, record);
}

/// A dropout that nothing else uses is one kernel with the activation before it, as it was.
#[test]
fn alone_is_still_fused() {
    let record = |shared: bool| {
        let mut t = Tape::new();
        let x = t.param("x", [N, D], NORMAL).unwrap();
        let y = t.activation(x, Activation::Tanh).unwrap();
        let mut z = t.dropout(y, 0.3, 0).unwrap();
        if shared {
            let sum = t.add(y, x).unwrap();
            z = t.dropout(sum, 0.3, 0).unwrap();
        }
        let loss = weighted(&mut t, z, 2).unwrap();
        t.backward(loss).unwrap();
        (count(&t, "dropout_backward"), count(&t, "activation_backward"))
    };
    assert_eq!(record(false), (1, 0));
    assert_eq!(record(true), (0, 1));
}
