//! Candidates of earlier batches that stay on the device, and masks of candidates: no gradient flows through them.

use crate::Result;
use crate::ops::{PositiveVar, SoftmaxSpec};
use crate::tape::{Kind, Tape, Var};
use rt_kernels::kernels::{CandidateLogQ, Copy, HARD_MASK_TILE, HardMask, OwnMask, Positive, QueuePush};

impl Tape {
    /// Records the last `slots` batches of a value `like` `[n, cols]`: gives the state under `name`, and what it holds now,
    /// both `[slots * n, cols]`, zero at first. After [`Tape::queue_push`] later steps see this step's value too; to them it is a
    /// constant.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit.
    pub fn queue(&mut self, name: &str, like: Var, slots: usize) -> Result<(Var, Var)> {
        let ([n, cols], dtype) = (self.shape(like), self.dtype(like));
        let rows = slots * n;
        let state = self.value([rows, cols], dtype, Kind::State { name: name.into() });
        let now = self.value([rows, cols], dtype, Kind::Temp);
        self.push(Copy { rows, cols }, vec![Some(state)], vec![Some(now)], None)?;
        Ok((state, now))
    }

    /// Records that `x` takes the place of the oldest batch in the queue `state`. What depends on parameters goes in through
    /// [`Tape::stop_gradient`], if this step reads the state again.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the queue is not made of batches of this shape.
    pub fn queue_push(&mut self, state: Var, x: Var) -> Result<()> {
        // What readers of the queue rely on holds for what comes into it.
        let x = self.as_kept(state, x)?;
        let ([held, _], [rows, cols]) = (self.shape(state), self.shape(x));
        let slots = held / rows.max(1);
        self.push(QueuePush { rows, cols, slots }, vec![Some(x)], vec![Some(state)], None)
    }

    /// Records ln of how often each candidate is expected among the negatives, where `ids` `[n, 1]` are `batch` targets of the
    /// batch, then items drawn uniformly from `catalogue` items, then `queued` targets of earlier batches; `table` holds the share
    /// of each item among the training targets. 1e30 leaves padding, empty places and ids past the table out; without `corrected` the rest is 0.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit.
    pub fn candidate_logq(
        &mut self,
        table: Var,
        ids: Var,
        (batch, queued): (usize, usize),
        catalogue: usize,
        corrected: bool,
    ) -> Result<Var> {
        let ids = self.ids_below("candidate_logq", "ids", ids, self.shape(table)[0], u32::MAX)?;
        let n = self.shape(ids)[0];
        let Some(drawn) = n.checked_sub(batch + queued) else {
            let what = format!("{n} candidates of which {batch} are the batch's and {queued} queued");
            return Err(crate::error::shape("candidate_logq", what));
        };
        let out = self.temp(n, 1);
        let first = self.part.first;
        let kernel = CandidateLogQ { batch, drawn, queued, catalogue, corrected, first };
        self.push(kernel, vec![Some(table), Some(ids)], vec![Some(out)], None)?;
        Ok(out)
    }

    /// Records the bits of candidates that stand in a row's list and are not its target: slice `[n, 2]` (start, length) of items
    /// `[any, 1]`, ids ascending within each list. `[n, ceil(candidates / 32)]`, for [`SoftmaxSpec::mask`].
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] if the shapes do not fit, or if a list of constants does not ascend. Lists that the host writes are
    /// looked at before the next run, which is [`crate::Error::Data`] then. Lists that the device makes are not: a GPU misses ids in
    /// one that does not ascend.
    pub fn own_mask(&mut self, slice: Var, items: Var, candidates: Var, targets: Var) -> Result<Var> {
        let slice = self.slices_within("own_mask", slice, self.shape(items)[0])?;
        self.lists_ascend("own_mask", slice, items)?;
        let (rows, n) = (self.shape(targets)[0], self.shape(candidates)[0]);
        let mask = self.temp_ids(rows, n.div_ceil(32));
        let reads = [slice, items, candidates, targets].map(Some).to_vec();
        self.push(OwnMask { rows, candidates: n }, reads, vec![Some(mask)], None)?;
        Ok(mask)
    }

    /// Records the bits of candidates that a loss leaves out so that of each row's negatives the `count` largest logits from
    /// rank `from` (1 is the largest) on stay, ties by lower index: for [`SoftmaxSpec::mask`]. Its own mask, hits and padding are
    /// not ranked. The choice has no gradient.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the shapes do not fit, or `from` is 0.
    pub fn hard_mask(&mut self, spec: &SoftmaxSpec, from: usize, count: usize) -> Result<Var> {
        let ([rows, dim], [candidates, _]) = (self.shape(spec.users), self.shape(spec.candidates.vectors));
        if from == 0 {
            return Err(crate::error::shape("hard_mask", "ranks count from 1"));
        }
        let (positive, label) = match spec.positive {
            PositiveVar::Diagonal => (Positive::Diagonal, None),
            PositiveVar::Label(label) => {
                (Positive::Label, Some(self.ids_below("hard_mask", "labels", label, candidates, u32::MAX)?))
            }
            PositiveVar::Own { .. } => (Positive::Own, None),
        };
        let mask_hits = spec.mask_hits.is_some();
        let tile = HARD_MASK_TILE;
        let kernel = HardMask { rows, candidates, dim, scale: spec.scale, positive, mask_hits, from, count, tile };
        let ids = spec.candidates.ids.filter(|_| mask_hits);
        let reads = vec![
            Some(spec.users),
            Some(spec.candidates.vectors),
            spec.candidates.logq,
            ids,
            spec.mask_hits,
            label,
            spec.mask,
        ];
        let hard = self.temp_ids(rows, candidates.div_ceil(32));
        self.push(kernel, reads, vec![Some(hard)], None)?;
        Ok(hard)
    }
}
