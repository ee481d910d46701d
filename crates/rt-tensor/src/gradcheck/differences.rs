//! Central differences of the f64 reference, each with how far it may be off itself.

use super::measure::Recorded;
use crate::reference::{Env, Floats, Plan};
use crate::tape::{Tape, Var};
use rt_kernels::Step;

/// The derivative of the loss by one cell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Difference {
    pub cell: usize,
    pub value: f64,
    /// How far it may be off: what two widths say apart, and the rounding of the loss over the width.
    pub error: f64,
    /// Do two widths come to one value? They do not on a kink.
    pub settled: bool,
}

/// The reference at the parameters as they are.
pub(super) struct Reference<'a> {
    tape: &'a Tape,
    step: &'a Step,
    plan: &'a Plan,
    recorded: &'a Recorded,
    pub values: Floats,
    /// The largest value of the pass, and 1 at least: what the loss is rounded by.
    pub size: f64,
}

/// Widths of the differences, for a cell about one. The second and third are for cells next to a kink.
const WIDTHS: [f64; 3] = [1e-5, 1e-6, 1e-7];
/// Two widths that differ by more than this share lie across a kink.
const SETTLED: f64 = 1e-5;

impl<'a> Reference<'a> {
    pub(super) fn new(tape: &'a Tape, step: &'a Step, plan: &'a Plan, recorded: &'a Recorded) -> crate::Result<Self> {
        let values = Env::new(tape, step, plan, &recorded.given, &recorded.ints).compute_all()?;
        let size = values.values().flatten().map(|x| x.abs()).filter(|x| x.is_finite()).fold(1.0, f64::max);
        Ok(Self { tape, step, plan, recorded, values, size })
    }

    /// The derivatives by these cells of a parameter.
    pub(super) fn differences(&self, v: Var, cells: &[usize]) -> Vec<Difference> {
        let behind = self.plan.behind(self.tape, v);
        let at = &self.recorded.given[&v];
        let loss = |cell: usize, x: f64| {
            let mut moved = at.clone();
            moved[cell] = x;
            let env = Env::new(self.tape, self.step, self.plan, &self.recorded.given, &self.recorded.ints);
            let mut env = env.moved(&self.values, v, moved);
            env.compute(behind.iter().copied());
            env.loss()
        };
        cells.iter().map(|&cell| self.settle(cell, at[cell], &|x| loss(cell, x))).collect()
    }

    /// The difference of the first width at which half of it says the same, else the best of them.
    fn settle(&self, cell: usize, x: f64, loss: &dyn Fn(f64) -> f64) -> Difference {
        let mut best = Difference { cell, value: f64::NAN, error: f64::INFINITY, settled: false };
        for width in WIDTHS {
            let h = width * x.abs().max(1.0);
            let central = |h: f64| (loss(x + h) - loss(x - h)) / (2.0 * h);
            let (value, half) = (central(h), central(h / 2.0));
            let rounding = 8.0 * f64::EPSILON * self.size / h;
            let apart = (value - half).abs();
            if !value.is_finite() || !half.is_finite() {
                return Difference { cell, value: f64::NAN, error: f64::INFINITY, settled: true };
            }
            let settled = apart <= SETTLED * value.abs() + rounding;
            if settled || apart + rounding < best.error {
                best = Difference { cell, value: half, error: apart + rounding, settled };
            }
            if settled {
                break;
            }
        }
        best
    }
}
