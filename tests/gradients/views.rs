//! Views, rows taken by number, and products by cell: their gradients arrive, alone and beside other uses.

use crate::differ::{Record, given, hold, hold_tape, weighted};
use rt_tensor::{Activation, Init, Negatives, Optimizer, PositiveVar, Result, SoftmaxSpec, Tape, Var};

const N: usize = 6;
const D: usize = 4;
const NORMAL: Init = Init::Normal(0.6);

/// A view of a value `[N, D]`.
type Look<'a> = dyn Fn(&mut Tape, Var) -> Result<Var> + 'a;

/// The view's gradient alone, beside that of the whole value, before and after it, and of a bare parameter.
fn all_ways(what: &str, look: &Look<'_>) {
    let value = |t: &mut Tape| -> Result<Var> {
        let p = t.param("p", [N, D], NORMAL)?;
        t.activation(p, Activation::Tanh)
    };
    hold(&format!("{what} of a value"), &|t| {
        let x = value(t)?;
        let y = look(t, x)?;
        weighted(t, y, 2)
    });
    hold(&format!("{what} of a parameter"), &|t| {
        let p = t.param("p", [N, D], NORMAL)?;
        let y = look(t, p)?;
        weighted(t, y, 2)
    });
    for first in [false, true] {
        hold(&format!("the whole and {what}, the whole first: {first}"), &|t| {
            let x = value(t)?;
            let whole = |t: &mut Tape| weighted(t, x, 3);
            let early = if first { Some(whole(t)?) } else { None };
            let y = look(t, x)?;
            let y = t.gelu(y)?;
            let part = weighted(t, y, 2)?;
            let whole = early.map_or_else(|| whole(t), Ok)?;
            t.add(part, whole)
        });
    }
    hold(&format!("{what} twice, and of what it made"), &|t| {
        let x = value(t)?;
        let (a, b) = (look(t, x)?, look(t, x)?);
        let both = t.concat(&[a, b])?;
        weighted(t, both, 2)
    });
}

#[test]
fn rows() {
    all_ways("rows", &|t, x| t.rows(x, 1, 3));
    all_ways("the first rows", &|t, x| t.rows(x, 0, 2));
    all_ways("all rows", &|t, x| t.rows(x, 0, N));
}

#[test]
fn columns() {
    all_ways("columns", &|t, x| t.columns(x, 1, 2));
    all_ways("the last column", &|t, x| t.columns(x, D - 1, 1));
}

#[test]
fn reshape() {
    all_ways("reshape", &|t, x| t.reshape(x, D, N));
    all_ways("reshape to a row", &|t, x| t.reshape(x, 1, N * D));
    all_ways("reshape of rows", &|t, x| {
        let x = t.rows(x, 2, 3)?;
        t.reshape(x, D, 3)
    });
    all_ways("columns of a reshape, whose gradient has gaps", &|t, x| {
        let x = t.reshape(x, D, N)?;
        let y = t.columns(x, 1, 3)?;
        let both = t.concat(&[y, y])?;
        t.reshape(both, 6, 4)
    });
}

#[test]
fn take() {
    // Row 0 counts like any other, one row is never taken, one four times.
    all_ways("take", &|t, x| {
        let ids = t.constant_ids(&[4, 0, 4, 1, 5, 4, 0, 3, 4], 9, 1)?;
        t.take(x, ids)
    });
    hold("take of a table's rows", &|t| {
        let table = t.table("table", 5, D, NORMAL)?;
        let ids = t.constant_ids(&[1, 4, 0, 4, 2, 3], 6, 1)?;
        let (a, b) = (t.take(table, ids)?, t.gather(table, ids)?);
        let both = t.concat(&[a, b])?;
        weighted(t, both, 2)
    });
}

#[test]
fn take_of_many() {
    // Runs of 512 and more are summed in chunks.
    hold("take of two rows 700 times", &|t| {
        let p = t.param("p", [3, 2], NORMAL)?;
        let list: Vec<u32> = (0..1400).map(|i| u32::from(i % 3 == 0) * 2).collect();
        let ids = t.constant_ids(&list, 1400, 1)?;
        let y = t.take(p, ids)?;
        let (near, far) = (given(t, 1400, 2, 3)?, t.rows(p, 1, 1)?);
        let rows = t.group_dot(y, near, 0.01)?;
        let (sum, far) = (t.sum(rows)?, weighted(t, far, 5)?);
        t.add(sum, far)
    });
}

