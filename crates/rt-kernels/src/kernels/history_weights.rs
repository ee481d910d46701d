//! Weights of history positions: a softmax over learned scores, or over a learned decay with time.

use super::cells::{dispatch, each_row};
use crate::simd::exp;
use crate::{Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// For each head h, a softmax over the kept positions of a row's history, those whose id is not 0:
/// `w[i, h * history + k] = exp(s_hk) / sum over kept j of exp(s_hj)`, 0 where position k is not kept.
///
/// The score is learned by position, `s_hk = param[0, h * history + k]`, or with `decay` falls with the gap,
/// `s_hk = -exp(param[0, h]) * gaps[i, k]`. The largest score is taken off first. A row without kept items has weights 0.
///
/// Reads `ids` `[rows * history, 1]` u32, `param` `[1, heads * history]` (with `decay` `[1, heads]`), with `decay` `gaps`
/// `[rows, history]`; writes `w` `[rows, heads * history]`. Sums run from the newest to the oldest position.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryWeights {
    /// Rows of the batch.
    pub rows: usize,
    /// Positions of a row.
    pub history: usize,
    /// Heads.
    pub heads: usize,
    /// Does the score fall with the gap?
    pub decay: bool,
}

/// Gradient of [`HistoryWeights`] by row, to be summed by column. With `along_h = sum over k of w_hk dw_hk` and
/// `ds_hk = w_hk (dw_hk - along_h)`, `ds[i, h * history + k] = ds_hk`; with `decay`
/// `ds[i, h] = -exp(param[0, h]) * sum over k of ds_hk gaps[i, k]`.
///
/// Reads `w`, `dw` `[rows, heads * history]`, with `decay` `param` `[1, heads]` and `gaps` `[rows, history]`; writes `ds`
/// `[rows, heads * history]` (with `decay` `[rows, heads]`). Sums run from the newest to the oldest position.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryWeightsBackward {
    /// Rows of the batch.
    pub rows: usize,
    /// Positions of a row.
    pub history: usize,
    /// Heads.
    pub heads: usize,
    /// Does the score fall with the gap?
    pub decay: bool,
}

/// Below every score: what a maximum starts from.
const LEAST: f32 = -1e30;

impl Kernel for HistoryWeights {
    fn name(&self) -> &'static str {
        "history_weights"
    }

    fn signature(&self) -> Signature {
        let (rows, history, cols) = (self.rows, self.history, self.heads.saturating_mul(self.history));
        let gaps = Slot::f32("gaps", rows, history);
        Signature {
            reads: vec![
                Slot::u32("ids", rows.saturating_mul(history), 1),
                Slot::f32("param", 1, if self.decay { self.heads } else { cols }),
                if self.decay { gaps } else { gaps.optional() },
            ],
            writes: vec![Slot::f32("w", rows, cols)],
        }
    }

    fn cost(&self) -> Cost {
        let positions = self.rows * self.history;
        let read = if self.decay { 2 * positions } else { positions };
        let cells = positions * self.heads;
        Cost { bytes: 4.0 * (read + cells) as f64, flops: 5.0 * cells as f64 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (ids, param, gaps) = (io.read(0), io.read(1).row(0), io.read_opt(2));
        let history = self.history;
        each_row(
            io.write(0),
            #[inline(always)]
            |i, w| {
                let kept = |k: usize| ids.id(i * history + k) != 0;
                for (h, w) in w.chunks_mut(history.max(1)).enumerate() {
                    match gaps.filter(|_| self.decay) {
                        Some(gaps) => {
                            let rate = -exp(param[h]);
                            for (w, gap) in w.iter_mut().zip(gaps.row(i)) {
                                *w = rate * gap;
                            }
                        }
                        None => w.copy_from_slice(&param[h * history..][..history]),
                    }
                    let mut largest = LEAST;
                    for (k, w) in w.iter().enumerate() {
                        largest = if kept(k) && *w > largest { *w } else { largest };
                    }
                    let mut sum = 0.0;
                    for (k, w) in w.iter_mut().enumerate() {
                        *w = if kept(k) { exp(*w - largest) } else { 0.0 };
                        sum += *w;
                    }
                    let scale = if sum == 0.0 { 0.0 } else { 1.0 / sum };
                    w.iter_mut().for_each(|w| *w *= scale);
                }
            },
        );
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::history::weights(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.history as u32, self.heads as u32, u32::from(self.decay)];
        vec![
            dispatch("history_weights", &attributes, &operands.reads, &operands.writes, self.rows * self.heads)
                .looping(3 * self.history + 3),
        ]
    }
}

impl Kernel for HistoryWeightsBackward {
    fn name(&self) -> &'static str {
        "history_weights_backward"
    }

    fn signature(&self) -> Signature {
        let (rows, cols) = (self.rows, self.heads.saturating_mul(self.history));
        let (param, gaps) = (Slot::f32("param", 1, self.heads), Slot::f32("gaps", rows, self.history));
        let (param, gaps) = if self.decay { (param, gaps) } else { (param.optional(), gaps.optional()) };
        Signature {
            reads: vec![Slot::f32("w", rows, cols), Slot::f32("dw", rows, cols), param, gaps],
            writes: vec![Slot::f32("ds", rows, if self.decay { self.heads } else { cols })],
        }
    }

    fn cost(&self) -> Cost {
        let cells = self.rows * self.heads * self.history;
        let rest = if self.decay { self.rows * (self.history + self.heads) } else { cells };
        Cost { bytes: 4.0 * (2 * cells + rest) as f64, flops: 4.0 * cells as f64 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (w, dw, param, gaps) = (io.read(0), io.read(1), io.read_opt(2), io.read_opt(3));
        let history = self.history;
        each_row(
            io.write(0),
            #[inline(always)]
            |i, ds| {
                for h in 0..self.heads {
                    let w = &w.row(i)[h * history..][..history];
                    let dw = &dw.row(i)[h * history..][..history];
                    let mut along = 0.0;
                    for (w, dw) in w.iter().zip(dw) {
                        along += w * dw;
                    }
                    match (param, gaps) {
                        (Some(param), Some(gaps)) if self.decay => {
                            let mut sum = 0.0;
                            for ((w, dw), gap) in w.iter().zip(dw).zip(gaps.row(i)) {
                                sum += w * (dw - along) * gap;
                            }
                            ds[h] = -exp(param.row(0)[h]) * sum;
                        }
                        _ => {
                            for ((ds, w), dw) in ds[h * history..].iter_mut().zip(w).zip(dw) {
                                *ds = w * (dw - along);
                            }
                        }
                    }
                }
            },
        );
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::history::weights_backward(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.history as u32, self.heads as u32, u32::from(self.decay)];
        let rows = self.rows * self.heads;
        vec![
            dispatch("history_weights_backward", &attributes, &operands.reads, &operands.writes, rows)
                .looping(3 * self.history + 3),
        ]
    }
}
