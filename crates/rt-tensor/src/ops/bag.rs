//! Embedding bag over slices: sums or means of the rows of the last w items of each slice, for one or several windows.
//!
//! The tutorial's mean-pooled watch history (Covington et al. 2016, section 3.2). Several windows side by side let a
//! tower tell the last item from the last fifty. Backward makes one gradient row for each zone between two windows; the
//! bag's gradient is never copied out per id.

use super::{Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads, RowUse, UseIds};
use crate::reference::Env;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::{Bag, BagBackward, MAX_WINDOWS};

/// What a bag pools, and how.
#[derive(Debug, Clone)]
pub struct BagOptions {
    /// Last items pooled, ascending and distinct; `usize::MAX` as the last one pools the whole slice. The hole is none of them: a
    /// window of 1 whose newest item is the hole holds the item before it.
    pub windows: Vec<usize>,
    /// Mean (true) or sum.
    pub mean: bool,
    /// The zones between the windows' ends side by side, instead of windows that hold each other.
    pub zones: bool,
    /// The longest slice that can occur: of a longer one the newest `max_len` items count, the hole among them, forward and backward.
    pub max_len: usize,
    /// Bits `[rows, words]` of the positions that are kept, the newest first; none keeps all.
    pub mask: Option<Var>,
    /// Index in the items `[rows, 1]` of one that is left out (the target, where a history is a set).
    pub hole: Option<Var>,
}

#[derive(Debug, Clone)]
pub(crate) struct BagOp {
    table: Var,
    items: Var,
    slice: Var,
    out: Var,
    options: BagOptions,
}

impl Tape {
    /// Records the pooling of rows of `table` `[vocab, dim]` over `items[start .. start + len]` for each row (start, len) of
    /// `slice` `[n, 2]`, into `[n, windows * dim]`. Id 0 counts for nothing; an empty bag is zero.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] for windows that are not ascending from 1, and for operands of wrong shape or type.
    pub fn bag(&mut self, table: Var, items: Var, slice: Var, options: &BagOptions) -> Result<Var> {
        self.table_param("bag", table)?;
        let items = self.ids_below("bag", "items", items, self.shape(table)[0], 0)?;
        let slice = self.slices_within("bag", slice, self.shape(items)[0])?;
        let windows = options.windows.clone();
        check_windows("bag", &windows)?;
        let (rows, dim) = (self.shape(slice)[0], self.shape(table)[1]);
        let out = self.temp(rows, windows.len() * dim);
        let (mean, zones) = (options.mean, options.zones);
        let op = Op::Bag(BagOp { table, items, slice, out, options: options.clone() });
        let reads = vec![Some(table), Some(items), Some(slice), options.mask, options.hole];
        self.push(
            Bag { rows, dim, apart: dim, windows, max_len: options.max_len, mean, zones },
            reads,
            vec![Some(out)],
            Some(op),
        )?;
        Ok(out)
    }
}

/// Fails for windows that are not ascending from 1, or too many.
pub(super) fn check_windows(op: &'static str, windows: &[usize]) -> Result<()> {
    if windows.is_empty() || windows[0] == 0 || windows.windows(2).any(|w| w[0] >= w[1]) {
        return Err(crate::error::shape(op, format!("windows {windows:?} have to be ascending, from 1")));
    }
    if windows.len() > MAX_WINDOWS {
        let what = format!("{} windows, at most {MAX_WINDOWS} are pooled side by side", windows.len());
        return Err(crate::error::shape(op, what));
    }
    Ok(())
}

impl BagOp {
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, _: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let d_out = tape.grad_var(out, self.out)?;
        let (rows, [vocab, dim]) = (tape.shape(self.slice)[0], tape.shape(self.table));
        let BagOptions { windows, mean, zones, max_len, mask, hole } = self.options.clone();
        let source = tape.temp(rows * windows.len(), dim);
        let kernel = BagBackward { rows, dim, vocab, windows: windows.clone(), max_len, mean, zones };
        let reads = vec![Some(d_out), Some(self.items), Some(self.slice), mask, hole];
        tape.push(kernel, reads, vec![Some(source)], None)?;
        let ids = UseIds::Bag { items: self.items, slice: self.slice, mask, hole, max_len, windows };
        grads.add_rows(self.table, RowUse { ids, source });
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let dim = env.shape(self.table)[1];
        let (table, items, slice) = (env.f(self.table), env.u(self.items), env.u(self.slice));
        let mut out = Vec::new();
        for (row, s) in slice.chunks(2).enumerate() {
            let (start, len) = (s[0] as usize, s[1] as usize);
            for (y, &window) in self.options.windows.iter().enumerate() {
                let (mut sum, mut count) = (vec![0.0; dim], 0.0f64);
                let first = if self.options.zones && y > 0 { self.options.windows[y - 1] } else { 0 };
                let place = |k: usize| start + len - 1 - k;
                let hole = |k: &usize| self.options.hole.is_some_and(|h| env.u(h)[row] as usize == place(*k));
                let others = (0..len.min(self.options.max_len)).filter(|k| !hole(k));
                for k in others.take(window).skip(first) {
                    let kept = self.options.mask.is_none_or(|m| {
                        let words = env.shape(m)[1];
                        k >= 32 * words || env.u(m)[row * words + k / 32] >> (k % 32) & 1 == 1
                    });
                    let item = items[place(k)] as usize;
                    if kept && item != 0 {
                        count += 1.0;
                        for (s, x) in sum.iter_mut().zip(&table[item * dim..]) {
                            *s += x;
                        }
                    }
                }
                let divisor = if self.options.mean { count.max(1.0) } else { 1.0 };
                out.extend(sum.into_iter().map(|s| s / divisor));
            }
        }
        out
    }
}
