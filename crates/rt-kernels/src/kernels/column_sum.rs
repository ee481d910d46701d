//! Sums of columns: the gradient of a bias.

use super::cells::dispatch;
use crate::simd::vectorize;
use crate::{Cost, CpuIo, Dispatch, Kernel, MatMut, Operands, Signature, Slot, Target};
use rayon::prelude::*;

/// `out[0, c] = sum over r of x[r, c]`: x `[rows, cols]`, out `[1, cols]`. Eight runs of rows are summed on their own,
/// ascending, then added in order. Reads `rows * cols` words.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnSum {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

/// Partial sums.
const PARTS: usize = 8;

impl ColumnSum {
    fn part(&self, part: usize) -> std::ops::Range<usize> {
        let run = self.rows.div_ceil(PARTS).max(1);
        (part * run).min(self.rows)..((part + 1) * run).min(self.rows)
    }
}

impl Kernel for ColumnSum {
    fn name(&self) -> &'static str {
        "column_sum"
    }

    fn signature(&self) -> Signature {
        Signature { reads: vec![Slot::f32("x", self.rows, self.cols)], writes: vec![Slot::f32("out", 1, self.cols)] }
    }

    fn cost(&self) -> Cost {
        let cells = (self.rows * self.cols) as f64;
        Cost { bytes: 4.0 * (cells + self.cols as f64), flops: cells }
    }

    fn scratch(&self, target: Target) -> Vec<usize> {
        match target {
            Target::Cpu => vec![PARTS * self.cols],
            Target::Gpu => Vec::new(),
        }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (x, mut out) = (io.read(0), io.write(0));
        let mut local;
        let parts: &mut [f32] = if io.scratch.is_empty() {
            local = vec![0.0; PARTS * self.cols]; // outside a program
            &mut local
        } else {
            io.scratch(0).into_f32()
        };
        let parts = &mut parts[..PARTS * self.cols];
        let sum = |(part, sums): (usize, &mut [f32])| {
            vectorize(
                #[inline(always)]
                || {
                    sums.fill(0.0);
                    for r in self.part(part) {
                        for (sum, x) in sums.iter_mut().zip(x.row(r)) {
                            *sum += x;
                        }
                    }
                },
            );
        };
        if self.rows * self.cols < 1 << 16 {
            parts.chunks_mut(self.cols.max(1)).enumerate().for_each(sum);
        } else {
            parts.par_chunks_mut(self.cols).enumerate().for_each(sum);
        }
        add_parts(parts, &mut out);
    }

    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::column_sum(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.cols as u32];
        let mut d = dispatch("column_sum", &attributes, &operands.reads, &operands.writes, 0);
        d.workgroups = self.cols.div_ceil(8);
        vec![d]
    }
}

fn add_parts(parts: &[f32], out: &mut MatMut<'_>) {
    let cols = out.cols;
    for (c, out) in out.row(0).iter_mut().enumerate() {
        *out = (0..PARTS).map(|p| parts[p * cols + c]).sum();
    }
}
