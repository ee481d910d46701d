//! Draws of negatives: the same ones on every device, because they are compared as integers.

use super::cells::{PHILOX, dispatch};
use super::fit;
use crate::philox::draws;
use crate::simd::vectorize;
use crate::{Cost, CpuIo, Dispatch, Error, Kernel, Made, Operands, Result, Signature, Slot};

/// `low + floor(draw_i * count / 2^32)`: uniform over `low .. low + count`, ids `[n, 1]` u32. Writes n words.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawUniform {
    /// Draws.
    pub n: usize,
    /// Smallest id.
    pub low: u32,
    /// Number of ids.
    pub count: u32,
    /// Stream of the draws.
    pub stream: u32,
}

/// Draws through an alias table (Walker 1977, Vose 1991): draw 2i picks a bucket, draw 2i + 1 whether it or its alias:
/// threshold `[ids, 1]` u32, alias `[ids, 1]` u32, out `[n, 1]` u32; of tables of two lengths the shorter counts, of an empty one
/// every draw is 0. Moves `3 n` words at random.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawAlias {
    /// Draws.
    pub n: usize,
    /// Stream of the draws.
    pub stream: u32,
}

/// `floor(a b / 2^32)`.
#[inline(always)]
pub(super) fn high(a: u32, b: u32) -> u32 {
    ((u64::from(a) * u64::from(b)) >> 32) as u32
}

/// Draws that are made at a time.
const RUN: usize = 64;

impl Kernel for DrawUniform {
    fn name(&self) -> &'static str {
        "draw_uniform"
    }

    fn signature(&self) -> Signature {
        Signature { reads: Vec::new(), writes: vec![Slot::u32("ids", self.n, 1)] }
    }

    fn mismatch(&self, _: &Operands) -> Option<String> {
        let fits = self.low.checked_add(self.count).is_some();
        fit::unless(fits, || format!("{} ids from {} on: ids end at {}", self.count, self.low, u32::MAX))
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 4.0 * self.n as f64, flops: 0.0 }
    }

    fn made(&self, write: usize, reads: &[Option<[usize; 2]>]) -> Option<Made> {
        let _ = (write, reads);
        Some(Made::new(self.low as usize + self.count.max(1) as usize))
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let step = *io.step;
        io.write(0).par_blocks(8192, |first, mut ids| {
            vectorize(
                #[inline(always)]
                || {
                    let mut words = [0; RUN];
                    for r in (0..ids.rows).step_by(RUN) {
                        let words = &mut words[..RUN.min(ids.rows - r)];
                        draws([step.seed_lo, step.seed_hi], step.step, self.stream, (first + r) as u32, words);
                        for (i, word) in words.iter().enumerate() {
                            ids.row_u32(r + i)[0] = self.low + high(*word, self.count);
                        }
                    }
                },
            );
        });
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.n as u32, self.low, self.count, self.stream];
        let mut d = dispatch("draw_uniform", &attributes, &[], &operands.writes, self.n).looping(PHILOX);
        d.step = true;
        vec![d]
    }
}

