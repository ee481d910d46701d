//! The kernels as plain loops on one thread: the ones to read first. Tests hold them against the same oracles as the
//! fast twins, and benches time both. They take exactly the operands of the fast twin.
//!
//! A kernel that is not here is a plain loop over its cells already.

pub(crate) mod history;

use crate::kernels::{
    Activation, Bag, BagBackward, ColumnSum, Dropout, DropoutBackward, Gather, Gemm, Group, GroupDot, GroupDotBackward,
    HardMask, L2Normalize, L2NormalizeBackward, Positive, Ranked, RowRule, Search, SegmentSum, SoftmaxLoss, TopK,
    UpdatePart, UpdateRows, UseKind, hardness,
};
use crate::{CpuIo, Mat, philox, rank};

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `y += a x`.
fn axpy(a: f32, x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

pub(crate) fn gather(k: &Gather, io: &mut CpuIo<'_>) {
    let (table, ids, mut out) = (io.read(0), io.read(1), io.write(0));
    for r in 0..k.rows {
        match ids.id(r) as usize {
            id if id < table.rows => out.row(r).copy_from_slice(table.row(id)),
            _ => out.row(r).fill(0.0),
        }
    }
}

/// Ids of a row's slice from the newest on, without the hole; `None` if a position does not count.
struct Slices<'a> {
    items: Mat<'a>,
    slice: Mat<'a>,
    mask: Option<Mat<'a>>,
    hole: Option<Mat<'a>>,
    /// Rows of the table.
    vocab: usize,
}

impl<'a> Slices<'a> {
    fn of(io: &CpuIo<'a>, at: usize, vocab: usize) -> Self {
        let (mask, hole) = (io.read_opt(at + 2), io.read_opt(at + 3));
        Self { items: io.read(at), slice: io.read(at + 1), mask, hole, vocab }
    }

    /// The items at the newest `most` positions of row i; the hole is none of them.
    fn items(&self, i: usize, most: usize) -> impl Iterator<Item = Option<u32>> {
        let [start, len] = [self.slice.row_u32(i)[0] as usize, self.slice.row_u32(i)[1] as usize];
        let len = if start + len <= self.items.rows { len } else { 0 };
        let place = move |k: usize| start + len - 1 - k;
        let hole = move |k: &usize| self.hole.is_some_and(|h| h.id(i) as usize == place(*k));
        (0..len.min(most)).filter(move |k| !hole(k)).map(move |k| {
            let masked = self.mask.is_some_and(|m| m.row_u32(i).get(k / 32).is_some_and(|w| w >> (k % 32) & 1 == 0));
            Some(self.items.id(place(k))).filter(|id| !masked && *id != 0 && (*id as usize) < self.vocab)
        })
    }
}

/// A window's length; 0 is everything.
fn end(window: usize) -> usize {
    if window == 0 { usize::MAX } else { window }
}

pub(crate) fn bag(k: &Bag, io: &mut CpuIo<'_>) {
    let (table, mut out) = (io.read(0), io.write(0));
    let slices = Slices::of(io, 1, table.rows);
    for i in 0..k.rows {
        for (y, window) in k.windows.iter().enumerate() {
            let out = &mut out.row(i)[y * k.apart..][..k.dim];
            out.fill(0.0);
            let mut count = 0;
            let first = if k.zones && y > 0 { end(k.windows[y - 1]) } else { 0 };
            for id in slices.items(i, k.max_len).take(end(*window)).skip(first).flatten() {
                axpy(1.0, table.row(id as usize), out);
                count += 1;
            }
            if k.mean && count > 0 {
                out.iter_mut().for_each(|x| *x /= count as f32);
            }
        }
    }
}

pub(crate) fn bag_backward(k: &BagBackward, io: &mut CpuIo<'_>) {
    let (dout, slices, mut zones) = (io.read(0), Slices::of(io, 1, k.vocab), io.write(0));
    for i in 0..k.rows {
        for z in 0..k.windows.len() {
            let zone = zones.row(i * k.windows.len() + z);
            zone.fill(0.0);
            // An item of zone z stands in this window and, where they are nested, in all longer ones.
            let longest = if k.zones { z + 1 } else { k.windows.len() };
            for y in (z..longest).rev() {
                let first = if k.zones && y > 0 { end(k.windows[y - 1]) } else { 0 };
                let count = slices.items(i, k.max_len).take(end(k.windows[y])).skip(first).flatten().count();
                let scale = match (k.mean, count) {
                    (false, _) => 1.0,
                    (true, 0) => 0.0,
                    (true, count) => 1.0 / count as f32,
                };
                axpy(scale, &dout.row(i)[y * k.dim..][..k.dim], zone);
            }
        }
    }
}

