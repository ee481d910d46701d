//! The norm of a step's gradient, kept in a ring by step: is it a number?

use super::fit;
use crate::{Binding, Cost, CpuIo, Dispatch, Dtype, Kernel, Mat, Operands, Signature, Slot};
use rayon::prelude::*;

/// `out[step % ring] = max |x|` over the cells of several matrices, the maximum norm of all of them together: NaN if any cell is,
/// else infinite if any is. Squares would overflow from 1.8e19 on. Compared are the words of the floats without their signs, which
/// no driver takes to be numbers.
///
/// Reads each matrix `[rows, cols]`; writes out `[ring, 1]`, ring 2 at least. The cell of the step after this one becomes 0, because
/// on the GPU workgroups put their maxima together there: what is in a cell holds until its step comes near again.
///
/// Steps come one after the other, each number once. No launch but this one of the step before makes a step's cell 0, so on the GPU
/// the cell of a step whose number repeats or jumps becomes the larger of its norm and of what the cell holds already, NaN if either
/// is; the CPU starts anew.
///
/// On the GPU one dispatch for up to 16 matrices in six buffers. Reads `rows * cols` words of each.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientNorm {
    /// Rows and columns of each matrix.
    pub list: Vec<[usize; 2]>,
    /// Steps that are kept, 2 at least.
    pub ring: usize,
}

/// Matrices of a dispatch, and the buffers that it binds, as in the shader.
const MATRICES: usize = 16;
const SLOTS: usize = 6;
/// Cells of a workgroup: of each lane sixteen.
const CELLS: usize = 4096;
/// All bits but the sign.
const MAGNITUDE: u32 = 0x7FFF_FFFF;
/// Cells of a task.
const TASK: usize = 1 << 15;

/// Matrices that share a dispatch.
#[derive(Default)]
struct Together {
    buffers: Vec<usize>,
    groups: usize,
    words: Vec<u32>,
}

impl Together {
    /// The place of a buffer among those that are read, if there is one for it.
    fn slot(&self, buffer: usize) -> Option<usize> {
        let known = self.buffers.iter().position(|b| *b == buffer);
        known.or((self.buffers.len() < SLOTS).then_some(self.buffers.len()))
    }
}

impl Kernel for GradientNorm {
    fn name(&self) -> &'static str {
        "gradient_norm"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: self.list.iter().map(|[rows, cols]| Slot::f32("gradient", *rows, *cols)).collect(),
            writes: vec![Slot { dtype: Dtype::F32, ..Slot::f32("norm", self.ring, 1) }.in_place()],
        }
    }

    fn mismatch(&self, _: &Operands) -> Option<String> {
        fit::unless(self.ring > 1, || format!("a ring of {}: 2 at least, this step's and the next one's", self.ring))
    }

    fn cost(&self) -> Cost {
        let cells: usize = self.list.iter().map(|[rows, cols]| rows * cols).sum();
        Cost { bytes: 4.0 * cells as f64, flops: cells as f64 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let most = (0..self.list.len()).map(|i| largest(&io.read(i))).max().unwrap_or(0);
        let (own, ring) = (io.step.step as usize % self.ring, self.ring);
        let mut out = io.write(0);
        out.row((own + 1) % ring)[0] = 0.0;
        out.row(own)[0] = f32::from_bits(most);
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let out = operands.write(0);
        let mut open: Vec<Together> = Vec::new();
        for (i, [rows, cols]) in self.list.iter().enumerate().filter(|(_, [rows, cols])| rows * cols > 0) {
            let x = operands.read(i);
            let room = |t: &Together| t.words.len() < 8 * MATRICES && t.slot(x.buffer).is_some();
            let place = open.iter().position(room).unwrap_or_else(|| {
                open.push(Together::default());
                open.len() - 1
            });
            let some = &mut open[place];
            let slot = some.slot(x.buffer).unwrap_or_default();
            if slot == some.buffers.len() {
                some.buffers.push(x.buffer);
            }
            let cells = rows * cols;
            some.words.extend([some.groups, cells, *cols, slot, x.offset, x.stride, 0, 0].map(|x| x as u32));
            some.groups += cells.div_ceil(CELLS);
        }
        let dispatch = |t: Together| {
            let (matrices, ring) = ((t.words.len() / 8) as u32, self.ring as u32);
            let mut params = vec![matrices, ring, out.offset as u32, out.stride as u32];
            params.extend(t.words);
            params.resize(4 + 8 * MATRICES, 0);
            let mut bindings: Vec<Binding> = t.buffers.into_iter().map(Binding::Read).collect();
            bindings.resize(SLOTS, Binding::NoRead);
            bindings.push(Binding::Write(out.buffer));
            let (shader, constants, workgroups) = ("gradient_norm", vec![], t.groups);
            // The matrix, a lane's cells, the tree over the lanes.
            let iterations = MATRICES + CELLS / 256 + 8;
            Dispatch { shader, constants, params, step: true, bindings, workgroups, iterations }
        };
        open.into_iter().map(dispatch).collect()
    }
}

/// The largest word of a matrix without its sign.
fn largest(x: &Mat<'_>) -> u32 {
    let of = |words: &[f32]| words.iter().fold(0, |most: u32, x| most.max(x.to_bits() & MAGNITUDE));
    let vectors = |words: &[f32]| {
        crate::simd::vectorize(
            #[inline(always)]
            || of(words),
        )
    };
    if x.is_dense() {
        let words = &x.f32()[..x.rows * x.cols];
        if words.len() <= 2 * TASK {
            return vectors(words);
        }
        return words.par_chunks(TASK).map(vectors).max().unwrap_or(0);
    }
    if x.rows * x.cols <= 2 * TASK {
        return (0..x.rows).map(|r| vectors(x.row(r))).max().unwrap_or(0);
    }
    (0..x.rows).into_par_iter().with_min_len(TASK / x.cols.max(1) + 1).map(|r| vectors(x.row(r))).max().unwrap_or(0)
}