impl Kernel for DrawAlias {
    fn name(&self) -> &'static str {
        "draw_alias"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![Slot::u32("threshold", None, 1), Slot::u32("alias", None, 1)],
            writes: vec![Slot::u32("ids", self.n, 1)],
        }
    }

    fn mismatch(&self, operands: &Operands) -> Option<String> {
        let (threshold, alias) = (operands.reads[0], operands.reads[1]);
        let some = self.n == 0 || operands.read(0).rows > 0;
        let wrong = fit::same_rows(&[("threshold", threshold), ("alias", alias)]);
        wrong.or_else(|| fit::unless(some, || format!("{} draws of no id", self.n)))
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 12.0 * self.n as f64, flops: 0.0 }
    }

    fn made(&self, write: usize, reads: &[Option<[usize; 2]>]) -> Option<Made> {
        let buckets = reads[..2].iter().flatten().map(|[rows, _]| *rows).min().unwrap_or(0);
        (write == 0).then(|| Made { of: vec![1], ..Made::new(buckets.max(1)) })
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (threshold, alias, step) = (io.read(0), io.read(1), *io.step);
        let buckets = threshold.rows.min(alias.rows) as u32;
        if buckets == 0 {
            let mut ids = io.write(0);
            return (0..ids.rows).for_each(|r| ids.row_u32(r)[0] = 0);
        }
        io.write(0).par_blocks(8192, |first, mut ids| {
            vectorize(
                #[inline(always)]
                || {
                    let mut words = [0; 2 * RUN];
                    for r in (0..ids.rows).step_by(RUN) {
                        let words = &mut words[..2 * RUN.min(ids.rows - r)];
                        let index = (2 * (first + r)) as u32;
                        draws([step.seed_lo, step.seed_hi], step.step, self.stream, index, words);
                        for (i, pair) in words.chunks_exact(2).enumerate() {
                            let bucket = high(pair[0], buckets);
                            let own = pair[1] < threshold.id(bucket as usize);
                            ids.row_u32(r + i)[0] = if own { bucket } else { alias.id(bucket as usize) };
                        }
                    }
                },
            );
        });
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let buckets = operands.read(0).rows.min(operands.read(1).rows) as u32;
        let attributes = [self.n as u32, buckets, self.stream];
        let mut d = dispatch("draw_alias", &attributes, &operands.reads, &operands.writes, self.n).looping(PHILOX);
        d.step = true;
        vec![d]
    }
}

/// Thresholds and aliases for draws with probabilities proportional to `weights`: bucket i is kept with probability
/// `thresholds[i] / 2^32`, else `aliases[i]` is drawn. Weights of zero are never drawn.
///
/// # Errors
///
/// [`Error::Call`] where there is no weight above zero, or one is negative or not finite.
pub fn alias_table(weights: &[f64]) -> Result<(Vec<u32>, Vec<u32>)> {
    let refuse = |what: String| Error::Call { kernel: "draw_alias", what };
    if let Some(i) = weights.iter().position(|w| !w.is_finite() || *w < 0.0) {
        return Err(refuse(format!("weight {} of id {i}: weights have to be finite and not negative", weights[i])));
    }
    let n = weights.len();
    if u32::try_from(n).is_err() {
        return Err(refuse(format!("{n} weights: ids have 32 bits")));
    }
    // Weights whose sum no f64 holds are made smaller alike, which rounds none that counts.
    let sum = |scale: f64| weights.iter().map(|w| w * scale).sum::<f64>();
    let scale = if sum(1.0).is_finite() { 1.0 } else { 2f64.powi(-64) };
    let total = sum(scale);
    if total <= 0.0 {
        return Err(refuse("no id has a weight above zero".into()));
    }
    let mut share: Vec<f64> = weights.iter().map(|w| w * scale / total * n as f64).collect();
    let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..n).partition(|i| share[*i] < 1.0);
    // What rounding leaves over at the end goes to the likeliest id, never to one of weight zero.
    let likeliest = (0..n).max_by(|a, b| weights[*a].total_cmp(&weights[*b])).unwrap_or(0);
    let mut threshold = vec![u32::MAX; n];
    let mut alias: Vec<u32> = (0..n as u32).collect();
    while let Some(i) = small.pop() {
        let Some(&j) = large.last() else {
            if weights[i] == 0.0 {
                (threshold[i], alias[i]) = (0, likeliest as u32);
            }
            continue;
        };
        threshold[i] = (share[i] * 4_294_967_296.0).min(f64::from(u32::MAX)) as u32;
        alias[i] = j as u32;
        share[j] -= 1.0 - share[i];
        if share[j] < 1.0 {
            large.pop();
            small.push(j);
        }
    }
    Ok((threshold, alias))
}
