//! Candidates held against plain loops.

use super::{Pool, items_to_users, learned_temperature, shares};
use crate::config::{Config, ModelKind};
use crate::losses;
use crate::schema::Schema;
use crate::towers::Towers;
use approx::{abs_diff_eq, assert_abs_diff_eq};
use rt_data::{SplitKind, SplitOptions, Synthetic, split};
use rt_tensor::{Device, Init, Negatives, Optimizer, PositiveVar, SoftmaxSpec, Step, Store, Tape};
use std::sync::Arc;

#[test]
fn the_way_back_leaves_out_padding_and_users_with_the_same_target() {
    let (targets, valid) = ([4u32, 2, 4, 1, 0], 4);
    let weights = [0.3f32, 0.1, 0.4, 0.2, 0.0];
    let mut tape = Tape::new();
    let users = tape.param("users", [5, 3], Init::Normal(1.0)).unwrap();
    let items = tape.param("items", [5, 3], Init::Normal(1.0)).unwrap();
    let weight = tape.constant(&weights, 5, 1).unwrap();
    let target = tape.constant_ids(&targets, 5, 1).unwrap();
    let spec = SoftmaxSpec {
        users,
        weight,
        candidates: Negatives { vectors: items, logq: None, ids: None },
        positive: PositiveVar::Diagonal,
        mask_hits: None,
        scale: 2.0,
        correct_positive: false,
        smoothing: 0.0,
        mask: None,
    };
    let rows = items_to_users(&mut tape, &spec, items, target).unwrap();
    tape.output("rows", rows);
    let store = Store::new(&Device::cpu(1).unwrap(), tape.params(), 7).unwrap();
    let mut program = tape.compile(&store).unwrap();
    program.run(&Step::new(1, 1, 0, valid as u32)).unwrap();
    let (u, v) = (store.get("users").unwrap(), store.get("items").unwrap());
    let z = |i: usize, j: usize| (0..3).map(|c| 2.0 * f64::from(v[i * 3 + c]) * f64::from(u[j * 3 + c])).sum::<f64>();
    for (i, got) in program.read_f32("rows").unwrap().into_iter().enumerate() {
        let left = (0..valid).filter(|j| *j == i || targets[*j] != targets[i]);
        let want = f64::from(weights[i]) * (left.map(|j| z(i, j).exp()).sum::<f64>().ln() - z(i, i));
        let want = if i < valid { want } else { 0.0 };
        assert!(abs_diff_eq!(f64::from(got), want, epsilon = 1e-5), "row {i}: {got} and {want}");
    }
}

#[test]
fn shares_sum_to_one_and_leave_row_0_out() {
    let shares = shares(vec![5.0, 0.0, 1.5, 2.0]);
    assert_eq!(shares, [0.0, 0.0, 3.0 / 7.0, 4.0 / 7.0]);
}

#[test]
fn a_pool_is_the_batch_then_draws_then_the_queue() {
    const B: usize = 5;
    let (data, _) = Synthetic::parse("synthetic:users=12,items=20,events=8").unwrap().generate();
    let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    let mut config = Config::new(ModelKind::Dssm);
    for pair in ["batch=5", "dim=4", "mixed=3", "queue=2", "dropout=0", "item_hidden=6"] {
        config.set_pair(pair).unwrap();
    }
    let config = config.resolve(&data, &split).unwrap();
    let schema = Schema::new(&config, &data, false, 0).of_training(&data, &split);
    let mut tape = Tape::new();
    let target = tape.input_ids("target", B, 1);
    let mut towers =
        Towers { config: &config, schema: &schema, training: true, draws: 0, built: crate::blocks::Built::default() };
    let pool = Pool::new(&mut tape, &mut towers, target).unwrap();
    pool.keep(&mut tape, target).unwrap();
    for (name, v) in
        [("ids", pool.ids()), ("vectors", pool.candidates.vectors), ("logq", pool.candidates.logq.unwrap())]
    {
        tape.output(name, v);
    }
    let store = Store::new(&Device::cpu(1).unwrap(), tape.params(), 7).unwrap();
    let trained: Vec<bool> = split.train_end.iter().zip(&data.user_start).map(|(e, s)| e > s).collect();
    schema.upload(&store, &data, &trained).unwrap();
    losses::upload(&store, &config, &schema, &Arc::new(data), &split).unwrap();
    let mut program = tape.compile(&store).unwrap();
    let batches = [[1u32, 2, 3, 4, 0], [5, 6, 7, 8, 9], [3, 3, 11, 12, 13], [1, 1, 1, 1, 1]];
    let mut vectors: Vec<Vec<f32>> = Vec::new();
    for (t, batch) in batches.iter().enumerate() {
        program.write_u32("target", batch).unwrap();
        program.run(&Step::new(t as u32 + 1, 9, 0, if t == 0 { 4 } else { 5 })).unwrap();
        let (ids, now, logq) =
            (program.read_u32("ids").unwrap(), program.read_f32("vectors").unwrap(), program.read_f32("logq").unwrap());
        assert_eq!(ids[..B], *batch);
        assert!(ids[B..B + 3].iter().all(|id| (1..=20).contains(id)), "{ids:?}");
        assert!(logq[B..B + 3].iter().all(|q| q.abs() < 10.0), "{logq:?}");
        for slot in 0..2 {
            // Slot s holds the newest earlier batch whose number leaves remainder s.
            let held = (0..t).rev().find(|earlier| earlier % 2 == slot);
            let at = B + 3 + slot * B;
            assert_eq!(ids[at..at + B], held.map_or([0; B], |h| batches[h]), "step {t}, slot {slot}");
            for (k, id) in ids[at..at + B].iter().enumerate() {
                assert_eq!(logq[at + k] >= 1e29, *id == 0, "step {t}: {logq:?}");
            }
            if let Some(h) = held {
                assert_eq!(now[at * 4..(at + B) * 4], vectors[h][..B * 4], "step {t}, slot {slot}");
            }
        }
        vectors.push(now);
    }
}

#[test]
fn a_learned_scale_stops_at_its_limit() {
    let mut config = Config::new(ModelKind::Dssm);
    config.set_pair("learn_temperature=true").unwrap();
    config.set_pair("temperature=0.02").unwrap();
    // The loss is minus the sum of the scaled ones: it falls as the scale grows.
    let run = |limited: bool| {
        let mut tape = Tape::new();
        let ones = tape.constant(&[1.0; 6], 3, 2).unwrap();
        let minus = tape.constant(&[-1.0; 6], 3, 2).unwrap();
        let (scaled, factor) = super::scaled(&mut tape, &config, ones).unwrap();
        assert_eq!(factor, 1.0, "the vectors are scaled already");
        let rows = tape.group_dot(scaled, minus, 1.0).unwrap();
        let loss = tape.sum(rows).unwrap();
        tape.backward(loss).unwrap();
        tape.optimize(&Optimizer::sgd()).unwrap();
        if limited {
            super::limit(&mut tape, &config).unwrap();
        }
        let store = Store::new(&Device::cpu(1).unwrap(), tape.params(), 7).unwrap();
        assert_abs_diff_eq!(learned_temperature(&store).unwrap().unwrap(), 0.02, epsilon = 1e-6);
        tape.compile(&store).unwrap().run(&Step::new(1, 1, 0, 3).with_rates(0.01, 0.01, 0.0, 0.0)).unwrap();
        learned_temperature(&store).unwrap().unwrap()
    };
    assert!(abs_diff_eq!(run(true), 0.01, epsilon = 1e-6), "{}", run(true));
    assert!(run(false) < 0.005, "{}", run(false));
}