#[test]
fn weigh() {
    hold("weigh(p, q)", &|t| {
        let (p, q) = (t.param("p", [N, D], NORMAL)?, t.param("q", [N, D], NORMAL)?);
        let y = t.weigh(p, q)?;
        weighted(t, y, 2)
    });
    hold("weigh(p, p)", &|t| {
        let p = t.param("p", [N, D], NORMAL)?;
        let y = t.weigh(p, p)?;
        weighted(t, y, 2)
    });
    hold("weigh(h, h), summed as it is", &|t| {
        let p = t.param("p", [N, 1], NORMAL)?;
        let h = t.activation(p, Activation::Tanh)?;
        let y = t.weigh(h, h)?;
        t.sum(y)
    });
    hold("weigh(constant, p), summed as it is", &|t| {
        let (c, p) = (given(t, N, 1, 1)?, t.param("p", [N, 1], NORMAL)?);
        let y = t.weigh(c, p)?;
        t.sum(y)
    });
}

#[test]
fn several_views_of_one_value() {
    hold("columns that make up the value, in another order", &|t| {
        let p = t.param("p", [N, D], NORMAL)?;
        let x = t.activation(p, Activation::Tanh)?;
        let (a, b) = (t.columns(x, 0, 1)?, t.columns(x, 1, 3)?);
        let turned = t.concat(&[b, a])?;
        weighted(t, turned, 2)
    });
    hold("rows and columns that overlap", &|t| {
        let p = t.param("p", [N, D], NORMAL)?;
        let x = t.activation(p, Activation::Tanh)?;
        let (rows, cols, inner) = (t.rows(x, 1, 3)?, t.columns(x, 2, 2)?, t.rows(x, 2, 4)?);
        let inner = t.columns(inner, 1, 2)?;
        let losses = [weighted(t, rows, 1)?, weighted(t, cols, 2)?, weighted(t, inner, 3)?, weighted(t, x, 4)?];
        let (a, b) = (t.add(losses[0], losses[1])?, t.add(losses[2], losses[3])?);
        t.add(a, b)
    });
    hold("a loss that sums rows of a value: the gradient is a number in them and zero beside them", &|t| {
        let p = t.param("p", [N, 1], NORMAL)?;
        let x = t.activation(p, Activation::Tanh)?;
        let (some, all) = (t.rows(x, 1, 3)?, t.weigh(x, x)?);
        let (some, all) = (t.sum(some)?, t.sum(all)?);
        t.add(some, all)
    });
    hold("a view that is part of a concatenation, with the value itself", &|t| {
        let p = t.param("p", [N, D], NORMAL)?;
        let x = t.activation(p, Activation::Tanh)?;
        let view = t.columns(x, 1, 2)?;
        let (one, other) = (t.concat(&[x, view])?, t.concat(&[view, x])?);
        let both = t.concat(&[one, other])?;
        weighted(t, both, 2)
    });
    hold("a reshape of rows of a value that lives in a concatenation", &|t| {
        let p = t.param("p", [N, D], NORMAL)?;
        let x = t.activation(p, Activation::Tanh)?;
        let rows = t.rows(x, 0, 3)?;
        let flat = t.reshape(rows, 2, 6)?;
        let other = t.scale(p, 0.5)?;
        let both = t.concat(&[other, x])?;
        let (a, b) = (weighted(t, both, 2)?, weighted(t, flat, 3)?);
        t.add(a, b)
    });
}

/// Through a value that was declared a constant nothing flows; beside it all does.
#[test]
fn stop_gradient() {
    let mut tape = Tape::new();
    let p = tape.param("p", [N, D], NORMAL).unwrap();
    let h = tape.activation(p, Activation::Tanh).unwrap();
    let still = tape.stop_gradient(h);
    let y = tape.weigh(h, still).unwrap();
    let loss = weighted(&mut tape, y, 2).unwrap();
    tape.backward(loss).unwrap();
    // Its gradient is that of a product with a constant: half that of the square.
    let record: &Record<'_> = &|t| {
        let p = t.param("p", [N, D], NORMAL)?;
        let h = t.activation(p, Activation::Tanh)?;
        let y = t.weigh(h, h)?;
        let y = t.scale(y, 0.5)?;
        weighted(t, y, 2)
    };
    hold_tape("a product with its own recorded value", &tape, record);

    let mut tape = Tape::new();
    let p = tape.param("p", [N, D], NORMAL).unwrap();
    let still = tape.stop_gradient(p);
    let loss = weighted(&mut tape, still, 2).unwrap();
    let error = tape.backward(loss).unwrap_err().to_string();
    assert!(error.contains("the loss depends on no parameter"), "{error}");
    let ids = tape.input_ids("ids", 3, 1);
    assert_eq!(tape.stop_gradient(ids), ids, "integers have no gradient");
}

