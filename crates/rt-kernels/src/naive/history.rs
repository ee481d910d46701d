//! Histories written out by position, and what is pooled from them.

use super::{Slices, axpy, dot, end};
use crate::CpuIo;
use crate::kernels::{
    HistoryIds, HistoryWeights, HistoryWeightsBackward, MaxPool, MaxPoolBackward, WeightedPool, WeightedPoolBackward,
};

pub(crate) fn ids(k: &HistoryIds, io: &mut CpuIo<'_>) {
    let (slices, mut ids) = (Slices::of(io, 0, usize::MAX), io.write(0));
    for i in 0..k.rows {
        let row = slices.items(i, k.history).chain(std::iter::repeat(None)).take(k.history);
        for (position, id) in row.enumerate() {
            ids.row_u32(i * k.history + position)[0] = id.unwrap_or(0);
        }
    }
}

pub(crate) fn max_pool(k: &MaxPool, io: &mut CpuIo<'_>) {
    let (x, ids, mut y, mut place) = (io.read(0), io.read(1), io.write(0), io.write(1));
    for i in 0..k.rows {
        for (w, window) in k.windows.iter().enumerate() {
            let first = if k.zones && w > 0 { end(k.windows[w - 1]).min(k.history) } else { 0 };
            for c in 0..k.dim {
                let mut best = None;
                for position in (first..end(*window).min(k.history)).filter(|p| ids.id(i * k.history + p) != 0) {
                    let value = x.row(i * k.history + position)[c];
                    // The first that is no number is more than all numbers.
                    let odd = |most: f32| value.is_nan() && !most.is_nan();
                    if best.is_none_or(|(most, _)| value > most || odd(most)) {
                        best = Some((value, position as u32));
                    }
                }
                let (value, at) = best.unwrap_or((0.0, u32::MAX));
                (y.row(i)[w * k.dim + c], place.row_u32(i)[w * k.dim + c]) = (value, at);
            }
        }
    }
}

pub(crate) fn max_pool_backward(k: &MaxPoolBackward, io: &mut CpuIo<'_>) {
    let (place, dy, mut dx) = (io.read(0), io.read(1), io.write(0));
    for i in 0..k.rows {
        for position in 0..k.history {
            for c in 0..k.dim {
                let cells = (0..k.windows).map(|w| w * k.dim + c);
                let chosen = cells.filter(|cell| place.row_u32(i)[*cell] as usize == position);
                dx.row(i * k.history + position)[c] = chosen.fold(0.0, |sum, cell| sum + dy.row(i)[cell]);
            }
        }
    }
}

pub(crate) fn weights(k: &HistoryWeights, io: &mut CpuIo<'_>) {
    let (ids, param, gaps, mut w) = (io.read(0), io.read(1), io.read_opt(2), io.write(0));
    for i in 0..k.rows {
        for h in 0..k.heads {
            let score = |position: usize| match gaps.filter(|_| k.decay) {
                Some(gaps) => -param.row(0)[h].exp() * gaps.row(i)[position],
                None => param.row(0)[h * k.history + position],
            };
            let kept: Vec<usize> = (0..k.history).filter(|p| ids.id(i * k.history + p) != 0).collect();
            let largest = kept.iter().map(|p| score(*p)).fold(f32::MIN, f32::max);
            let sum: f32 = kept.iter().map(|p| (score(*p) - largest).exp()).sum();
            let w = &mut w.row(i)[h * k.history..][..k.history];
            w.fill(0.0);
            kept.iter().for_each(|p| w[*p] = (score(*p) - largest).exp() / sum);
        }
    }
}

pub(crate) fn weights_backward(k: &HistoryWeightsBackward, io: &mut CpuIo<'_>) {
    let (w, dw, param, gaps, mut ds) = (io.read(0), io.read(1), io.read_opt(2), io.read_opt(3), io.write(0));
    for i in 0..k.rows {
        for h in 0..k.heads {
            let run = h * k.history..(h + 1) * k.history;
            let (w, dw) = (&w.row(i)[run.clone()], &dw.row(i)[run.clone()]);
            let along = dot(w, dw);
            let of = |position: usize| w[position] * (dw[position] - along);
            match (param, gaps) {
                (Some(param), Some(gaps)) if k.decay => {
                    let sum: f32 = (0..k.history).map(|p| of(p) * gaps.row(i)[p]).sum();
                    ds.row(i)[h] = -param.row(0)[h].exp() * sum;
                }
                _ => ds.row(i)[run].iter_mut().enumerate().for_each(|(p, ds)| *ds = of(p)),
            }
        }
    }
}

pub(crate) fn weighted_pool(k: &WeightedPool, io: &mut CpuIo<'_>) {
    let (x, w, mut y) = (io.read(0), io.read(1), io.write(0));
    for i in 0..k.rows {
        y.row(i).fill(0.0);
        for h in 0..k.heads {
            for position in 0..k.history {
                let weight = w.row(i)[h * k.history + position];
                axpy(weight, x.row(i * k.history + position), &mut y.row(i)[h * k.dim..][..k.dim]);
            }
        }
    }
}

pub(crate) fn weighted_pool_backward(k: &WeightedPoolBackward, io: &mut CpuIo<'_>) {
    let (x, w, dy) = (io.read(0), io.read(1), io.read(2));
    let (mut dx, mut dw) = (io.write_opt(0), io.write_opt(1));
    for i in 0..k.rows {
        for position in 0..k.history {
            let at = i * k.history + position;
            if let Some(dx) = &mut dx {
                dx.row(at).fill(0.0);
            }
            for h in 0..k.heads {
                let dy = &dy.row(i)[h * k.dim..][..k.dim];
                if let Some(dx) = &mut dx {
                    axpy(w.row(i)[h * k.history + position], dy, dx.row(at));
                }
                if let Some(dw) = &mut dw {
                    dw.row(i)[h * k.history + position] = dot(x.row(at), dy);
                }
            }
        }
    }
}
