//! Updates of dense parameters, all of them in one arena.

use super::EmaDecay;
use super::cells::places;
use crate::parallel::pieces;
use crate::simd::vectorize;
use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, MatMut, Operands, Signature, Slot, Step};

/// How a dense parameter follows its gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DenseRule {
    /// `w -= lr g`.
    Sgd,
    /// `a += g^2; w -= lr g / (sqrt(a) + eps)` (Duchi et al. 2011).
    Adagrad {
        /// Keeps the quotient finite.
        eps: f32,
    },
    /// `m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= lr (m bias1) / (sqrt(v bias2) + eps)`: Algorithm 1 of Kingma and Ba
    /// (ICLR 2015), as torch's `Adam`.
    Adam {
        /// Decay of the mean.
        beta1: f32,
        /// Decay of the mean square.
        beta2: f32,
        /// Keeps the quotient finite.
        eps: f32,
    },
}

/// The rule applied to n parameters: grads `[n, 1]`; params, state1 (Adagrad's a, Adam's m), state2 (Adam's v) `[n, 1]` in
/// place. Decoupled decay first: `w -= lr * weight_decay * w` (Loshchilov and Hutter 2019), and at
/// most all of w: a larger decay would turn it over and let it grow. Rates and
/// bias corrections come with the step. Where an average is kept, average `[n, 1]` in place follows last:
/// `average = w + d_s (average - w)` ([`EmaDecay::at`]). Moves up to `9 n` words.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateDense {
    /// The rule.
    pub rule: DenseRule,
    /// Parameters.
    pub n: usize,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// What stays of the parameters' average, where one is kept.
    pub average: Option<EmaDecay>,
}

impl UpdateDense {
    fn states(&self) -> usize {
        match self.rule {
            DenseRule::Sgd => 0,
            DenseRule::Adagrad { .. } => 1,
            DenseRule::Adam { .. } => 2,
        }
    }

    /// The rule on some parameters that lie side by side; states that it does not have are empty.
    fn update(&self, step: &Step, [w, one, two]: [&mut [f32]; 3], g: &[f32]) {
        let (lr, bias1, bias2) = (step.lr, step.bias1, step.bias2);
        let keep = (1.0 - lr * self.weight_decay).max(0.0);
        match self.rule {
            DenseRule::Sgd => vectorize(
                #[inline(always)]
                || {
                    for (w, g) in w.iter_mut().zip(g) {
                        *w = *w * keep - lr * g;
                    }
                },
            ),
            DenseRule::Adagrad { eps } => vectorize(
                #[inline(always)]
                || {
                    for ((w, a), g) in w.iter_mut().zip(one).zip(g) {
                        *a += g * g;
                        *w = *w * keep - lr * g / (a.sqrt() + eps);
                    }
                },
            ),
            DenseRule::Adam { beta1, beta2, eps } => vectorize(
                #[inline(always)]
                || {
                    for (((w, m), v), g) in w.iter_mut().zip(one).zip(two).zip(g) {
                        *m = beta1 * *m + (1.0 - beta1) * g;
                        *v = beta2 * *v + (1.0 - beta2) * (g * g);
                        *w = *w * keep - lr * (*m * bias1) / ((*v * bias2).sqrt() + eps);
                    }
                },
            ),
        }
    }
}

/// Updates the average, if one is kept.
fn keep_average(stays: Option<f32>, average: &mut [f32], w: &[f32]) {
    let Some(stays) = stays else { return };
    vectorize(
        #[inline(always)]
        || {
            for (average, w) in average.iter_mut().zip(w) {
                *average = w + stays * (*average - w);
            }
        },
    );
}

/// Parameters that a thread takes at a time.
const CHUNK: usize = 16_384;

impl Kernel for UpdateDense {
    fn name(&self) -> &'static str {
        match self.rule {
            DenseRule::Sgd => "update_dense_sgd",
            DenseRule::Adagrad { .. } => "update_dense_adagrad",
            DenseRule::Adam { .. } => "update_dense_adam",
        }
    }

    fn signature(&self) -> Signature {
        let state = |name, needed: bool| {
            let slot = Slot::f32(name, self.n, 1).in_place();
            if needed { slot } else { slot.optional() }
        };
        Signature {
            reads: vec![Slot::f32("grads", self.n, 1)],
            writes: vec![
                state("params", true),
                state("state1", self.states() > 0),
                state("state2", self.states() > 1),
                state("average", self.average.is_some()),
            ],
        }
    }

    fn cost(&self) -> Cost {
        let average = usize::from(self.average.is_some());
        let (words, flops) = (3 + 2 * self.states() + 2 * average, 2 + 5 * self.states() + 3 * average);
        Cost { bytes: 4.0 * words as f64 * self.n as f64, flops: flops as f64 * self.n as f64 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (g, step, stays) = (io.read(0), *io.step, self.average.map(|decay| decay.at(io.step.step)));
        let mut writes = [0, 1, 2, 3].map(|i| io.write_opt(i));
        if !g.is_dense() || writes.iter().flatten().any(|m| !m.is_dense()) {
            for r in 0..self.n {
                let [w, one, two, average] = writes.each_mut().map(|m| m.as_mut().map_or(&mut [][..], |m| m.row(r)));
                self.update(&step, [&mut *w, one, two], g.row(r));
                keep_average(stays, average, w);
            }
            return;
        }
        let [w, one, two, average] = writes.map(|m| m.map_or(&mut [][..], MatMut::into_f32));
        pieces([&mut *w, one, two], g.f32(), CHUNK, &|writes, g| self.update(&step, writes, g));
        pieces([average, &mut [], &mut []], w, CHUNK, &|[average, ..], w| keep_average(stays, average, w));
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let (rule, a, b, eps) = match self.rule {
            DenseRule::Sgd => (0, 0.0, 0.0, 0.0),
            DenseRule::Adagrad { eps } => (1, 0.0, 0.0, eps),
            DenseRule::Adam { beta1, beta2, eps } => (2, beta1, beta2, eps),
        };
        let mut params = vec![self.n as u32];
        params.extend([a, b, eps, self.weight_decay].map(f32::to_bits));
        params.extend(self.average.map_or([0; 3], |decay| decay.words()));
        params.extend(places(&operands.reads).chain(places(&operands.writes)));
        let mut bindings = vec![Binding::read(operands.reads[0])];
        bindings.extend(operands.writes.iter().map(|o| Binding::write(*o)));
        vec![Dispatch {
            shader: "update_dense",
            constants: vec![("RULE", f64::from(rule)), ("AVERAGE", f64::from(self.average.is_some()))],
            params,
            step: true,
            bindings,
            workgroups: self.n.div_ceil(64),
            iterations: 0,
        }]
    }
}
