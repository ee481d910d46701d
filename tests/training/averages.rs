//! Averaged weights: kept lazily on the device, they are what averaging everything after every step gives.

use super::{config, fit};
use rt_models::ModelKind;
use rt_tensor::{Activation, Init, Optimizer, Step, Store, Tape};
use rt_tests::{devices, ids};

#[test]
fn lazy_averages_are_those_of_every_step() {
    const DECAY: f32 = 0.9;
    for device in devices() {
        for optimizer in [Optimizer::adam(), Optimizer::adagrad_rows(), Optimizer::sgd()] {
            let optimizer = Optimizer { average: DECAY, ..optimizer };
            let mut tape = Tape::new();
            let (users, items) = (tape.table("u", 60, 9, Init::Normal(0.3)), tape.table("v", 40, 9, Init::Normal(0.3)));
            let (user, item) = (tape.input_ids("user", 8, 1), tape.input_ids("item", 8, 1));
            let (u, v) = (tape.gather(users.unwrap(), user).unwrap(), tape.gather(items.unwrap(), item).unwrap());
            let w = tape.param("w", [9, 9], Init::Uniform(0.3)).unwrap();
            let u = tape.linear(u, w, None, None, Activation::Tanh).unwrap();
            let z = tape.group_dot(u, v, 1.0).unwrap();
            let weight = tape.constant(&[0.125; 8], 8, 1).unwrap();
            let rows = tape.bce_with_logits(z, weight, None).unwrap();
            let loss = tape.sum(rows).unwrap();
            tape.backward(loss).unwrap();
            tape.optimize(&optimizer).unwrap();
            let store = Store::new(device, tape.params(), 3).unwrap();
            let mut program = tape.compile(&store).unwrap();
            // (1 - d) sum over t of d^(T - t) w_t, with nothing left out.
            let mut sums: Vec<Vec<f64>> = Vec::new();
            for step in 1..=25u32 {
                // Few ids a step: most rows stand still for many steps, some are never touched.
                program.write_u32("user", &ids(8, 50, step.into())).unwrap();
                program.write_u32("item", &ids(8, 30, 100 + u64::from(step))).unwrap();
                program.run(&optimizer.rates(Step::new(step, 3, 0, 8), 0.05, 0.05)).unwrap();
                let now: Vec<Vec<f32>> = tape.params().list().iter().map(|p| store.get(&p.name).unwrap()).collect();
                sums.resize_with(now.len(), Vec::new);
                for (sum, now) in sums.iter_mut().zip(&now) {
                    sum.resize(now.len(), 0.0);
                    for (s, w) in sum.iter_mut().zip(now) {
                        *s = f64::from(DECAY) * *s + (1.0 - f64::from(DECAY)) * f64::from(*w);
                    }
                }
                if [1, 2, 25].contains(&step) {
                    let got = store.averages(DECAY, step).unwrap();
                    let whole = 1.0 - f64::from(DECAY).powi(step as i32);
                    for (p, (got, sum)) in tape.params().list().iter().zip(got.iter().zip(&sums)) {
                        for (i, (g, s)) in got.iter().zip(sum).enumerate() {
                            let off = (f64::from(*g) - s / whole).abs();
                            assert!(off < 2e-5, "{device:?}, step {step}, {} cell {i}: off by {off}", p.name);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn the_saved_weights_are_the_averages_and_training_goes_on_from_the_raw_ones() {
    let device = &devices()[1];
    let epochs = |ema: &str| fit(device, &config(ModelKind::Dssm, &["epochs=3", "patience=9", ema]), 4);
    let ((raw, plain), (averaged, report)) = (epochs("ema=0"), epochs("ema=0.9"));
    // The weights that training works with never see the averages: the losses have the same bits.
    assert_eq!(plain.loss_epochs, report.loss_epochs);
    assert_ne!(raw.sha256().unwrap(), averaged.sha256().unwrap());
    assert_ne!(plain.valid, report.valid);
}
