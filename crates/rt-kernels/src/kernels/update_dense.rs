//! Updates of dense parameters, all of them in one arena.

use super::EmaDecay;
use crate::parallel::pieces;
use crate::simd::vectorize;
use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

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
    /// `m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= lr (m bias1) / (sqrt(v bias2) + eps)` (Kingma and Ba 2015).
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
/// place, all without gaps. Decoupled decay first: `w -= lr * weight_decay * w` (Loshchilov and Hutter 2019). Rates and
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
        let g = &io.read(0).f32()[..self.n];
        let w = &mut io.write(0).into_f32()[..self.n];
        let (lr, bias1, bias2) = (io.step.lr, io.step.bias1, io.step.bias2);
        let keep = 1.0 - lr * self.weight_decay;
        let (first, second) = (io.write_opt(1), io.write_opt(2));
        match (self.rule, first, second) {
            (DenseRule::Sgd, ..) => {
                pieces([w, &mut [], &mut []], g, CHUNK, &|[w, ..], g| {
                    vectorize(
                        #[inline(always)]
                        || {
                            for (w, g) in w.iter_mut().zip(g) {
                                *w = *w * keep - lr * g;
                            }
                        },
                    );
                });
            }
            (DenseRule::Adagrad { eps }, Some(a), _) => {
                let a = &mut a.into_f32()[..self.n];
                pieces([w, a, &mut []], g, CHUNK, &|[w, a, _], g| {
                    vectorize(
                        #[inline(always)]
                        || {
                            for ((w, a), g) in w.iter_mut().zip(a).zip(g) {
                                *a += g * g;
                                *w = *w * keep - lr * g / (a.sqrt() + eps);
                            }
                        },
                    );
                });
            }
            (DenseRule::Adam { beta1, beta2, eps }, Some(m), Some(v)) => {
                let (m, v) = (&mut m.into_f32()[..self.n], &mut v.into_f32()[..self.n]);
                pieces([w, m, v], g, CHUNK, &|[w, m, v], g| {
                    vectorize(
                        #[inline(always)]
                        || {
                            for (((w, m), v), g) in w.iter_mut().zip(m).zip(v).zip(g) {
                                *m = beta1 * *m + (1.0 - beta1) * g;
                                *v = beta2 * *v + (1.0 - beta2) * (g * g);
                                *w = *w * keep - lr * (*m * bias1) / ((*v * bias2).sqrt() + eps);
                            }
                        },
                    );
                });
            }
            // The signature asks for the states that a rule needs.
            (DenseRule::Adagrad { .. } | DenseRule::Adam { .. }, ..) => {
                unreachable!("checked against the signature")
            }
        }
        let (Some(decay), Some(average)) = (self.average, io.write_opt(3)) else { return };
        let stays = decay.at(io.step.step);
        pieces([&mut average.into_f32()[..self.n], &mut [], &mut []], w, CHUNK, &|[average, ..], w| {
            vectorize(
                #[inline(always)]
                || {
                    for (average, w) in average.iter_mut().zip(w) {
                        *average = w + stays * (*average - w);
                    }
                },
            );
        });
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
        params.extend(operands.reads.iter().chain(&operands.writes).map(|o| o.map_or(0, |o| o.offset as u32)));
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
