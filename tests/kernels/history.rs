//! Histories written out by position, their maxima and weighted sums, against f64 oracles.

use super::bag::{Take, end, history};
use rt_kernels::Step;
use rt_kernels::kernels::{
    HistoryGaps, HistoryIds, HistoryWeights, HistoryWeightsBackward, MaxPool, MaxPoolBackward, Sessions, WeightedPool,
    WeightedPoolBackward,
};
use rt_tests::{EPS, LAYS, Tensor, Want, f, hold, ids, out_f, out_u, u, uniform};

/// ULP that WGSL allows `exp` of x beyond the CPU's: 3 + 2 |x|.
fn exp_error(x: f64) -> f64 {
    2.0 * EPS * (3.0 + 2.0 * x.abs())
}

#[test]
fn ids_by_position() {
    for (what, rows, max_len, positions, take) in [
        ("one cell", 1, 1, 1, Take::All),
        ("longer slices than positions", 65, 20, 7, Take::Mask),
        ("positions past the mask", 63, 50, 50, Take::Both),
        ("a hole", 257, 9, 12, Take::Hole),
        ("nothing is kept", 17, 40, 33, Take::Nothing),
        ("threads", 900, 50, 50, Take::Both),
    ] {
        let h = history(rows, max_len, 300, take, 5);
        let want = (0..rows).flat_map(|i| {
            let mut row = h.row(i, positions);
            row.resize(positions, 0);
            row
        });
        let want = Want::Exact(want.collect());
        let kernel = HistoryIds { rows, history: positions };
        hold(what, &kernel, &Step::default(), LAYS, &h.operands(), &[out_u(rows * positions, 1)], &[want]);
    }
}

#[test]
fn gaps_are_counted_from_the_newest_event() {
    for (what, rows, max_len, positions, span) in [
        ("one event", 1, 1, 1, 10),
        ("seconds", 65, 9, 12, 60),
        ("years, more slices than positions", 257, 30, 20, 300_000_000),
        ("threads", 900, 50, 50, 4_000_000_000),
    ] {
        let h = history(rows, max_len, 300, Take::All, 6);
        let n = h.items.len();
        let mut times = ids(n, span, 7);
        times.sort_unstable();
        times.swap(n / 2, n / 2 + 1); // a time after the newest's has gap 0
        let mut want = Vec::new();
        for s in h.slice.chunks(2) {
            let (start, len) = (s[0] as usize, s[1] as usize);
            for k in 0..positions {
                let seconds =
                    if k < len { times[start + len - 1].saturating_sub(times[start + len - 1 - k]) } else { 0 };
                let gap = (1.0 + f64::from(seconds) / 3600.0).ln();
                // WGSL's log is good to 2^-21 from 0.5 to 2 and to 3 ULP elsewhere; its argument is rounded four times.
                want.push((gap, 2f64.powi(-21) + EPS * (8.0 + 6.0 * gap)));
            }
        }
        let reads = [u(&times, n, 1), u(&h.slice, rows, 2)];
        let kernel = HistoryGaps { rows, history: positions };
        hold(what, &kernel, &Step::default(), LAYS, &reads, &[out_f(rows, positions)], &[Want::Close(want)]);
    }
}

type MaxCase = (&'static str, usize, usize, usize, &'static [usize]);

#[rustfmt::skip] // a table
const MAX_CASES: &[MaxCase] = &[
    // why it is here                    rows  history  dim  windows
    ("one cell",                            1,       1,   1, &[0]),
    ("one over a workgroup",               65,       5,   1, &[2, 100]),
    ("nothing divides",                    63,       7,  33, &[1, 3, 6]),
    ("more columns than a tile",           17,      20, 100, &[5, usize::MAX]),
    ("threads",                           300,      50,  64, &[1, 2, 3, 5, 10, 50]),
];

/// Ids of which a third is 0, with a row of none.
fn some_ids(rows: usize, history: usize) -> Vec<u32> {
    let mut list: Vec<u32> = ids(rows * history, 9, 3).iter().map(|id| id.saturating_sub(2)).collect();
    list[rows / 2 * history..][..history].fill(0);
    list
}