pub(crate) fn group(k: &Group, io: &mut CpuIo<'_>) {
    let mut entries: Vec<(u32, u32)> = Vec::new();
    let mut operand = 0;
    for used in &k.uses {
        let (base, rows_of) = (k.tables[used.table].base, k.tables[used.table].rows);
        match &used.kind {
            UseKind::Ids { n } => {
                let ids = io.read(operand);
                let kept = |i: &usize| ids.id(*i) != 0 && ids.id(*i) < rows_of;
                entries.extend((0..*n).filter(kept).map(|i| (base + ids.id(i), used.source + i as u32)));
                operand += 1;
            }
            UseKind::Bag { rows, max_len, windows } => {
                let slices = Slices::of(io, operand, rows_of as usize);
                for i in 0..*rows {
                    for (position, id) in slices.items(i, *max_len).enumerate() {
                        let zone = windows.iter().position(|w| position < end(*w));
                        if let (Some(id), Some(zone)) = (id, zone) {
                            entries.push((base + id, used.source + (i * windows.len() + zone) as u32));
                        }
                    }
                }
                operand += 4;
            }
        }
    }
    entries.sort_by_key(|(key, _)| *key); // stable: sources stay in order
    let [mut keys, mut sources, mut starts, mut first] = [0, 1, 2, 3].map(|i| io.write(i));
    let mut distinct = 0;
    for (e, (key, source)) in entries.iter().enumerate() {
        sources.row_u32(e)[0] = *source;
        if e == 0 || entries[e - 1].0 != *key {
            (keys.row_u32(distinct)[0], starts.row_u32(distinct)[0]) = (*key, e as u32);
            distinct += 1;
        }
    }
    starts.row_u32(distinct)[0] = entries.len() as u32;
    for (t, table) in k.tables.iter().enumerate() {
        let before = (0..distinct).filter(|d| keys.row_u32(*d)[0] < table.base).count();
        first.row_u32(t)[0] = before as u32;
    }
    first.row_u32(k.tables.len())[0] = distinct as u32;
}

/// The runs of a table as [`SegmentRuns`](crate::kernels::SegmentRuns) packs them: (row, source rows), without what lies nowhere.
fn runs<'a>(io: &CpuIo<'a>, most: usize) -> impl Iterator<Item = (u32, Vec<u32>)> + use<'a> {
    let (source, sources, runs) = (io.read(0), io.read(1), io.read(2).row_u32(0));
    (0..(runs[0] as usize).min(most)).map(move |k| {
        let run = runs[2 * k + 1] as usize..(runs[2 * k + 3] as usize).min(sources.rows);
        (runs[2 * k + 2], run.map(|e| sources.id(e)).filter(|s| (*s as usize) < source.rows).collect())
    })
}

pub(crate) fn segment_sum(k: &SegmentSum, io: &mut CpuIo<'_>) {
    let (source, runs, mut out) = (io.read(0), runs(io, k.rows), io.write(0));
    for (r, (_, rows)) in runs.enumerate() {
        out.row(r).fill(0.0);
        rows.iter().for_each(|s| axpy(1.0, source.row(*s as usize), out.row(r)));
    }
}

pub(crate) fn update_rows(k: &UpdateRows, io: &mut CpuIo<'_>) {
    let (source, runs, step) = (io.read(0), runs(io, k.capacity), *io.step);
    let (mut table, mut one, mut two) = (io.write_opt(0), io.write_opt(1), io.write_opt(2));
    let rows_of = [&table, &one, &two].into_iter().flatten().map(|m| m.rows).min().unwrap_or(0);
    let mut g = vec![0.0; k.dim];
    for (row, rows) in runs.filter(|(row, _)| (*row as usize) < rows_of) {
        let r = row as usize;
        g.fill(0.0);
        rows.iter().for_each(|s| axpy(1.0, source.row(*s as usize), &mut g));
        let w = table.as_mut().map_or(&mut [][..], |table| table.row(r));
        match (k.rule, &mut one, &mut two) {
            (RowRule::Adagrad { eps }, Some(a), _) => {
                let a = &mut a.row(r)[0];
                if k.part != UpdatePart::Table {
                    *a += dot(&g, &g) / k.dim as f32;
                }
                axpy(-step.lr_rows / (a.sqrt() + eps), &g, w);
            }
            (RowRule::Adam { beta1, beta2, eps }, Some(m), Some(v)) => {
                for ((w, g), (m, v)) in w.iter_mut().zip(&g).zip(m.row(r).iter_mut().zip(v.row(r))) {
                    *m = beta1 * *m + (1.0 - beta1) * g;
                    *v = beta2 * *v + (1.0 - beta2) * g * g;
                    *w -= step.lr_rows * (*m * step.bias1_rows) / ((*v * step.bias2_rows).sqrt() + eps);
                }
            }
            _ => axpy(-step.lr_rows, &g, w),
        }
    }
}

