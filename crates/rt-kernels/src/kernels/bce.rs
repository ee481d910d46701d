//! Binary cross-entropy with logits.

use super::activation::sigmoid;
use super::cells::dispatch;
use super::fit;
use crate::simd::{exp, vectorize};
use crate::{Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// `loss_i = weight_i * mean_j (max(z, 0) - z y + ln(1 + exp(-|z|)))`, `dz_ij = weight_i / n * (sigmoid(z) - y)`: z `[rows, n]`,
/// weight `[rows, 1]`, labels y `[rows, n]` or none (column 0 is 1, the others 0), ids `[rows, n]` u32 or none; loss `[rows, 1]`,
/// dz `[rows, n]` or none. With ids a cell j >= 1 that has the id of column 0 does not count, and the mean is over the others.
/// Sums run over j ascending.
#[derive(Debug, Clone, PartialEq)]
pub struct BceWithLogits {
    /// Rows.
    pub rows: usize,
    /// Logits of a row.
    pub n: usize,
}

impl Kernel for BceWithLogits {
    fn name(&self) -> &'static str {
        "bce_with_logits"
    }

    fn signature(&self) -> Signature {
        let (rows, n) = (self.rows, self.n);
        Signature {
            reads: vec![
                Slot::f32("z", rows, n),
                Slot::f32("weight", rows, 1),
                Slot::f32("labels", rows, n).optional(),
                Slot::u32("ids", rows, n).optional(),
            ],
            writes: vec![Slot::f32("loss", rows, 1), Slot::f32("dz", rows, n).optional()],
        }
    }

    fn mismatch(&self, _: &Operands) -> Option<String> {
        fit::unless(self.n > 0 || self.rows == 0, || {
            format!("{} rows of no logit: the first is the positive", self.rows)
        })
    }

    fn cost(&self) -> Cost {
        let cells = (self.rows * self.n) as f64;
        Cost { bytes: 12.0 * cells + 8.0 * self.rows as f64, flops: 8.0 * cells }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (z, weight, labels, ids) = (io.read(0), io.read(1), io.read_opt(2), io.read_opt(3));
        let (mut loss, mut dz) = (io.write(0), io.write_opt(1));
        vectorize(
            #[inline(always)]
            || {
                for i in 0..self.rows {
                    let counts = |j: usize| j == 0 || ids.is_none_or(|m| m.row_u32(i)[j] != m.row_u32(i)[0]);
                    let number = ids.map_or(self.n, |_| (0..self.n).filter(|j| counts(*j)).count());
                    let w = weight.row(i)[0] / number as f32;
                    let label = |j: usize| match labels {
                        Some(labels) => labels.row(i)[j],
                        None if j == 0 => 1.0,
                        None => 0.0,
                    };
                    let mut sum = 0.0;
                    for (j, z) in z.row(i).iter().enumerate().filter(|(j, _)| counts(*j)) {
                        let (high, magnitude) = if *z > 0.0 { (*z, *z) } else { (0.0, -z) };
                        sum += high - z * label(j) + exp(-magnitude).ln_1p();
                    }
                    loss.row(i)[0] = w * sum;
                    if let Some(dz) = &mut dz {
                        for (j, (dz, z)) in dz.row(i).iter_mut().zip(z.row(i)).enumerate() {
                            *dz = if counts(j) { w * (sigmoid(*z) - label(j)) } else { 0.0 };
                        }
                    }
                }
            },
        );
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let flags = u32::from(operands.reads[2].is_some())
            | u32::from(operands.writes[1].is_some()) << 1
            | u32::from(operands.reads[3].is_some()) << 2;
        let attributes = [self.rows as u32, self.n as u32, flags];
        vec![dispatch("bce", &attributes, &operands.reads, &operands.writes, self.rows).looping(2 * self.n + 2)]
    }
}