#[test]
fn maxima_and_their_places() {
    for &(what, rows, history, dim, windows) in MAX_CASES {
        // Few values, so that many are equal: the newest of them is the maximum's place.
        let x: Vec<f32> = uniform(rows * history * dim, 1).iter().map(|x| (x * 3.0).round() - 0.5).collect();
        let list = some_ids(rows, history);
        let w = windows.len();
        for zones in [false, true] {
            let (mut y, mut place) = (vec![0.0f32; rows * w * dim], vec![u32::MAX; rows * w * dim]);
            for i in 0..rows {
                for (window, last) in windows.iter().enumerate() {
                    let first = if zones && window > 0 { end(windows[window - 1]).min(history) } else { 0 };
                    for c in 0..dim {
                        let kept = (first..end(*last).min(history)).filter(|k| list[i * history + k] != 0);
                        let value = |k: usize| x[(i * history + k) * dim + c];
                        let most = kept.clone().map(value).fold(f32::NEG_INFINITY, f32::max);
                        if let Some(k) = kept.clone().find(|k| value(*k) == most) {
                            (y[(i * w + window) * dim + c], place[(i * w + window) * dim + c]) = (most, k as u32);
                        }
                    }
                }
            }
            let kernel = MaxPool { rows, history, dim, windows: windows.to_vec(), zones };
            let reads = [f(&x, rows * history, dim), u(&list, rows * history, 1)];
            let outs = [out_f(rows, w * dim), out_u(rows, w * dim)];
            let want = [Want::floats(y), Want::Exact(place.clone())];
            hold(what, &kernel, &Step::default(), LAYS, &reads, &outs, &want);

            let dy = uniform(rows * w * dim, 2);
            let mut dx = vec![(0.0, 0.0); rows * history * dim];
            for (cell, k) in place.iter().enumerate().filter(|(_, k)| **k != u32::MAX) {
                let (i, c) = (cell / (w * dim), cell % dim);
                let (sum, bound) = &mut dx[(i * history + *k as usize) * dim + c];
                *sum += f64::from(dy[cell]);
                *bound += w as f64 * EPS; // at most w additions of numbers below 1, each sum below w
            }
            dx.iter_mut().for_each(|(_, bound)| *bound *= w as f64);
            let kernel = MaxPoolBackward { rows, history, dim, windows: w };
            let reads = [u(&place, rows, w * dim), f(&dy, rows, w * dim)];
            let out = [out_f(rows * history, dim)];
            hold(what, &kernel, &Step::default(), LAYS, &reads, &out, &[Want::Close(dx)]);
        }
    }
}

#[test]
fn weights_are_a_softmax_over_kept_positions() {
    for (what, rows, history, heads, size) in [
        ("one cell", 1, 1, 1, 1.0f32),
        ("one over a workgroup", 65, 7, 1, 1.0),
        ("nothing divides", 33, 50, 3, 3.0),
        ("scores that overflow exp", 17, 20, 2, 200.0),
        ("threads", 900, 50, 2, 5.0),
    ] {
        let list = some_ids(rows, history);
        let gaps: Vec<f32> = uniform(rows * history, 4).iter().map(|g| (g + 1.0) * size).collect();
        let by_position: Vec<f32> = uniform(heads * history, 5).iter().map(|a| a * size).collect();
        let rates = uniform(heads, 6);
        for decay in [false, true] {
            let score = |i: usize, h: usize, k: usize| match decay {
                false => f64::from(by_position[h * history + k]),
                true => -f64::from(rates[h]).exp() * f64::from(gaps[i * history + k]),
            };
            let mut want = Vec::new();
            for i in 0..rows {
                for h in 0..heads {
                    let kept = |k: usize| list[i * history + k] != 0;
                    let scores: Vec<f64> = (0..history).filter(|k| kept(*k)).map(|k| score(i, h, k)).collect();
                    let top = scores.iter().copied().fold(f64::MIN, f64::max);
                    let sum: f64 = scores.iter().map(|s| (s - top).exp()).sum();
                    for k in 0..history {
                        let p = if kept(k) { (score(i, h, k) - top).exp() / sum } else { 0.0 };
                        // The score is rounded (decay: after an exp and a product), then its difference to the largest;
                        // exp of it twice (over and under the line), the sum, a division.
                        let size = f64::from(size) * 2.0;
                        let error = exp_error(2.0 * size) + size * (8.0 * EPS + exp_error(1.0) * 3.0) + 1e-6;
                        let bound = p * (2.0 * error + (history + 8) as f64 * EPS) + 1e-30;
                        want.push((p, if kept(k) { bound } else { 0.0 }));
                    }
                }
            }
            let param = if decay { f(&rates, 1, heads) } else { f(&by_position, 1, heads * history) };
            let reads = [u(&list, rows * history, 1), param, f(&gaps, rows, history).filter(|_| decay)];
            let kernel = HistoryWeights { rows, history, heads, decay };
            let out = [out_f(rows, heads * history)];
            hold(what, &kernel, &Step::default(), LAYS, &reads, &out, &[Want::Close(want)]);
        }
    }
}

