//! A last, partial batch is padded with weight zero, and the padding changes nothing.

use super::{LOSSES, config, data};
use approx::abs_diff_eq;
use rt_models::{Model, train};
use rt_tests::devices;
use std::ops::ControlFlow;

/// One step over 40 examples, in a batch of 40 and in one of 64, from the same start: the same loss and weights, but for
/// rounding (sums are cut by the batch's shape).
#[test]
fn results_do_not_depend_on_the_padding() {
    let (data, mut split) = data();
    split.examples.truncate(40);
    split.valid.clear();
    for (kind, settings) in LOSSES {
        // Draws are numbered by their place in the batch, so dropout draws alike; own negatives do too.
        let device = &devices()[0];
        let run = |batch: &str| -> (Model, f32) {
            let mut config = config(*kind, settings);
            config.set("batch", batch).unwrap();
            let (model, report) =
                train(device, &config, data.clone(), &split, 9, &mut |_| ControlFlow::Continue(())).unwrap();
            (model, report.loss[0])
        };
        let ((a, loss_a), (b, loss_b)) = (run("40"), run("64"));
        assert!(
            abs_diff_eq!(loss_a, loss_b, epsilon = 1e-5 * loss_a.abs()),
            "{kind:?} {settings:?}: {loss_a} and {loss_b}"
        );
        for p in a.store().params().list() {
            let (x, y) = (a.store().get(&p.name).unwrap(), b.store().get(&p.name).unwrap());
            let start = p.initial(9, a.store().params().find(&p.name).unwrap());
            for (i, (x, y)) in x.iter().zip(&y).enumerate() {
                // Adam's first step is lr * sign(g): where g is nearly zero its sign is rounding, so small moves count less.
                let moved = (x - start[i]).abs().max((y - start[i]).abs());
                assert!(
                    abs_diff_eq!(x, y, epsilon = 2e-5 + 0.05 * moved) || moved < 1e-3,
                    "{kind:?} {settings:?}: {} cell {i}: {x} and {y} from {}",
                    p.name,
                    start[i]
                );
            }
            if p.kind == rt_tensor::ParamKind::Table {
                assert!(x[..p.shape[1]].iter().all(|v| *v == 0.0), "{}: row 0 stays zero", p.name);
            }
        }
    }
}

/// One rule for all ops: a batch has a row, of weight zero if it is padding.
#[test]
fn operands_without_a_cell_are_refused_by_every_op() {
    use rt_tensor::{Activation, BagOptions, Init, Negatives, PositiveVar, SoftmaxSpec, Tape};
    let refused = |what: &str, record: &dyn Fn(&mut Tape, rt_tensor::Var) -> rt_tensor::Result<rt_tensor::Var>| {
        let mut tape = Tape::new();
        let x = tape.input("x", 0, 4);
        let error = record(&mut tape, x).unwrap_err().to_string();
        assert!(error.contains("no cell") || error.contains("[0, 4]"), "{what}: {error}");
    };
    refused("linear", &|t, x| {
        let w = t.param("w", [4, 4], Init::Zeros)?;
        t.linear(x, w, None, None, Activation::None)
    });
    refused("group_dot", &|t, x| t.group_dot(x, x, 1.0));
    refused("add", &|t, x| t.add(x, x));
    refused("l2_normalize", &|t, x| t.l2_normalize(x));
    refused("gather", &|t, x| {
        let (table, ids) = (t.table("t", 9, 4, Init::Zeros)?, t.input_ids("ids", 0, 1));
        t.gather(table, ids)?;
        t.add(x, x)
    });
    refused("bag", &|t, x| {
        let (table, items) = (t.table("t", 9, 4, Init::Zeros)?, t.input_ids("items", 5, 1));
        let slices = t.input_ids("slices", 0, 2);
        let (windows, max_len) = (vec![usize::MAX], 5);
        t.bag(
            table,
            items,
            slices,
            &BagOptions { windows, mean: true, zones: false, max_len, mask: None, hole: None },
        )?;
        t.add(x, x)
    });
    for empty_users in [true, false] {
        refused("softmax_loss", &|t, x| {
            let y = t.input("y", 3, 4);
            let (users, vectors) = if empty_users { (x, y) } else { (y, x) };
            let weight = t.input("weight", if empty_users { 0 } else { 3 }, 1);
            let own = t.input("own", if empty_users { 0 } else { 3 }, 4);
            t.softmax_loss(&SoftmaxSpec {
                users,
                weight,
                candidates: Negatives { vectors, logq: None, ids: None },
                positive: PositiveVar::Own { vectors: own, logq: None },
                mask_hits: None,
                scale: 1.0,
                correct_positive: false,
                smoothing: 0.0,
                mask: None,
            })
        });
    }
}
