//! How often ids come, estimated while they come.

use approx::abs_diff_eq;
use rt_kernels::kernels::Frequency;
use rt_kernels::{Call, Device, Operand, Operands, Program, Step};
use rt_tests::{LAYS, Want, devices, f, hold, ids, u};
use std::sync::Arc;

/// The estimate, as the paper states it, on tables in f64.
fn oracle(k: &Frequency, ids: &[u32], step: &Step, last: &mut [f64], gap: &mut [f64]) -> Vec<f64> {
    let t = f64::from(step.step);
    let valid = &ids[..step.valid as usize];
    for h in 0..k.hashes {
        let mut slots: Vec<usize> = valid.iter().map(|id| h * k.slots + k.slot(*id, h as u32) as usize).collect();
        slots.sort_unstable();
        slots.dedup();
        for s in slots {
            let rate = f64::from(k.rate);
            gap[s] = if last[s] == 0.0 { t } else { (1.0 - rate) * gap[s] + rate * (t - last[s]) };
            last[s] = t;
        }
    }
    let largest = |id: &u32| {
        let gaps = (0..k.hashes).map(|h| gap[h * k.slots + k.slot(*id, h as u32) as usize]);
        gaps.fold(0.0, f64::max)
    };
    let out = |(i, id): (usize, &u32)| if i < valid.len() { -largest(id).ln() } else { f64::from(1e30f32) };
    ids.iter().enumerate().map(out).collect()
}

#[test]
fn one_step_updates_each_slot_once() {
    for (what, n, valid, hashes, slots, hashed) in [
        ("one", 1, 1, 1, 5, false),
        ("padding, repeats", 65, 60, 1, 20, false),
        ("hashed, one over a workgroup", 129, 129, 1, 7, true),
        ("three hashes", 300, 257, 3, 31, true),
        ("none valid", 64, 0, 2, 11, true),
    ] {
        let kernel = Frequency { n, hashes, slots, hashed, rate: 0.1 };
        let list = ids(n, if hashed { 5_000 } else { slots as u32 }, 1);
        // Slots that were never seen (0) and slots that were, at steps up to 49.
        let last: Vec<f32> = ids(hashes * slots, 50, 2).iter().map(|t| *t as f32).collect();
        let gap: Vec<f32> = ids(hashes * slots, 90, 3).iter().map(|g| 1.0 + *g as f32).collect();
        let wide = |v: &[f32]| v.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
        let (mut last_after, mut gap_after) = (wide(&last), wide(&gap));
        let step = Step::new(50, 1, 0, valid);
        let out = oracle(&kernel, &list, &step, &mut last_after, &mut gap_after);
        // A gap of at most 91 after three roundings; its logarithm to 3 units and the gap's own error.
        let writes = [f(&last, hashes, slots), f(&gap, hashes, slots), rt_tests::out_f(n, 1)];
        let want = [Want::within(last_after, 0.0), Want::within(gap_after, 3e-5), Want::within(out, 4e-6)];
        hold(what, &kernel, &step, LAYS, &[u(&list, n, 1)], &writes, &want);
    }
}

/// The kernel with its state on a device, run step after step.
struct Stream {
    program: Program,
    buffers: Vec<rt_kernels::Buffer>,
    device: Device,
}

impl Stream {
    fn new(device: &Device, kernel: Frequency) -> Self {
        let shapes = [[kernel.n, 1], [kernel.hashes, kernel.slots], [kernel.hashes, kernel.slots], [kernel.n, 1]];
        let buffer = |s: &[usize; 2]| device.zeros(None, s[0] * s[1], "stream").unwrap();
        let buffers: Vec<_> = shapes.iter().map(buffer).collect();
        let operand = |i: usize| Some(Operand::dense(i, shapes[i][0], shapes[i][1]));
        let operands =
            Operands { reads: vec![operand(0)], writes: [1, 2, 3].map(operand).to_vec(), scratch: Vec::new() };
        let call = Call { kernel: Arc::new(kernel), operands };
        let program = Program::new(device, buffers.clone(), vec![call]).unwrap();
        Self { program, buffers, device: device.clone() }
    }

