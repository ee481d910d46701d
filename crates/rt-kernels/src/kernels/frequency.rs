//! How often ids come, estimated while they come (Yi et al., RecSys 2019, algorithm 2).

use super::cells::places;
use super::fit;
use super::negatives::high;
use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot, Target};

/// Keeps the mean number of steps from one batch with an id to the next, and gives ln of its inverse: the probability that
/// a batch holds the id.
///
/// At step t, once for each slot of the first `step.valid` ids: `gap = (1 - rate) gap + rate (t - last)`, `last = t`; where
/// the slot was never seen (last = 0) `gap = t`, so that no starting value has to be forgotten, and where the step was
/// seen already nothing changes. `out_i = -ln max_h gap_h` for i < valid (with several hashes the largest gap is the one
/// least touched by collisions), 1e30 (left out) for padding and for ids past the slots, which have none. Without `hashed` the slot of an id is the id, else a hash
/// of it under each of `hashes` seeds. Steps are counted in f32: exact up to 16.7 M.
///
/// ids `[n, 1]` u32; in place: last, gap `[hashes, slots]`; out `[n, 1]`. Moves `(4 hashes + 2) n` words, most at random.
#[derive(Debug, Clone, PartialEq)]
pub struct Frequency {
    /// Ids of a batch.
    pub n: usize,
    /// Hash functions, each with a row of slots.
    pub hashes: usize,
    /// Slots.
    pub slots: usize,
    /// Are ids hashed to slots?
    pub hashed: bool,
    /// How fast old gaps are forgotten, alpha in the paper.
    pub rate: f32,
}

impl Frequency {
    /// The slot of an id under hash `h`. The mixer is lowbias32 (Wellons 2018).
    #[must_use]
    pub fn slot(&self, id: u32, h: u32) -> u32 {
        if !self.hashed {
            return id;
        }
        let mut x = id.wrapping_mul(0x9E37_79B1).wrapping_add(h.wrapping_mul(0x85EB_CA6B));
        x = (x ^ (x >> 16)).wrapping_mul(0x7FEB_352D);
        x = (x ^ (x >> 15)).wrapping_mul(0x846C_A68B);
        high(x ^ (x >> 16), self.slots as u32)
    }
}

impl Kernel for Frequency {
    fn name(&self) -> &'static str {
        "frequency"
    }

    fn signature(&self) -> Signature {
        let state = |name| Slot::f32(name, self.hashes, self.slots).in_place();
        Signature {
            reads: vec![Slot::u32("ids", self.n, 1)],
            writes: vec![state("last"), state("gap"), Slot::f32("out", self.n, 1)],
        }
    }

    fn mismatch(&self, _: &Operands) -> Option<String> {
        let none = self.n == 0 || self.hashes == 0;
        fit::unless(self.slots > 0 || none, || format!("{} ids in no slot", self.n))
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 4.0 * ((4 * self.hashes + 2) * self.n) as f64, flops: (4 * self.hashes * self.n) as f64 }
    }

    fn scratch(&self, target: Target) -> Vec<usize> {
        if target == Target::Gpu { vec![self.n.saturating_mul(self.hashes)] } else { Vec::new() }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (ids, step) = (io.read(0), io.step);
        let [mut last, mut gap, mut out] = [0, 1, 2].map(|i| io.write(i));
        let t = step.step as f32;
        for i in 0..self.n {
            let past = !self.hashed && ids.id(i) as usize >= self.slots;
            if i >= step.valid as usize || past {
                out.row(i)[0] = 1e30;
                continue;
            }
            let mut largest = 0.0;
            for h in 0..self.hashes {
                let slot = self.slot(ids.id(i), h as u32) as usize;
                let (last, gap) = (&mut last.row(h)[slot], &mut gap.row(h)[slot]);
                if *last == 0.0 {
                    *gap = t;
                } else if *last != t {
                    *gap = (1.0 - self.rate) * *gap + self.rate * (t - *last);
                }
                *last = t;
                largest = if *gap > largest { *gap } else { largest };
            }
            out.row(i)[0] = -largest.ln();
        }
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let made = operands.scratch[0].buffer;
        let ids = operands.read(0);
        let [last, gap, out] = [0, 1, 2].map(|i| operands.write(i));
        let mut params = vec![self.n as u32, self.slots as u32, self.hashes as u32, u32::from(self.hashed)];
        params.push(self.rate.to_bits());
        params.extend(places(&operands.reads));
        params.extend(places(&operands.writes));
        let dispatch = |shader, bindings, invocations: usize| Dispatch {
            shader,
            constants: Vec::new(),
            params: params.clone(),
            step: true,
            bindings,
            workgroups: invocations.div_ceil(64),
            // Who writes looks at all ids before its own.
            iterations: self.n + self.hashes,
        };
        let read = |o: crate::Operand| Binding::Read(o.buffer);
        let estimate = vec![read(ids), read(last), read(gap), Binding::Write(made), Binding::Write(out.buffer)];
        let write = vec![read(ids), Binding::Read(made), Binding::Write(last.buffer), Binding::Write(gap.buffer)];
        vec![dispatch("frequency", estimate, self.n), dispatch("frequency_write", write, self.n * self.hashes)]
    }
}