pub(crate) fn gemm(k: &Gemm, io: &mut CpuIo<'_>) {
    let (a, b, bias, add, mut out) = (io.read(0), io.read(1), io.read_opt(2), io.read_opt(3), io.write(0));
    let cell = |m: &Mat<'_>, transposed: bool, r: usize, c: usize| if transposed { m.row(c)[r] } else { m.row(r)[c] };
    for i in 0..k.m {
        for j in 0..k.n {
            let mut sum = 0.0;
            for l in 0..k.k {
                sum += cell(&a, k.trans_a, i, l) * cell(&b, k.trans_b, l, j);
            }
            let bias = bias.map_or(0.0, |m| m.row(0)[j]);
            let add = add.map_or(0.0, |m| m.row(i)[j]);
            let x = sum + bias + add;
            out.row(i)[j] = match k.activation {
                Activation::None => x,
                Activation::Relu if x < 0.0 => 0.0,
                Activation::Relu => x,
                Activation::Tanh => x.tanh(),
                Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            };
        }
    }
}

pub(crate) fn column_sum(k: &ColumnSum, io: &mut CpuIo<'_>) {
    let (x, mut out) = (io.read(0), io.write(0));
    for (c, out) in out.row(0).iter_mut().enumerate() {
        *out = (0..k.rows).map(|r| f64::from(x.row(r)[c])).sum::<f64>() as f32;
    }
}

pub(crate) fn dropout(k: &Dropout, io: &mut CpuIo<'_>) {
    let (x, mut y, step) = (io.read(0), io.write(0), *io.step);
    for r in 0..k.rows {
        for (c, (y, x)) in y.row(r).iter_mut().zip(x.row(r)).enumerate() {
            let index = (r * k.cols + c) as u32;
            let draw = philox::draw([step.seed_lo, step.seed_hi], step.step, k.stream, index);
            *y = if draw < k.keep_threshold { x * k.scale } else { 0.0 };
        }
    }
}

pub(crate) fn dropout_backward(k: &DropoutBackward, io: &mut CpuIo<'_>) {
    let (y, dy, mut dx, step) = (io.read(0), io.read(1), io.write(0), *io.step);
    let drop = &k.dropout;
    for r in 0..drop.rows {
        for (c, (dx, dy)) in dx.row(r).iter_mut().zip(dy.row(r)).enumerate() {
            let index = (r * drop.cols + c) as u32;
            let draw = philox::draw([step.seed_lo, step.seed_hi], step.step, drop.stream, index);
            *dx = if draw < drop.keep_threshold { dy * drop.scale } else { 0.0 };
        }
        k.activation.slope(y.row(r), dx.row(r));
    }
}

pub(crate) fn l2_normalize(k: &L2Normalize, io: &mut CpuIo<'_>) {
    let (x, mut y, mut norm) = (io.read(0), io.write(0), io.write_opt(1));
    for r in 0..k.rows {
        let length = dot(x.row(r), x.row(r)).sqrt();
        let length = if length < 1e-12 { 1e-12 } else { length };
        y.row(r).iter_mut().zip(x.row(r)).for_each(|(y, x)| *y = x / length);
        if let Some(norm) = &mut norm {
            norm.row(r)[0] = length;
        }
    }
}

