//! The CPU twin: panels of rows by all candidates, made once. Three products: logits, dU, dV.

use super::products::{Candidates, Users};
use super::{LEFT_OUT, Positive, SoftmaxLoss};
use crate::matmul::{Tile, View, apart};
use crate::simd::{LANES, axpy, dot, exp, sum_lanes, vectorize};
use crate::{CpuIo, Mat};
use rayon::prelude::*;

/// Words of a panel that stays in the last cache.
const PANEL: usize = 1 << 22;
/// Words of a panel, at most, but for very many candidates: products of few rows are slower than memory.
const LARGEST: usize = 1 << 24;
/// Rows that a thread takes at a time, at most: few enough that their logits stay in its cache.
const GROUP: usize = 64;

impl SoftmaxLoss {
    /// Words from one row of a panel to the next.
    fn stride(&self) -> usize {
        apart(self.candidates)
    }

    /// Rows that a thread takes at a time: some groups to a panel.
    fn group(&self) -> usize {
        (self.panel() / 4).clamp(4, GROUP)
    }

    /// Rows that the CPU takes at a time, by shapes alone.
    #[doc(hidden)]
    #[must_use]
    pub fn panel(&self) -> usize {
        let rows = (PANEL / self.stride()).max((LARGEST / self.stride()).min(256));
        rows.clamp(16, 1024).min(self.rows.max(1))
    }

    pub(super) fn cpu_scratch(&self) -> Vec<usize> {
        // The panel; logq and ids of the candidates without gaps; the own positive's gradient factor; the candidates and the user
        // vectors of a panel for the products.
        let (panel, table) = (self.panel() * self.stride(), 2 * self.candidates.next_multiple_of(LANES));
        vec![panel, table, self.rows, Candidates::words(self), Users::words(self.panel(), self.dim)]
    }

    pub(super) fn run_cpu(&self, io: &mut CpuIo<'_>) {
        let stride = self.stride();
        let padded = self.candidates.next_multiple_of(LANES);
        let (panel, table, factors) = (io.scratch(0), io.scratch(1), io.scratch(2));
        let (panel, factors) = (panel.into_f32(), &mut factors.into_f32()[..self.rows]);
        let (logq, ids) = table.into_u32().split_at_mut(padded);
        self.lay_out(io, bytemuck::cast_slice_mut(logq), ids);
        let v = Candidates::new(self, io.precision, io.read(1), io.scratch(3).into_u32());
        let users = io.scratch(4).into_u32();
        let rows = Rows {
            kernel: self,
            u: io.read(0),
            v,
            weight: io.read(2),
            logq: bytemuck::cast_slice(logq),
            ids: &ids[..padded],
            targets: io.read_opt(5),
            label: io.read_opt(6),
            own: io.read_opt(7),
            own_logq: io.read_opt(8),
            mask: io.read_opt(9),
        };
        let loss = io.write(0);
        let loss_stride = loss.stride.max(1);
        let mut loss = loss.into_f32();
        let mut factors = &mut *factors;
        let mut du = io.write_opt(1).map(Tile::from);
        let mut dv = io.write_opt(2).map(Tile::from);
        let mut down = io.write_opt(3).map(Tile::from);
        let gradients = du.is_some() || dv.is_some() || down.is_some();
        let mut first = 0;
        while first < self.rows {
            let count = self.panel().min(self.rows - first);
            let mut groups = Vec::with_capacity(count.div_ceil(self.group()));
            let mut rest = &mut panel[..count * stride];
            let mut row = first;
            while row < first + count {
                let n = self.group().min(first + count - row);
                let (own_panel, after) = rest.split_at_mut(n * stride);
                rest = after;
                let taken = (n * loss_stride).min(loss.len());
                let (own_loss, after) = std::mem::take(&mut loss).split_at_mut(taken);
                loss = after;
                let (own_factors, after) = std::mem::take(&mut factors).split_at_mut(n);
                factors = after;
                let (du, down) = (take_rows(&mut du, n), take_rows(&mut down, n));
                groups.push(Group { row, n, panel: own_panel, loss: own_loss, factors: own_factors, du, down });
                row += n;
            }
            groups.into_par_iter().for_each(|group| rows.forward(group, stride, loss_stride, gradients));
            if let Some(dv) = &mut dv {
                let p = View::new(&panel[..count * stride], count, self.candidates, stride).transposed();
                let u = Users::new(io.precision, View::from(rows.u).rows(first, count), users);
                let block = self.candidates.div_ceil(16).next_multiple_of(16).clamp(64, 512);
                dv.borrow().par_tiles((block, self.dim.max(1)), &|candidate, _, mut out| {
                    let n = out.rows();
                    u.dv(p.rows(candidate, n), &mut out, first > 0);
                });
            }
            first += count;
        }
    }

