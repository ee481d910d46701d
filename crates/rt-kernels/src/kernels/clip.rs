//! Clipping gradients by their global norm: squared sums in fixed parts, one factor, gradients times the factor.

use super::cells::{dispatch, each_row, places};
use super::fit;
use crate::simd::{dot, vectorize};
use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, Mat, Operands, Signature, Slot};
use std::ops::Range;

/// Partial sums of a [`SquaredNorm`].
pub const NORM_PARTS: usize = 64;

/// Sums of squares of a matrix in [`NORM_PARTS`] parts: part p is rows `p run .. (p + 1) run`, `run = ceil(rows / parts)`.
/// Where `first` is given, only as many rows count as the table has distinct ids in the step (the output of
/// [`SegmentSum`](super::SegmentSum)).
///
/// Squares overflow from 1.8e19 on, so of each part there are two sums: of `x^2`, and of `(x / 2^80)^2`, which holds for every float
/// but is 0 for small ones.
///
/// Reads `x` `[rows, cols]`, optional `first` `[tables + 1, 1]` u32; writes `parts` `[NORM_PARTS, 2]`. A part is summed in an
/// order that its shape fixes: up to 32,768 cells in one piece, else in pieces of as many, added ascending. Reads `rows * cols`
/// words, twice where squares overflow.
#[derive(Debug, Clone, PartialEq)]
pub struct SquaredNorm {
    /// Rows, at most.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// The table's number in the grouping.
    pub table: usize,
    /// Tables of the grouping.
    pub tables: usize,
}

/// 2^-80: the square of the largest float times this is 8e28, and a billion of them have a finite sum.
const SCALE: f32 = f32::from_bits((127 - 80) << 23);
/// Cells that are summed in one piece.
const PIECE: usize = 1 << 15;

/// The squares of rows, each piece of them summed by `sum`.
#[inline(always)]
fn squares(x: &Mat<'_>, rows: Range<usize>, sum: impl Fn(&[f32]) -> f32) -> f32 {
    let mut total = 0.0;
    if x.is_dense() && !rows.is_empty() {
        for piece in x.f32()[rows.start * x.cols..rows.end * x.cols].chunks(PIECE) {
            total += sum(piece);
        }
        return total;
    }
    let piece = (PIECE / x.cols.max(1)).max(1);
    for first in rows.clone().step_by(piece) {
        let mut of_piece = 0.0;
        (first..rows.end.min(first + piece)).for_each(|r| of_piece += sum(x.row(r)));
        total += of_piece;
    }
    total
}

impl SquaredNorm {
    fn part_rows(&self) -> usize {
        self.rows.div_ceil(NORM_PARTS).max(1)
    }
}

impl Kernel for SquaredNorm {
    fn name(&self) -> &'static str {
        "squared_norm"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![
                Slot::f32("x", self.rows, self.cols),
                Slot::u32("first", self.tables.saturating_add(1), 1).optional(),
            ],
            writes: vec![Slot::f32("parts", NORM_PARTS, 2)],
        }
    }

    fn mismatch(&self, operands: &Operands) -> Option<String> {
        operands.reads[1].and_then(|_| fit::table(self.table, self.tables))
    }

    fn cost(&self) -> Cost {
        let cells = (self.rows * self.cols) as f64;
        Cost { bytes: 4.0 * cells, flops: 2.0 * cells }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (x, first) = (io.read(0), io.read_opt(1));
        let counted = first
            .map_or(self.rows, |first| first.id(self.table + 1).saturating_sub(first.id(self.table)) as usize)
            .min(self.rows);
        let run = self.part_rows();
        io.write(0).par_blocks(4, |begin, mut parts| {
            vectorize(
                #[inline(always)]
                || {
                    for p in 0..parts.rows {
                        let rows = ((begin + p) * run).min(counted)..((begin + p + 1) * run).min(counted);
                        let sum = squares(&x, rows.clone(), |cells| dot(cells, cells));
                        let scaled = match sum.is_finite() {
                            true => sum * SCALE * SCALE,
                            false => squares(&x, rows, |cells| cells.iter().map(|x| (x * SCALE) * (x * SCALE)).sum()),
                        };
                        parts.row(p).copy_from_slice(&[sum, scaled]);
                    }
                },
            );
        });
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let given = u32::from(operands.reads[1].is_some());
        let mut params = vec![self.rows as u32, self.cols as u32, self.part_rows() as u32, self.table as u32, given, 0];
        params.extend(places(&operands.reads));
        params.extend(places(&operands.writes));
        vec![Dispatch {
            shader: "squared_norm",
            constants: vec![],
            params,
            step: false,
            bindings: vec![
                Binding::read(operands.reads[0]),
                Binding::read(operands.reads[1]),
                Binding::write(operands.writes[0]),
            ],
            workgroups: NORM_PARTS,
            // Once more if squares overflow.
            iterations: 2 * (self.part_rows() * self.cols).div_ceil(64) + 9,
        }]
    }
}

/// What gradients are multiplied with so that their norm is at most `clip` (Pascanu et al. 2013): `clip / norm` where
/// `norm = sqrt(sum of parts)` is above it, else 1. Of a norm that is NaN the factor is NaN: it must not pass for a small one.
///
/// Reads `parts` `[n, 2]` of [`SquaredNorm`], summed ascending: the second column where the first overflows; writes `factor`
/// `[1, 1]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipFactor {
    /// Parts.
    pub n: usize,
    /// The largest norm.
    pub clip: f32,
}

impl Kernel for ClipFactor {
    fn name(&self) -> &'static str {
        "clip_factor"
    }

    fn signature(&self) -> Signature {
        Signature { reads: vec![Slot::f32("parts", self.n, 2)], writes: vec![Slot::f32("factor", 1, 1)] }
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 4.0 * (2 * self.n + 1) as f64, flops: 2.0 * self.n as f64 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let parts = io.read(0);
        let (mut sum, mut scaled) = (0.0f32, 0.0f32);
        for p in 0..self.n {
            sum += parts.row(p)[0];
            scaled += parts.row(p)[1];
        }
        let (norm, clip) = if sum.is_finite() { (sum.sqrt(), self.clip) } else { (scaled.sqrt(), self.clip * SCALE) };
        io.write(0).row(0)[0] = if norm <= clip { 1.0 } else { clip / norm };
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.n as u32, self.clip.to_bits(), (self.clip * SCALE).to_bits(), 0];
        let mut d = dispatch("clip_factor", &attributes, &operands.reads, &operands.writes, 1);
        d.workgroups = 1;
        vec![d.looping(self.n + 1)]
    }
}

/// `out = factor x`, the factor on the device: x, out `[rows, cols]`, factor `[1, 1]`. Moves `2 rows cols` words.
#[derive(Debug, Clone, PartialEq)]
pub struct ScaleBy {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

impl Kernel for ScaleBy {
    fn name(&self) -> &'static str {
        "scale_by"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![Slot::f32("x", self.rows, self.cols), Slot::f32("factor", 1, 1)],
            writes: vec![Slot::f32("out", self.rows, self.cols)],
        }
    }

    fn cost(&self) -> Cost {
        let cells = (self.rows * self.cols) as f64;
        Cost { bytes: 8.0 * cells, flops: cells }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (x, factor) = (io.read(0), io.read(1).row(0)[0]);
        each_row(
            io.write(0),
            #[inline(always)]
            |r, out| {
                for (out, x) in out.iter_mut().zip(x.row(r)) {
                    *out = factor * x;
                }
            },
        );
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.cols as u32];
        vec![dispatch("scale_by", &attributes, &operands.reads, &operands.writes, self.rows * self.cols)]
    }
}