pub(crate) fn l2_normalize_backward(k: &L2NormalizeBackward, io: &mut CpuIo<'_>) {
    let (y, norm, dy, mut dx) = (io.read(0), io.read(1), io.read(2), io.write(0));
    for r in 0..k.rows {
        let (along, norm) = (dot(y.row(r), dy.row(r)), norm.row(r)[0]);
        for ((dx, y), dy) in dx.row(r).iter_mut().zip(y.row(r)).zip(dy.row(r)) {
            *dx = if norm <= 1e-12 { 0.0 } else { (dy - y * along) / norm };
        }
    }
}

pub(crate) fn group_dot(k: &GroupDot, io: &mut CpuIo<'_>) {
    let (u, v, mut z) = (io.read(0), io.read(1), io.write(0));
    for i in 0..k.rows {
        for (j, z) in z.row(i).iter_mut().enumerate() {
            *z = k.scale * dot(u.row(i), v.row(i * k.group + j));
        }
    }
}

pub(crate) fn group_dot_backward(k: &GroupDotBackward, io: &mut CpuIo<'_>) {
    let (u, v, dz) = (io.read(0), io.read(1), io.read(2));
    let (mut du, mut dv) = (io.write_opt(0), io.write_opt(1));
    for i in 0..k.rows {
        if let Some(du) = &mut du {
            du.row(i).fill(0.0);
        }
        for (j, dz) in dz.row(i).iter().enumerate() {
            let pair = i * k.group + j;
            if let Some(du) = &mut du {
                axpy(k.scale * dz, v.row(pair), du.row(i));
            }
            if let Some(dv) = &mut dv {
                dv.row(pair).fill(0.0);
                axpy(k.scale * dz, u.row(i), dv.row(pair));
            }
        }
    }
}

/// One row of logits at a time: log-sum-exp, then the gradients, as the formulas stand.
pub(crate) fn softmax_loss(k: &SoftmaxLoss, io: &mut CpuIo<'_>) {
    let (u, v, weight, logq) = (io.read(0), io.read(1), io.read(2), io.read_opt(3));
    let (candidate_ids, target_ids, label) = (io.read_opt(4), io.read_opt(5), io.read_opt(6));
    let (own, own_logq, mask) = (io.read_opt(7), io.read_opt(8), io.read_opt(9));
    let (mut loss, mut du, mut dv, mut down) = (io.write(0), io.write_opt(1), io.write_opt(2), io.write_opt(3));
    if let Some(dv) = &mut dv {
        (0..k.candidates).for_each(|j| dv.row(j).fill(0.0));
    }
    for i in 0..k.rows {
        let positive = match k.positive {
            Positive::Diagonal => Some(i),
            Positive::Label => label.map(|m| m.id(i) as usize).filter(|j| *j < k.candidates),
            Positive::Own => None,
        };
        let weight = if k.positive == Positive::Label && positive.is_none() { 0.0 } else { weight.row(i)[0] };
        let correction = |j: usize| logq.map_or(0.0, |m| m.row(j)[0]);
        let padding = |j: usize| correction(j) >= 1e29;
        let left_out = |j: usize| padding(j) || mask.is_some_and(|m| m.row_u32(i)[j / 32] >> (j % 32) & 1 != 0);
        let hit = |j: usize| match (k.mask_hits, candidate_ids, target_ids) {
            (true, Some(ids), Some(targets)) => ids.id(j) == targets.id(i),
            _ => false,
        };
        let z_positive = match (positive, own) {
            (Some(j), _) => {
                let q = if k.correct_positive && !padding(j) { correction(j) } else { 0.0 };
                k.scale * dot(u.row(i), v.row(j)) - q
            }
            (None, Some(own)) => {
                let q = if k.correct_positive { own_logq.map_or(0.0, |m| m.row(i)[0]) } else { 0.0 };
                k.scale * dot(u.row(i), own.row(i)) - q
            }
            (None, None) => 0.0,
        };
        // Logits of the candidates that count.
        let z: Vec<Option<f32>> = (0..k.candidates)
            .map(|j| match positive == Some(j) {
                true => Some(z_positive),
                false if left_out(j) || hit(j) => None,
                false => Some(k.scale * dot(u.row(i), v.row(j)) - correction(j)),
            })
            .collect();
        let largest = z.iter().flatten().copied().fold(z_positive, f32::max);
        let outside = if positive.is_none() { (z_positive - largest).exp() } else { 0.0 };
        let sum = outside + z.iter().flatten().map(|z| (z - largest).exp()).sum::<f32>();
        let lse = largest + sum.ln();
        // Label smoothing spreads a share of the target over all that count; the positive keeps the rest.
        let outside = usize::from(positive.is_none());
        let count = (z.iter().flatten().count() + outside) as f32;
        let mean = (z.iter().flatten().sum::<f32>() + outside as f32 * z_positive) / count;
        let (kept, spread) = (1.0 - k.smoothing, k.smoothing / count);
        loss.row(i)[0] = weight * (lse - kept * z_positive - k.smoothing * mean);
        let factor = k.scale * weight;
        if let Some(du) = &mut du {
            du.row(i).fill(0.0);
        }
        for (j, z) in z.iter().enumerate() {
            let Some(z) = z else { continue };
            let p = (z - lse).exp() - spread - if positive == Some(j) { kept } else { 0.0 };
            if let Some(du) = &mut du {
                axpy(factor * p, v.row(j), du.row(i));
            }
            if let Some(dv) = &mut dv {
                axpy(factor * p, u.row(i), dv.row(j));
            }
        }
        if let Some(own) = own {
            let p = (z_positive - lse).exp() - spread - kept;
            if let Some(du) = &mut du {
                axpy(factor * p, own.row(i), du.row(i));
            }
            if let Some(down) = &mut down {
                down.row(i).fill(0.0);
                axpy(factor * p, u.row(i), down.row(i));
            }
        }
    }
}

