//! A last, partial batch is padded with weight zero, and the padding changes nothing.

use super::{LOSSES, config, data};
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
        assert!((loss_a - loss_b).abs() <= 1e-5 * loss_a.abs(), "{kind:?} {settings:?}: {loss_a} and {loss_b}");
        for p in a.store().params().list() {
            let (x, y) = (a.store().get(&p.name).unwrap(), b.store().get(&p.name).unwrap());
            let start = p.initial(9, a.store().params().find(&p.name).unwrap());
            for (i, (x, y)) in x.iter().zip(&y).enumerate() {
                // Adam's first step is lr * sign(g): where g is nearly zero its sign is rounding, so small moves count less.
                let moved = (x - start[i]).abs().max((y - start[i]).abs());
                assert!(
                    (x - y).abs() <= 2e-5 + 0.05 * moved || moved < 1e-3,
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