#[test]
fn gradients_of_the_scores() {
    for (what, rows, history, heads) in [
        ("one cell", 1, 1, 1),
        ("one over a workgroup", 65, 7, 1),
        ("nothing divides", 33, 50, 3),
        ("threads", 900, 50, 2),
    ] {
        let n = rows * heads * history;
        let w: Vec<f32> = uniform(n, 1).iter().map(|w| w.max(0.0)).collect();
        let (dw, rates) = (uniform(n, 2), uniform(heads, 3));
        let gaps: Vec<f32> = uniform(rows * history, 4).iter().map(|g| g + 1.0).collect();
        let (mut by_position, mut by_rate) = (Vec::new(), Vec::new());
        for i in 0..rows {
            for (h, r) in rates.iter().enumerate() {
                let at = |k: usize| (i * heads + h) * history + k;
                let pair = |k: usize| (f64::from(w[at(k)]), f64::from(dw[at(k)]));
                let (along, size) =
                    (0..history).map(pair).fold((0.0, 0.0), |(s, a), (w, d)| (s + w * d, a + (w * d).abs()));
                let off = (history + 2) as f64 * EPS * size;
                let rate = f64::from(*r).exp();
                let (mut sum, mut bound) = (0.0, 0.0);
                for k in 0..history {
                    let (w, d) = pair(k);
                    let (ds, error) = (w * (d - along), w * (off + 4.0 * EPS * (d.abs() + along.abs())));
                    by_position.push((ds, error));
                    let gap = f64::from(gaps[i * history + k]);
                    sum -= rate * ds * gap;
                    let rounded = (history + 4) as f64 * EPS + exp_error(1.0);
                    bound += rate * gap * (error + rounded * (ds.abs() + error));
                }
                by_rate.push((sum, bound));
            }
        }
        let reads = |decay: bool| -> [Option<Tensor>; 4] {
            let (param, gaps) = (f(&rates, 1, heads), f(&gaps, rows, history));
            let (w, dw) = (f(&w, rows, heads * history), f(&dw, rows, heads * history));
            if decay { [w, dw, param, gaps] } else { [w, dw, None, None] }
        };
        for (decay, cols, want) in [(false, heads * history, by_position), (true, heads, by_rate)] {
            let kernel = HistoryWeightsBackward { rows, history, heads, decay };
            hold(what, &kernel, &Step::default(), LAYS, &reads(decay), &[out_f(rows, cols)], &[Want::Close(want)]);
        }
    }
}

#[test]
fn weighted_sums_and_their_gradients() {
    for (what, rows, history, heads, dim) in [
        ("one cell", 1, 1, 1, 1),
        ("one over a workgroup", 65, 3, 1, 1),
        ("nothing divides", 33, 7, 3, 33),
        ("threads", 300, 50, 2, 64),
    ] {
        let x = uniform(rows * history * dim, 1);
        let (w, dy) = (uniform(rows * heads * history, 2), uniform(rows * heads * dim, 3));
        let x_at = |i: usize, k: usize, c: usize| f64::from(x[(i * history + k) * dim + c]);
        let w_at = |i: usize, h: usize, k: usize| f64::from(w[(i * heads + h) * history + k]);
        let dy_at = |i: usize, h: usize, c: usize| f64::from(dy[(i * heads + h) * dim + c]);
        // n products and additions, each rounded.
        let sum = |n: usize, term: &dyn Fn(usize) -> f64| {
            let (sum, size) = (0..n).map(term).fold((0.0, 0.0), |(s, a), t| (s + t, a + t.abs()));
            (sum, (n + 2) as f64 * EPS * size)
        };
        let (mut y, mut dx, mut dw) = (Vec::new(), Vec::new(), Vec::new());
        for i in 0..rows {
            for h in 0..heads {
                y.extend((0..dim).map(|c| sum(history, &|k| w_at(i, h, k) * x_at(i, k, c))));
                dw.extend((0..history).map(|k| sum(dim, &|c| x_at(i, k, c) * dy_at(i, h, c))));
            }
            for k in 0..history {
                dx.extend((0..dim).map(|c| sum(heads, &|h| w_at(i, h, k) * dy_at(i, h, c))));
            }
        }
        let reads = [f(&x, rows * history, dim), f(&w, rows, heads * history), f(&dy, rows, heads * dim)];
        let kernel = WeightedPool { rows, history, heads, dim };
        let out = [out_f(rows, heads * dim)];
        hold(what, &kernel, &Step::default(), LAYS, &reads[..2], &out, &[Want::Close(y)]);
        let kernel = WeightedPoolBackward { rows, history, heads, dim };
        let outs = [out_f(rows * history, dim), out_f(rows, heads * history)];
        let want = [Want::Close(dx), Want::Close(dw)];
        hold(what, &kernel, &Step::default(), LAYS, &reads, &outs, &want);
        let [dx, dw] = outs;
        let [want_dx, want_dw] = want;
        hold(what, &kernel, &Step::default(), LAYS, &reads, &[dx, None], &[want_dx, Want::Nothing]);
        hold(what, &kernel, &Step::default(), LAYS, &reads, &[None, dw], &[Want::Nothing, want_dw]);
    }
}