    /// logq (0 where there is none, left out past the end) and ids without gaps, in whole vectors.
    fn lay_out(&self, io: &CpuIo<'_>, logq: &mut [f32], ids: &mut [u32]) {
        let given = (io.read_opt(3), io.read_opt(4).filter(|_| self.mask_hits));
        logq[self.candidates..].fill(10.0 * LEFT_OUT);
        for (j, q) in logq[..self.candidates].iter_mut().enumerate() {
            *q = given.0.map_or(0.0, |m| m.row(j)[0]);
        }
        for (j, id) in ids.iter_mut().take(self.candidates).enumerate() {
            *id = given.1.map_or(0, |m| m.id(j));
        }
    }
}

/// The first `n` rows of a tile, taken off it.
fn take_rows<'a>(tile: &mut Option<Tile<'a>>, n: usize) -> Option<Tile<'a>> {
    let (taken, rest) = tile.take()?.split_rows(n);
    *tile = Some(rest);
    Some(taken)
}

/// Rows of a panel that a thread works on, and where their results go.
struct Group<'a> {
    row: usize,
    n: usize,
    panel: &'a mut [f32],
    loss: &'a mut [f32],
    factors: &'a mut [f32],
    du: Option<Tile<'a>>,
    down: Option<Tile<'a>>,
}

struct Rows<'a> {
    kernel: &'a SoftmaxLoss,
    u: Mat<'a>,
    v: Candidates<'a>,
    weight: Mat<'a>,
    logq: &'a [f32],
    ids: &'a [u32],
    targets: Option<Mat<'a>>,
    label: Option<Mat<'a>>,
    own: Option<Mat<'a>>,
    own_logq: Option<Mat<'a>>,
    mask: Option<Mat<'a>>,
}

