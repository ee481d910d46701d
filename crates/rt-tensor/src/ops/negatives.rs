//! Further nodes that make negatives and weights on the device: no gradient flows through them.

use super::dropout::threshold;
use crate::Result;
use crate::tape::{Kind, Tape, Var};
use rt_kernels::kernels::{DrawUnseen, Frequency, KeepMined};
use rt_kernels::{Dtype, philox};

/// What negatives of a row's own are drawn from, and what must not be drawn.
#[derive(Debug, Clone, Copy)]
pub struct UnseenSpec {
    /// Users `[n, 1]`.
    pub user: Var,
    /// Targets `[n, 1]`.
    pub target: Var,
    /// Items of all users, each user's ascending `[any, 1]`.
    pub list: Var,
    /// Each user's (start, length) in the list `[users, 2]`.
    pub slices: Var,
    /// Threshold and alias of the alias table; none for uniform draws.
    pub alias: Option<(Var, Var)>,
    /// Number of ids, from 1 on.
    pub count: u32,
    /// Draws of a row.
    pub k: usize,
}

impl UnseenSpec {
    /// Draws for an id before it is given up.
    pub const TRIES: u32 = 8;
}

impl Tape {
    /// Records `k` draws a row that are neither its target nor in its user's list, `[n, k]`. A draw that hits is drawn
    /// anew up to 8 times, then the target takes its place, for the loss to mask.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] for an empty range, if the shapes do not fit, or if a list of constants does not ascend. Lists
    /// that the host writes are looked at before the next run, which is [`crate::Error::Data`] then.
    pub fn draw_unseen(&mut self, spec: &UnseenSpec, number: u32) -> Result<Var> {
        let UnseenSpec { user, target, list, slices, alias, count, k } = *spec;
        if count == 0 {
            return Err(crate::error::shape("draw_unseen", "no ids to draw from"));
        }
        let user = self.ids_below("draw_unseen", "users", user, self.shape(slices)[0], u32::MAX)?;
        let slices = self.slices_within("draw_unseen", slices, self.shape(list)[0])?;
        self.lists_ascend("draw_unseen", slices, list)?;
        let rows = self.shape(user)[0];
        let ids = self.temp_ids(rows, k);
        let kernel = DrawUnseen {
            rows,
            k,
            count,
            tries: UnseenSpec::TRIES,
            stream: self.stream(philox::stream::NEGATIVES, number),
        };
        let tables = [alias.map(|a| a.0), alias.map(|a| a.1)];
        let reads = [Some(user), Some(target), Some(list), Some(slices)].into_iter().chain(tables).collect();
        self.push(kernel, reads, vec![Some(ids)], None)?;
        Ok(ids)
    }

    /// Records which mined negatives `[n, m]` a step takes: each with probability `p`; in place of the others, and of
    /// zeros, stands the row's target, for the loss to mask. `[n, m]`.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit.
    pub fn keep_mined(&mut self, mined: Var, target: Var, p: f32, number: u32) -> Result<Var> {
        let [rows, n] = self.shape(mined);
        let out = self.temp_ids(rows, n);
        let kernel =
            KeepMined { rows, n, threshold: threshold(p), stream: self.stream(philox::stream::NEGATIVES, number) };
        self.push(kernel, vec![Some(mined), Some(target)], vec![Some(out)], None)?;
        Ok(out)
    }

    /// Records ln of the probability that a batch holds each id, estimated from the steps between its batches (Yi et al.
    /// 2019, algorithm 2), and 1e30 (left out) for padding: `[n, 1]`. The state, `[hashes, slots]` twice, stays in the
    /// store as `frequency.last` and `frequency.gap`. `hashed` ids share slots, others have one each.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where `ids` is no column, or without slots or hashes.
    pub fn frequency(&mut self, ids: Var, slots: usize, hashes: usize, hashed: bool, rate: f32) -> Result<Var> {
        if slots == 0 || hashes == 0 {
            return Err(crate::error::shape("frequency", "needs a slot and a hash at least"));
        }
        let ids = if hashed { ids } else { self.ids_below("frequency", "ids", ids, slots, u32::MAX)? };
        let n = self.shape(ids)[0];
        let state = |name: &str| Kind::State { name: format!("frequency.{name}") };
        let last = self.value([hashes, slots], Dtype::F32, state("last"));
        let gap = self.value([hashes, slots], Dtype::F32, state("gap"));
        let out = self.temp(n, 1);
        let kernel = Frequency { n, hashes, slots, hashed, rate };
        self.push(kernel, vec![Some(ids)], vec![Some(last), Some(gap), Some(out)], None)?;
        Ok(out)
    }
}
