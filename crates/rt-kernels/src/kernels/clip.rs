//! Clipping gradients by their global norm: squared sums in fixed parts, one factor, gradients times the factor.

use super::cells::{dispatch, each_row, places};
use crate::simd::{dot, vectorize};
use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// Partial sums of a [`SquaredNorm`].
pub const NORM_PARTS: usize = 64;

/// Sums of squares of a matrix in [`NORM_PARTS`] parts: part p is rows `p run .. (p + 1) run`, `run = ceil(rows / parts)`.
/// Where `first` is given, only as many rows count as the table has distinct ids in the step (the output of
/// [`SegmentSum`](super::SegmentSum)).
///
/// Reads `x` `[rows, cols]`, optional `first` `[tables + 1, 1]` u32; writes `parts` `[NORM_PARTS, 1]`. A part is summed in an
/// order that its shape fixes. Reads `rows * cols` words.
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
            reads: vec![Slot::f32("x", self.rows, self.cols), Slot::u32("first", self.tables + 1, 1).optional()],
            writes: vec![Slot::f32("parts", NORM_PARTS, 1)],
        }
    }

    fn cost(&self) -> Cost {
        let cells = (self.rows * self.cols) as f64;
        Cost { bytes: 4.0 * cells, flops: 2.0 * cells }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (x, first) = (io.read(0), io.read_opt(1));
        let counted = first
            .map_or(self.rows, |first| ((first.id(self.table + 1) - first.id(self.table)) as usize).min(self.rows));
        let run = self.part_rows();
        io.write(0).par_blocks(4, |begin, mut parts| {
            vectorize(
                #[inline(always)]
                || {
                    for p in 0..parts.rows {
                        let (from, to) = (((begin + p) * run).min(counted), ((begin + p + 1) * run).min(counted));
                        let mut sum = 0.0;
                        if x.is_dense() && from < to {
                            let cells = &x.f32()[from * self.cols..to * self.cols];
                            sum = dot(cells, cells);
                        } else {
                            for r in from..to {
                                sum += dot(x.row(r), x.row(r));
                            }
                        }
                        parts.row(p)[0] = sum;
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
        }]
    }
}

/// What gradients are multiplied with so that their norm is at most `clip` (Pascanu et al. 2013): `clip / norm` where
/// `norm = sqrt(sum of parts)` is above it, else 1.
///
/// Reads `parts` `[n, 1]`, summed ascending; writes `factor` `[1, 1]`.
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
        Signature { reads: vec![Slot::f32("parts", self.n, 1)], writes: vec![Slot::f32("factor", 1, 1)] }
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 4.0 * (self.n + 1) as f64, flops: self.n as f64 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let parts = io.read(0);
        let mut sum = 0.0f32;
        for p in 0..self.n {
            sum += parts.row(p)[0];
        }
        let norm = sum.sqrt();
        io.write(0).row(0)[0] = if norm > self.clip { self.clip / norm } else { 1.0 };
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.n as u32, self.clip.to_bits()];
        let mut d = dispatch("clip_factor", &attributes, &operands.reads, &operands.writes, 1);
        d.workgroups = 1;
        vec![d]
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
