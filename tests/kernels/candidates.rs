//! Candidates of several kinds, the queue of earlier batches, and the learned scale.

use rt_kernels::Step;
use rt_kernels::kernels::{CandidateLogQ, ClampTop, QueuePush, ScaleByExp};
use rt_tests::{EPS, LAYS, Want, f, hold, ids, out_f, u, uniform};

#[test]
fn expected_counts_of_targets_draws_and_the_queue() {
    for (what, batch, drawn, queued, first, all) in [
        ("one", 1, 0, 0, 0, 1),
        ("drawn beside the batch", 65, 30, 0, 0, 60),
        ("a queue half full", 33, 0, 130, 0, 33),
        ("all of it, nothing valid", 64, 7, 257, 0, 0),
        ("several workgroups", 200, 100, 400, 0, 123),
        ("the first of two batches", 65, 30, 0, 0, 100),
        ("the second of two batches", 65, 30, 0, 65, 100),
        ("a batch past the examples", 65, 30, 0, 65, 60),
    ] {
        let valid = (all as usize).saturating_sub(first).min(batch);
        let catalogue = 49;
        let table: Vec<f32> = uniform(50, 1).iter().map(|p| 0.03 + p.abs() / 50.0).collect();
        let mut list = ids(batch + drawn, 49, 2);
        list.iter_mut().for_each(|id| *id += 1);
        list.extend(ids(queued, 50, 3).into_iter().map(|id| if id < 25 { 0 } else { id }));
        let filled = list[batch + drawn..].iter().filter(|id| **id != 0).count();
        let (t, d) = (valid as f64 + filled as f64, drawn as f64);
        for corrected in [false, true] {
            let value = |(i, id): (usize, &u32)| {
                let padding = (i < batch && i >= valid) || (i >= batch + drawn && *id == 0);
                let q = (t * f64::from(table[*id as usize]) + d / catalogue as f64) / (t + d).max(1.0);
                match (padding, corrected) {
                    (true, _) => (1e30, 1e24),
                    (false, false) => (0.0, 0.0),
                    (false, true) => ((q * (t + d - 1.0).max(1.0)).ln(), 1e-5),
                }
            };
            let want = Want::Close(list.iter().enumerate().map(value).collect());
            let n = list.len();
            let step = Step::new(4, 1, 0, all);
            let kernel = CandidateLogQ { batch, drawn, queued, catalogue, corrected, first };
            hold(what, &kernel, &step, LAYS, &[f(&table, 50, 1), u(&list, n, 1)], &[out_f(n, 1)], &[want]);
        }
    }
}

#[test]
fn the_newest_batch_takes_the_place_of_the_oldest() {
    for (what, rows, cols, slots) in
        [("one", 1, 1, 1), ("ids", 65, 1, 3), ("nothing divides", 63, 17, 2), ("threads", 700, 64, 2)]
    {
        for step in [1, 2, 3, 7] {
            let (x, before) = (uniform(rows * cols, 1), uniform(slots * rows * cols, 2));
            let mut after = before.clone();
            after[(step as usize - 1) % slots * rows * cols..][..rows * cols].copy_from_slice(&x);
            let kernel = QueuePush { rows, cols, slots };
            let step = Step::new(step, 1, 0, 1);
            let queue = [f(&before, slots * rows, cols)];
            hold(what, &kernel, &step, LAYS, &[f(&x, rows, cols)], &queue, &[Want::floats(after)]);
        }
    }
}

#[test]
fn a_learned_scale_and_its_limit() {
    for (what, rows, cols) in [("one", 1, 1), ("one over a workgroup", 5, 13), ("threads", 900, 64)] {
        let x = uniform(rows * cols, 1);
        for s in [0.0f32, 2.3, 4.6, -1.0] {
            let factor = f64::from(s).exp();
            let cell = |x: &f32| {
                (factor * f64::from(*x), factor * f64::from(x.abs()) * EPS * (16.0 + 4.0 * f64::from(s.abs())))
            };
            let want = Want::Close(x.iter().map(cell).collect());
            let reads = [f(&x, rows, cols), f(&[s], 1, 1)];
            hold(what, &ScaleByExp { rows, cols }, &Step::default(), LAYS, &reads, &[out_f(rows, cols)], &[want]);
        }
        let want = Want::floats(x.iter().map(|x| x.min(0.25)));
        let kernel = ClampTop { rows, cols, most: 0.25 };
        hold(what, &kernel, &Step::default(), LAYS, &[], &[f(&x, rows, cols)], &[want]);
    }
}
