//! Reading the exponential averages that an optimiser keeps ([`crate::Optimizer`]'s `average`).

use crate::params::ParamKind;
use crate::{Error, Result, Store};

/// Name of a table's averages in the store.
pub(crate) fn of(table: &str) -> String {
    format!("{table}.average")
}

/// Name of the steps up to which a table's averages are right.
pub(crate) fn last(table: &str) -> String {
    format!("{table}.last")
}

/// Name of the averages of all dense parameters.
pub(crate) fn dense() -> String {
    "dense.average".into()
}

impl Store {
    /// The averages of all parameters after step number `step` (from 1), in the order of [`Params::list`](crate::Params::list):
    /// `(1 - d) sum over t of d^(step - t) w_t / (1 - d^step)`, w_t the values after step t, d the optimiser's `average`. The
    /// parameters themselves stay as they are.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuch`] where no average was kept; device errors.
    pub fn averages(&self, decay: f32, step: u32) -> Result<Vec<Vec<f32>>> {
        let d = f64::from(decay);
        let whole = 1.0 - d.powi(step.try_into().unwrap_or(i32::MAX));
        // `still` steps with the weight w, then the bias correction.
        let settle = |w: f32, e: f32, factor: f64| {
            let (w, e) = (f64::from(w), f64::from(e));
            ((w + factor * (e - w)) / whole) as f32
        };
        let floats =
            |name: &str| -> Result<Vec<f32>> { Ok(self.read(name)?.into_iter().map(f32::from_bits).collect()) };
        let arena = match self.params().dense_words() {
            0 => Vec::new(),
            _ => floats(&dense())?,
        };
        let mut all = Vec::new();
        for p in self.params().list() {
            let weights = self.get(&p.name)?;
            let cols = p.shape[1].max(1);
            all.push(match p.kind {
                ParamKind::Dense => {
                    let kept = arena.get(p.offset..p.offset + weights.len());
                    let kept = kept.ok_or_else(|| Error::NoSuch { what: "average", name: p.name.clone() })?;
                    weights.iter().zip(kept).map(|(w, e)| settle(*w, *e, d)).collect()
                }
                // Running statistics are averages already.
                ParamKind::State => weights,
                ParamKind::Table => {
                    let (kept, last) = (floats(&of(&p.name))?, floats(&last(&p.name))?);
                    let mut values = Vec::with_capacity(weights.len());
                    for ((w, e), last) in weights.chunks(cols).zip(kept.chunks(cols)).zip(&last) {
                        let factor = d.powf(f64::from(step) - f64::from(*last));
                        values.extend(w.iter().zip(e).map(|(w, e)| settle(*w, *e, factor)));
                    }
                    values
                }
            });
        }
        Ok(all)
    }
}