impl Rows<'_> {
    /// Logits, loss, the gradients of the logits in their place, and dU.
    fn forward(&self, group: Group<'_>, stride: usize, loss_stride: usize, gradients: bool) {
        let Group { row, n, panel, loss, factors, du, down } = group;
        let (candidates, dim, scale) = (self.kernel.candidates, self.kernel.dim, self.kernel.scale);
        self.v.logits(View::from(self.u).rows(row, n), scale, panel, stride);
        vectorize(
            #[inline(always)]
            || {
                for r in 0..n {
                    let z = &mut panel[r * stride..][..self.logq.len()];
                    z[candidates..].fill(0.0);
                    (loss[r * loss_stride], factors[r]) = self.row(row + r, z, gradients);
                }
            },
        );
        if let Some(mut du) = du {
            self.v.du(View::new(panel, n, candidates, stride), du.borrow());
            if let Some(own) = self.own {
                vectorize(
                    #[inline(always)]
                    || (0..n).for_each(|r| axpy(factors[r], own.row(row + r), du.row(r))),
                );
            }
        }
        if let Some(mut down) = down {
            for r in 0..n {
                for (d, u) in down.row(r).iter_mut().zip(&self.u.row(row + r)[..dim]) {
                    *d = factors[r] * u;
                }
            }
        }
    }

    /// Turns a row of scaled products into gradients; gives its loss and the own positive's factor.
    #[inline(always)]
    fn row(&self, i: usize, z: &mut [f32], gradients: bool) -> (f32, f32) {
        let k = self.kernel;
        let weight = self.weight.row(i)[0];
        let positive = match k.positive {
            Positive::Diagonal => Some(i),
            Positive::Label => self.label.map(|m| m.id(i) as usize).filter(|j| *j < k.candidates),
            Positive::Own => None,
        };
        // A row whose label is past the candidates counts for nothing.
        let weight = if k.positive == Positive::Label && positive.is_none() { 0.0 } else { weight };
        let mut z_positive = match (positive, self.own) {
            (Some(j), _) => z[j],
            (None, Some(own)) => k.scale * dot(self.u.row(i), own.row(i)),
            (None, None) => 0.0,
        };
        if k.correct_positive {
            z_positive -= match positive {
                Some(j) if self.logq[j] < LEFT_OUT => self.logq[j],
                Some(_) => 0.0,
                None => self.own_logq.map(|m| m.row(i)[0]).filter(|q| *q < LEFT_OUT).unwrap_or(0.0),
            };
        }
        if let Some(mask) = self.mask {
            leave_out(z, mask.row_u32(i));
        }
        // Loops that do one thing each, over whole rows: together, sixteen cells at a time, they stay scalar.
        match self.targets.filter(|_| k.mask_hits) {
            Some(targets) => {
                let target = targets.id(i);
                for ((z, q), id) in z.iter_mut().zip(self.logq).zip(self.ids) {
                    *z = if *id == target { -1e30 } else { *z - q };
                }
            }
            None => z.iter_mut().zip(self.logq).for_each(|(z, q)| *z -= q),
        }
        let mut largest = [-1e30f32; LANES];
        for z in z.as_chunks::<LANES>().0 {
            for l in 0..LANES {
                largest[l] = if z[l] > largest[l] { z[l] } else { largest[l] };
            }
        }
        if let Some(j) = positive {
            z[j] = z_positive;
        }
        // The positive's logit before its correction may be among them: a larger shift than needed does no harm.
        let largest = largest.iter().copied().fold(z_positive, |a, b| if b > a { b } else { a });
        if k.smoothing > 0.0 {
            return self.smoothed(weight, z, (positive, z_positive), largest, gradients);
        }
        let mut sums = [0.0f32; LANES];
        for z in z.as_chunks_mut::<LANES>().0 {
            for l in 0..LANES {
                z[l] = exp(z[l] - largest);
                sums[l] += z[l];
            }
        }
        let e_positive = exp(z_positive - largest);
        let mut sum = sum_lanes(sums);
        if positive.is_none() {
            sum += e_positive;
        }
        let loss = weight * (largest + sum.ln() - z_positive);
        if !gradients {
            return (loss, 0.0);
        }
        let factor = k.scale * weight;
        let each = factor / sum;
        for z in z.iter_mut() {
            *z *= each;
        }
        match positive {
            Some(j) => {
                z[j] -= factor;
                (loss, 0.0)
            }
            None => (loss, e_positive * each - factor),
        }
    }

    /// The rest of [`Rows::row`] with label smoothing: the mean of the logits takes part in loss and gradients.
    #[inline(always)]
    fn smoothed(
        &self,
        weight: f32,
        z: &mut [f32],
        (positive, z_positive): (Option<usize>, f32),
        largest: f32,
        gradients: bool,
    ) -> (f32, f32) {
        let (mut sums, mut totals, mut counts) = ([0.0f32; LANES], [0.0f32; LANES], [0.0f32; LANES]);
        for z in z.as_chunks_mut::<LANES>().0 {
            for l in 0..LANES {
                let counted = z[l] > -LEFT_OUT;
                totals[l] += if counted { z[l] } else { 0.0 };
                counts[l] += if counted { 1.0 } else { 0.0 };
                let share = exp(z[l] - largest);
                sums[l] += share;
                // No share is negative: what is left out stays known by it.
                z[l] = if counted { share } else { -1.0 };
            }
        }
        let e_positive = exp(z_positive - largest);
        let (mut sum, mut total, mut count) = (sum_lanes(sums), sum_lanes(totals), sum_lanes(counts));
        if positive.is_none() {
            (sum, total, count) = (sum + e_positive, total + z_positive, count + 1.0);
        }
        let e = self.kernel.smoothing;
        let loss = weight * (largest + sum.ln() - (1.0 - e) * z_positive - e * (total / count));
        if !gradients {
            return (loss, 0.0);
        }
        let factor = self.kernel.scale * weight;
        let (each, spread, own) = (factor / sum, factor * e / count, factor * (1.0 - e));
        for z in z.iter_mut() {
            *z = if *z < 0.0 { 0.0 } else { *z * each - spread };
        }
        match positive {
            Some(j) => {
                z[j] -= own;
                (loss, 0.0)
            }
            None => (loss, e_positive * each - spread - own),
        }
    }
}

/// Takes candidates whose bit is set out of a row of logits.
#[inline(always)]
fn leave_out(z: &mut [f32], bits: &[u32]) {
    for (z, bits) in z.chunks_mut(32).zip(bits) {
        if *bits == 0 {
            continue;
        }
        for (b, z) in z.iter_mut().enumerate() {
            *z = if bits >> b & 1 != 0 { -1e30 } else { *z };
        }
    }
}