fn refused(record: &Record<'_>) -> String {
    let mut tape = Tape::new();
    let loss = record(&mut tape).unwrap();
    tape.backward(loss).expect_err("a gradient is lost").to_string()
}

/// What has no gradient says so, by op and value, and names the way out.
#[test]
fn no_gradient_is_an_error() {
    // The correction of a softmax, learned: the op has none for it.
    let learned_logq = |stopped: bool| {
        move |t: &mut Tape| -> Result<Var> {
            let (u, v) = (t.param("u", [N, D], NORMAL)?, t.param("v", [N, D], NORMAL)?);
            let q = t.param("q", [N, 1], NORMAL)?;
            let corrected = if stopped { t.stop_gradient(q) } else { q };
            let weight = t.constant(&[0.2; N], N, 1)?;
            let spec = SoftmaxSpec {
                users: u,
                weight,
                candidates: Negatives { vectors: v, logq: Some(corrected), ids: None },
                positive: PositiveVar::Diagonal,
                mask_hits: None,
                scale: 1.0,
                correct_positive: false,
                smoothing: 0.0,
                mask: None,
            };
            let rows = t.softmax_loss(&spec)?;
            let (rows, own) = (t.sum(rows)?, weighted(t, q, 3)?);
            t.add(rows, own)
        }
    };
    let error = refused(&learned_logq(false));
    for part in ["softmax_loss", "`q`", "`logq`", "stop_gradient"] {
        assert!(error.contains(part), "{part} in {error}");
    }
    let mut tape = Tape::new();
    let loss = learned_logq(true)(&mut tape).unwrap();
    tape.backward(loss).unwrap();
}

/// Values and nodes that a loss may not flow through.
#[test]
fn no_gradient_is_an_error_through_nodes_without_op() {
    // Weights of the rows' loss that depend on a parameter.
    let error = refused(&|t| {
        let (z, w) = (t.param("z", [N, 3], NORMAL)?, t.param("w", [N, 1], NORMAL)?);
        let rows = t.list_softmax(z, w, None, None, false, 0.0)?;
        let (rows, own) = (t.sum(rows)?, weighted(t, w, 3)?);
        t.add(rows, own)
    });
    assert!(error.contains("list_softmax") && error.contains("`w`") && error.contains("`weight`"), "{error}");

    // ln q looked up in a table that is learned, on its way into the loss.
    let error = refused(&|t| {
        let q = t.param("q", [9, 1], NORMAL)?;
        let ids = t.constant_ids(&[1, 2, 3, 4, 5, 6], N, 1)?;
        let logq = t.logq(q, ids, false, 0.0)?;
        let (rows, own) = (t.sum(logq)?, weighted(t, q, 3)?);
        t.add(rows, own)
    });
    assert!(error.contains("`logq` (node 0)") && error.contains("stop_gradient"), "{error}");

    // A queue that is read again after this step's vectors entered it.
    let queued = |stopped: bool| {
        move |t: &mut Tape| -> Result<Var> {
            let p = t.param("p", [N, D], NORMAL)?;
            let h = t.activation(p, Activation::Tanh)?;
            let (state, _) = t.queue("queue", h, 1)?;
            let entered = if stopped { t.stop_gradient(h) } else { h };
            t.queue_push(state, entered)?;
            let (_, now) = t.queue("queue", h, 1)?;
            let both = t.concat_rows(&[h, now])?;
            weighted(t, both, 2)
        }
    };
    let error = refused(&queued(false));
    assert!(error.contains("`copy`") && error.contains("stop_gradient"), "{error}");
    let mut tape = Tape::new();
    let loss = queued(true)(&mut tape).unwrap();
    tape.backward(loss).unwrap();

    // A table whose rows are looked up, and that a product reads whole.
    let error = refused(&|t| {
        let (table, u) = (t.table("table", 6, D, NORMAL)?, t.param("u", [N, D], NORMAL)?);
        let ids = t.constant_ids(&[1, 2, 3, 4, 5, 1], N, 1)?;
        let rows = t.gather(table, ids)?;
        let (near, all) = (t.group_dot(u, rows, 1.0)?, t.product(u, table)?);
        let both = t.concat(&[near, all])?;
        weighted(t, both, 2)
    });
    assert!(error.contains("`product`") && error.contains("table") && error.contains("gather"), "{error}");
}