/// Sorts the logits of each row.
pub(crate) fn hard_mask(k: &HardMask, io: &mut CpuIo<'_>) {
    let (u, v, ranked, mut hard) = (io.read(0), io.read(1), Ranked::new(k, io), io.write(0));
    for i in 0..k.rows {
        let logit = |j: usize| Some((hardness(ranked.logit(i, j, k.scale * dot(u.row(i), v.row(j)))?), j));
        let mut all: Vec<(u32, usize)> = (0..k.candidates).filter_map(logit).collect();
        all.sort_by_key(|(hard, j)| (std::cmp::Reverse(*hard), *j));
        let bits = hard.row_u32(i);
        bits.fill(u32::MAX);
        let kept = all.iter().map(|(_, j)| *j).skip(k.from.saturating_sub(1)).take(k.count);
        kept.chain(ranked.positive(i)).for_each(|j| bits[j / 32] &= !(1 << (j % 32)));
    }
}

/// Sorts everything.
fn best(scores: impl Iterator<Item = (f32, u32)>, excluded: &[u32], values: &mut [f32], ids: &mut [u32]) {
    let mut all: Vec<(f32, u32)> = scores.filter(|(_, id)| !excluded.contains(id)).collect();
    all.retain(|(score, _)| rank::key(*score) != rank::UNLISTED);
    all.sort_by_key(|(score, id)| (std::cmp::Reverse(rank::key(*score)), *id));
    for (j, (value, id)) in values.iter_mut().zip(ids).enumerate() {
        (*value, *id) = all.get(j).copied().unwrap_or((-1e30, u32::MAX));
    }
}

fn excluded<'a>(slice: Option<Mat<'a>>, list: Option<Mat<'a>>, query: usize) -> Vec<u32> {
    match (slice, list) {
        (Some(slice), Some(list)) => {
            let [start, len] = [slice.row_u32(query)[0] as usize, slice.row_u32(query)[1] as usize];
            let len = if start + len <= list.rows { len } else { 0 };
            (start..start + len).map(|i| list.id(i)).collect()
        }
        _ => Vec::new(),
    }
}

pub(crate) fn top_k(k: &TopK, io: &mut CpuIo<'_>) {
    let (scores, slice, list) = (io.read(0), io.read_opt(1), io.read_opt(2));
    let (mut value, mut id) = (io.write(0), io.write(1));
    for q in 0..k.queries {
        let all = scores.row(q).iter().zip(k.first..).map(|(s, id)| (s + 0.0, id));
        best(all, &excluded(slice, list, q), value.row(q), id.row_u32(q));
    }
}

pub(crate) fn search(k: &Search, io: &mut CpuIo<'_>) {
    let (queries, items, slice, list) = (io.read(0), io.read(1), io.read_opt(2), io.read_opt(3));
    let (mut value, mut id) = (io.write(0), io.write(1));
    for q in 0..k.queries {
        let all = (0..k.items).map(|i| (dot(queries.row(q), items.row(i)) + 0.0, k.first + i as u32));
        best(all, &excluded(slice, list, q), value.row(q), id.row_u32(q));
    }
}
