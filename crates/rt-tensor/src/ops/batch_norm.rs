//! Batch normalisation (Ioffe, Szegedy 2015): columns with mean 0 and variance 1 over the step's rows, then a gain and a
//! bias. Rows of weight 0 are padding: they are left out of the statistics.

use super::{Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::params::Init;
use crate::reference::Env;
use crate::tape::{Kind, Tape, Var};
use rt_kernels::kernels::{BatchNorm, BatchNormBackward, BatchNormStats, BatchNormSums, NORM_EPS};

#[derive(Debug, Clone)]
pub(crate) struct BatchNormOp {
    x: Var,
    gain: Var,
    bias: Var,
    /// Weights of the rows and statistics of the step; `None` where running statistics serve, which are constants.
    step: Option<(Var, Var)>,
    mean: Var,
    variance: Var,
    y: Var,
}

/// Share of a step in the running statistics.
const MOMENTUM: f32 = 0.1;

impl Tape {
    /// Records batch normalisation of `x` `[n, cols]` with `gain` and `bias` `[1, cols]`. With the `weight` `[n, 1]` of the
    /// rows, as in training, mean and variance are those of the rows whose weight is above 0, and they move the running
    /// ones by a tenth (the variance of n - 1 there). Without, as at inference, the running ones serve. The running ones
    /// are state of the store, `NAME.mean` and `NAME.variance`, which starts from 0 and 1.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit.
    pub fn batch_norm(&mut self, x: Var, gain: Var, bias: Var, weight: Option<Var>, name: &str) -> Result<Var> {
        let [rows, cols] = self.shape(x);
        let running_mean = self.state(&format!("{name}.mean"), [1, cols], Init::Zeros)?;
        let running_variance = self.state(&format!("{name}.variance"), [1, cols], Init::Constant(1.0))?;
        let (mut mean, mut variance) = (running_mean, running_variance);
        let mut step = None;
        if let Some(weight) = weight {
            let stats = self.temp(3, cols);
            let writes = vec![Some(stats), Some(running_mean), Some(running_variance)];
            let kernel = BatchNormStats { rows, cols, momentum: MOMENTUM };
            self.push(kernel, vec![Some(x), Some(weight)], writes, None)?;
            mean = self.value([1, cols], rt_kernels::Dtype::F32, Kind::View { of: stats, row: 0, col: 0 });
            variance = self.value([1, cols], rt_kernels::Dtype::F32, Kind::View { of: stats, row: 1, col: 0 });
            step = Some((weight, stats));
        }
        let y = self.temp(rows, cols);
        let op = Op::BatchNorm(BatchNormOp { x, gain, bias, step, mean, variance, y });
        let reads = vec![Some(x), Some(mean), Some(variance), Some(gain), Some(bias)];
        self.push(BatchNorm { rows, cols }, reads, vec![Some(y)], Some(op))?;
        Ok(y)
    }
}

impl BatchNormOp {
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, needs: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let Some((weight, stats)) = self.step else {
            let what = "batch_norm: running statistics serve inference; give the rows' weights to train";
            return Err(crate::Error::NoGradient(what.into()));
        };
        let dy = tape.grad_var(out, self.y)?;
        let [rows, cols] = tape.shape(self.x);
        let sums = tape.temp(2, cols);
        let reads = vec![Some(self.x), Some(stats), Some(dy)];
        tape.push(BatchNormSums { rows, cols }, reads, vec![Some(sums)], None)?;
        for (row, parameter) in [(0, self.gain), (1, self.bias)] {
            if needs(parameter) {
                let view = tape.value([1, cols], rt_kernels::Dtype::F32, Kind::View { of: sums, row, col: 0 });
                grads.add(parameter, Grad::Dense(view));
            }
        }
        if needs(self.x) {
            let dx = tape.temp(rows, cols);
            let reads = vec![Some(self.x), Some(weight), Some(dy), Some(stats), Some(self.gain), Some(sums)];
            tape.push(BatchNormBackward { rows, cols }, reads, vec![Some(dx)], None)?;
            grads.add(self.x, Grad::Dense(dx));
        }
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let cols = env.shape(self.x)[1];
        let (x, gain, bias) = (env.f(self.x), env.f(self.gain), env.f(self.bias));
        let (mean, variance) = match self.step {
            Some((weight, _)) => {
                let rows = || x.chunks(cols).zip(env.f(weight)).filter(|(_, w)| **w > 0.0).map(|(row, _)| row);
                let n = rows().count().max(1) as f64;
                let mean: Vec<f64> = (0..cols).map(|c| rows().map(|x| x[c]).sum::<f64>() / n).collect();
                let square = |c: usize| rows().map(|x| (x[c] - mean[c]).powi(2)).sum::<f64>() / n;
                let variance = (0..cols).map(square).collect();
                (mean, variance)
            }
            None => (env.f(self.mean).to_vec(), env.f(self.variance).to_vec()),
        };
        let cell = |(i, x): (usize, &f64)| {
            let c = i % cols;
            gain[c] * (x - mean[c]) / (variance[c] + f64::from(NORM_EPS)).sqrt() + bias[c]
        };
        x.iter().enumerate().map(cell).collect()
    }
}
