//! Maxima of columns over history positions, for one or several windows.

use super::{Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::{MaxPool, MaxPoolBackward};

#[derive(Debug, Clone)]
pub(crate) struct MaxPoolOp {
    x: Var,
    ids: Var,
    y: Var,
    place: Var,
    windows: Vec<usize>,
    zones: bool,
}

impl Tape {
    /// Records, for each window w of each of `rows` rows, the largest value of each column of `x` `[rows * history, dim]` over
    /// the positions k < `windows[w]` (of zones: from `windows[w - 1]` on) whose id in `ids` `[rows * history, 1]` is not 0:
    /// `[rows, windows * dim]`, 0 where there is none. The gradient goes to the maximum, of equal ones to the newest.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] for windows that are not ascending from 1, and for operands of wrong shape or type.
    pub fn max_pool(&mut self, x: Var, ids: Var, rows: usize, windows: &[usize], zones: bool) -> Result<Var> {
        super::bag::check_windows("max_pool", windows)?;
        let [total, dim] = self.shape(x);
        let history = super::history::positions("max_pool", total, rows)?;
        let cols = windows.len() * dim;
        let (y, place) = (self.temp(rows, cols), self.temp_ids(rows, cols));
        let op = Op::MaxPool(MaxPoolOp { x, ids, y, place, windows: windows.to_vec(), zones });
        let kernel = MaxPool { rows, history, dim, windows: windows.to_vec(), zones };
        self.push(kernel, vec![Some(x), Some(ids)], vec![Some(y), Some(place)], Some(op))?;
        Ok(y)
    }
}

impl MaxPoolOp {
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, _: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let dy = tape.grad_var(out, self.y)?;
        let ([total, dim], rows) = (tape.shape(self.x), tape.shape(self.y)[0]);
        let dx = tape.temp(total, dim);
        let kernel = MaxPoolBackward { rows, history: total / rows, dim, windows: self.windows.len() };
        tape.push(kernel, vec![Some(self.place), Some(dy)], vec![Some(dx)], None)?;
        grads.add(self.x, Grad::Dense(dx));
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let ([total, dim], rows) = (env.shape(self.x), env.shape(self.y)[0]);
        let (history, x, ids) = (total / rows, env.f(self.x), env.u(self.ids));
        let mut out = Vec::new();
        for i in 0..rows {
            for (w, end) in self.windows.iter().enumerate() {
                let first = if self.zones && w > 0 { self.windows[w - 1] } else { 0 };
                for c in 0..dim {
                    let kept = (first..history.min(*end)).map(|k| i * history + k).filter(|at| ids[*at] != 0);
                    out.push(kept.map(|at| x[at * dim + c]).reduce(f64::max).unwrap_or(0.0));
                }
            }
        }
        out
    }
}