#[test]
fn sessions_end_at_a_longer_pause() {
    for (what, users, events, history, pause, span) in [
        ("one event", 1, 1, 1, 60, 10),
        ("no pause is too long", 5, 300, 50, u32::MAX, 1_000_000),
        ("every pause but none is", 40, 9, 4, 0, 2_000_000_000),
        ("some are", 30, 40, 20, 60, 3_000),
        ("histories longer than 256", 2, 600, 400, 600, 60_000),
    ] {
        let start: Vec<u32> = std::iter::once(0).chain((0..=users).map(|u| u * events)).collect();
        let total = (users * events) as usize;
        let mut seconds = ids(total, span, 3);
        seconds.chunks_mut(events as usize).for_each(<[u32]>::sort_unstable);
        seconds.swap(total / 2, total - 1); // a time before its predecessor's
        let (mut slice, mut user, mut slices, mut categories) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        // User 0 is nobody: an example of padding.
        for event in 0..total as u32 {
            let of = 1 + event / events;
            let before = event - start[of as usize];
            slice.extend([event - before.min(history), before.min(history)]);
            user.push(of);
            let time = |back: u32| i64::from(seconds[(event - back) as usize]);
            let gaps: Vec<i64> = (1..before).map(|back| (time(back) - time(back + 1)).max(0)).collect();
            let run = gaps.iter().take_while(|gap| **gap <= i64::from(pause)).count() as u32;
            let length = if before == 0 { 0 } else { 1 + run };
            slices.extend([event - length.min(before).min(history), length.min(history)]);
            let bits = |n: i64| (0..).find(|b| n < 1i64 << b).unwrap();
            categories.extend([bits(i64::from(length)).min(9), gaps.first().map_or(0, |gap| 1 + bits(*gap))]);
        }
        slice.extend([0, 0]);
        user.push(0);
        slices.extend([0, 0]);
        categories.extend([0, 0]);
        let rows = total + 1;
        let kernel = Sessions { rows, history: history as usize, pause };
        let reads = [u(&seconds, total, 1), u(&slice, rows, 2), u(&user, rows, 1), u(&start, start.len(), 1)];
        let outs = [out_u(rows, 2), out_u(rows, 2)];
        hold(what, &kernel, &Step::default(), LAYS, &reads, &outs, &[Want::Exact(slices), Want::Exact(categories)]);
    }
}

/// Garbage in `place`, which no maximum writes: a place past the history is nobody's.
#[test]
fn places_past_the_history_have_no_gradient() {
    let (rows, history, dim, windows) = (2, 3, 2, 2);
    let place = [3, 0, u32::MAX, 2, 1, 1 << 31, 4, 6];
    let dy = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];
    let mut dx = [0.0; 12];
    (dx[1], dx[5], dx[8]) = (2.0, 8.0, 16.0);
    let kernel = MaxPoolBackward { rows, history, dim, windows };
    let reads = [u(&place, rows, windows * dim), f(&dy, rows, windows * dim)];
    let (out, want) = ([out_f(rows * history, dim)], [Want::floats(dx)]);
    hold("places", &kernel, &Step::default(), LAYS, &reads, &out, &want);
}
