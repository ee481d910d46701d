//! Layer normalisation (Ba, Kiros, Hinton 2016): rows with mean 0 and variance 1, then a gain and a bias a column.

use super::{Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::{ColumnSum, LayerNorm, LayerNormBackward, NORM_EPS};

#[derive(Debug, Clone)]
pub(crate) struct LayerNormOp {
    x: Var,
    gain: Var,
    bias: Var,
    y: Var,
    stats: Var,
}

impl Tape {
    /// Records layer normalisation of `x` `[n, cols]` with `gain` and `bias` `[1, cols]`.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit.
    pub fn layer_norm(&mut self, x: Var, gain: Var, bias: Var) -> Result<Var> {
        let [rows, dim] = self.shape(x);
        let (y, stats) = (self.temp(rows, dim), self.temp(rows, 2));
        let op = Op::LayerNorm(LayerNormOp { x, gain, bias, y, stats });
        let reads = vec![Some(x), Some(gain), Some(bias)];
        self.push(LayerNorm { rows, dim }, reads, vec![Some(y), Some(stats)], Some(op))?;
        Ok(y)
    }
}

impl LayerNormOp {
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, needs: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let dy = tape.grad_var(out, self.y)?;
        let [rows, cols] = tape.shape(self.x);
        let dx = tape.temp(rows, cols);
        let cells = needs(self.gain).then(|| tape.temp(rows, cols));
        let reads = vec![Some(self.x), Some(self.stats), Some(self.gain), Some(dy)];
        tape.push(LayerNormBackward { rows, dim: cols }, reads, vec![Some(dx), cells], None)?;
        let sums = [(self.gain, cells), (self.bias, needs(self.bias).then_some(dy))];
        for (parameter, cells) in sums.into_iter().filter_map(|(p, cells)| Some((p, cells?))) {
            let sum = tape.temp(1, cols);
            tape.push(ColumnSum { rows, cols }, vec![Some(cells)], vec![Some(sum)], None)?;
            grads.add(parameter, Grad::Dense(sum));
        }
        if needs(self.x) {
            grads.add(self.x, Grad::Dense(dx));
        }
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let cols = env.shape(self.x)[1];
        let (gain, bias) = (env.f(self.gain), env.f(self.bias));
        let row = |x: &[f64]| {
            let mean = x.iter().sum::<f64>() / cols as f64;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / cols as f64;
            let rstd = 1.0 / (variance + f64::from(NORM_EPS)).sqrt();
            x.iter().enumerate().map(|(c, x)| gain[c] * (x - mean) * rstd + bias[c]).collect::<Vec<_>>()
        };
        env.f(self.x).chunks(cols).flat_map(row).collect()
    }
}
