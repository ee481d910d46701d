//! Weights of history positions: for each head a softmax over learned scores by position, or over a learned decay with
//! the gap to the newest event.

use super::{Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::{ColumnSum, HistoryWeights, HistoryWeightsBackward};

#[derive(Debug, Clone)]
pub(crate) struct HistoryWeightsOp {
    ids: Var,
    param: Var,
    gaps: Option<Var>,
    w: Var,
    history: usize,
    heads: usize,
}

impl Tape {
    /// Records, for each head h and each of `rows` rows, a softmax over the positions k whose id in `ids`
    /// `[rows * history, 1]` is not 0: `[rows, heads * history]`, 0 elsewhere, and 0 everywhere in a row without kept items.
    ///
    /// The score of a position is `param[0, h * history + k]` (`param` `[1, heads * history]`), or with `gaps`
    /// `[rows, history]` ([`Tape::history_gaps`]) `-exp(param[0, h]) * gaps[i, k]` (`param` `[1, heads]`): weights that fall as
    /// a power of the time that has passed, (1 + hours)^-exp(param).
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit.
    pub fn history_weights(&mut self, ids: Var, rows: usize, param: Var, gaps: Option<Var>) -> Result<Var> {
        let history = super::history::positions("history_weights", self.shape(ids)[0], rows)?;
        let cols = self.shape(param)[1];
        let heads = if gaps.is_some() { cols } else { cols / history };
        let w = self.temp(rows, heads * history);
        let op = Op::HistoryWeights(HistoryWeightsOp { ids, param, gaps, w, history, heads });
        let kernel = HistoryWeights { rows, history, heads, decay: gaps.is_some() };
        self.push(kernel, vec![Some(ids), Some(param), gaps], vec![Some(w)], Some(op))?;
        Ok(w)
    }
}

impl HistoryWeightsOp {
    /// The scores' gradient by row, summed by column.
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, _: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let dw = tape.grad_var(out, self.w)?;
        let rows = tape.shape(self.w)[0];
        let cols = tape.shape(self.param)[1];
        let (cells, dparam) = (tape.temp(rows, cols), tape.temp(1, cols));
        let (history, heads, decay) = (self.history, self.heads, self.gaps.is_some());
        let reads = vec![Some(self.w), Some(dw), Some(self.param).filter(|_| decay), self.gaps];
        let kernel = HistoryWeightsBackward { rows, history, heads, decay };
        tape.push(kernel, reads, vec![Some(cells)], None)?;
        tape.push(ColumnSum { rows, cols }, vec![Some(cells)], vec![Some(dparam)], None)?;
        grads.add(self.param, Grad::Dense(dparam));
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let (rows, history) = (env.shape(self.w)[0], self.history);
        let (ids, param) = (env.u(self.ids), env.f(self.param));
        let mut out = Vec::new();
        for i in 0..rows {
            for h in 0..self.heads {
                let score = |k: usize| match self.gaps {
                    Some(gaps) => -param[h].exp() * env.f(gaps)[i * history + k],
                    None => param[h * history + k],
                };
                let kept = |k: usize| ids[i * history + k] != 0;
                let largest = (0..history).filter(|k| kept(*k)).map(score).fold(f64::MIN, f64::max);
                let part = |k: usize| if kept(k) { (score(k) - largest).exp() } else { 0.0 };
                let sum: f64 = (0..history).map(part).sum();
                out.extend((0..history).map(|k| if sum > 0.0 { part(k) / sum } else { 0.0 }));
            }
        }
        out
    }
}