#[test]
fn views_past_the_end_are_refused() {
    let mut t = Tape::new();
    let x = t.param("x", [N, D], NORMAL).unwrap();
    for (first, n) in [(0, D + 1), (D, 1), (usize::MAX, 2), (2, usize::MAX)] {
        let error = t.columns(x, first, n).unwrap_err().to_string();
        assert!(error.contains("columns") && error.contains(&format!("of {D}")), "{error}");
        let error = t.rows(x, first, n.max(N + 1)).unwrap_err().to_string();
        assert!(error.contains("rows") && error.contains(&format!("of {N}")), "{error}");
    }
    let error = t.reshape(x, usize::MAX, 2).unwrap_err().to_string();
    assert!(error.contains("reshape"), "{error}");
    assert!(t.columns(x, D, 0).is_ok() && t.rows(x, N, 0).is_ok());
}

#[test]
fn a_value_that_is_two_operands_needs_both_gradients() {
    // Its part as logits is not all of it.
    let error = refused(&|t| {
        let z = t.param("z", [N, 1], NORMAL)?;
        let rows = t.bce_with_logits(z, z, None)?;
        t.sum(rows)
    });
    assert!(error.contains("`z`") && error.contains("`weight`"), "{error}");
    let error = refused(&|t| {
        let (z, w) = (t.param("z", [N, 1], NORMAL)?, t.constant(&[0.5; N], N, 1)?);
        let rows = t.bce_with_logits(z, w, Some(z))?;
        t.sum(rows)
    });
    assert!(error.contains("`z`") && error.contains("`labels`"), "{error}");
}

#[test]
fn what_is_recorded_between_two_parts_has_its_gradient() {
    let parts = |t: &mut Tape, in_parts: bool| -> Result<Var> {
        let w = t.param("w", [N, D], NORMAL)?;
        let first = weighted(t, w, 1)?;
        if in_parts {
            t.accumulate(first)?;
        }
        let h = t.gelu(w)?;
        if in_parts {
            t.next_part(N);
        }
        let (a, b) = (weighted(t, h, 2)?, weighted(t, w, 3)?);
        let second = t.add(a, b)?;
        if in_parts { Ok(second) } else { t.add(first, second) }
    };
    let mut tape = Tape::new();
    let second = parts(&mut tape, true).unwrap();
    tape.backward(second).unwrap();
    hold_tape("a value between two parts", &tape, &|t| parts(t, false));
}

#[test]
fn after_a_failure_half_way_there_is_no_gradient() {
    let mut t = Tape::new();
    let (a, c) = (t.param("a", [N, D], NORMAL).unwrap(), t.param("c", [N, D], NORMAL).unwrap());
    let first = weighted(&mut t, a, 1).unwrap();
    t.accumulate(first).unwrap();
    t.next_part(N);
    let second = weighted(&mut t, a, 2).unwrap();
    assert!(t.backward(second).unwrap_err().to_string().contains("`c` does not reach the loss"));
    let third = weighted(&mut t, c, 3).unwrap();
    for error in
        [t.backward(third).unwrap_err(), t.accumulate(third).unwrap_err(), t.optimize(&Optimizer::sgd()).unwrap_err()]
    {
        assert!(error.to_string().contains("record the tape anew"), "{error}");
    }
}

#[test]
fn a_view_of_a_state_that_is_written_later_is_refused() {
    let error = refused(&|t| {
        let w = t.param("w", [N, D], NORMAL)?;
        let (state, _) = t.queue("queue", w, 1)?;
        let view = t.rows(state, 0, 2)?;
        t.queue_push(state, w)?;
        let y = t.gelu(view)?;
        let (y, own) = (weighted(t, y, 1)?, weighted(t, w, 2)?);
        t.add(y, own)
    });
    assert!(error.contains("`queue`") && error.contains("stop_gradient"), "{error}");
}