    /// One step on a batch; probabilities of its ids.
    fn step(&mut self, t: u32, ids: &[u32]) -> Vec<f32> {
        self.device.write(&self.buffers[0], 0, ids).unwrap();
        self.program.run(&Step::new(t, 1, 0, ids.len() as u32)).unwrap();
        let words = self.device.read_u32(&self.buffers[3]).unwrap();
        words.iter().map(|w| f32::from_bits(*w).exp()).collect()
    }
}

#[test]
fn known_rates_are_found_and_a_change_is_followed() {
    for device in devices() {
        let kernel = Frequency { n: 2, hashes: 1, slots: 8, hashed: false, rate: 0.1 };
        let mut stream = Stream::new(device, kernel);
        // Id 1 comes every 2nd step, id 2 every 50th, id 3 fills. From step 600 on they swap.
        let batch = |t: u32| {
            let (often, seldom) = if t < 600 { (1, 2) } else { (2, 1) };
            let hot = t.is_multiple_of(2).then_some(often);
            let cold = t.is_multiple_of(50).then_some(seldom);
            [hot.unwrap_or(3), cold.unwrap_or(3)]
        };
        let mut last = [0.0; 4];
        let mut run = |range: std::ops::Range<u32>, last: &mut [f32; 4]| {
            for t in range {
                let ids = batch(t);
                for (id, p) in ids.iter().zip(stream.step(t, &ids)) {
                    last[*id as usize] = p;
                }
            }
        };
        run(1..600, &mut last);
        // Gaps are even from the start: nothing of a starting value has to be forgotten.
        assert!(
            abs_diff_eq!(last[1], 0.5, epsilon = 1e-3) && abs_diff_eq!(last[2], 0.02, epsilon = 1e-4),
            "{device:?}: {last:?}"
        );
        assert!(abs_diff_eq!(last[3], 1.0, epsilon = 0.02), "{device:?}: id 3 is in nearly every batch: {last:?}");
        run(600..1_600, &mut last);
        // 500 gaps of 2 at rate 0.1 forget the old one wholly; 19 gaps of 50 (600 to 1,550) leave 0.9^19 = 14 % of 2.
        assert!(abs_diff_eq!(last[2], 0.5, epsilon = 1e-3), "{device:?}: {last:?}");
        let cold = 1.0 / (50.0 - 48.0 * 0.9f32.powi(19));
        assert!(abs_diff_eq!(last[1], cold, epsilon = 2e-3), "{device:?}: {last:?}, expected {cold}");
    }
}

#[test]
fn several_hashes_see_through_collisions() {
    let device = &devices()[0];
    // Two ids that share a slot under the first hash and none under the others.
    let three = Frequency { n: 2, hashes: 3, slots: 16, hashed: true, rate: 0.1 };
    let meets = |a: u32, b: u32, h: u32| three.slot(a, h) == three.slot(b, h);
    let partner = (2..).find(|b| meets(1, *b, 0) && !meets(1, *b, 1) && !meets(1, *b, 2)).unwrap();
    let estimate = |hashes: usize| {
        let mut stream = Stream::new(device, Frequency { hashes, ..three.clone() });
        let mut p = 0.0;
        for t in 1..=400u32 {
            // Id 1 every 20th step, its partner in all the others.
            let ids = if t.is_multiple_of(20) { [1, 1] } else { [partner, partner] };
            let got = stream.step(t, &ids);
            if ids[0] == 1 {
                p = got[0];
            }
        }
        p
    };
    assert!(abs_diff_eq!(estimate(3), 0.05, epsilon = 1e-3), "with three hashes {}", estimate(3));
    assert!(estimate(1) > 0.5, "with one hash the partner's steps count: {}", estimate(1));
}
