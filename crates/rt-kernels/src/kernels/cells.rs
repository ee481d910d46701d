//! What kernels that work cell by cell share: the cut into rows on the CPU, the launch on the GPU.

use crate::parallel::join;
use crate::simd::vectorize;
use crate::{Binding, Dispatch, Mat, MatMut, Operand};

/// Iterations of Philox's rounds, and of what the four words of a counter are for, with the passes that end both loops.
pub(super) const PHILOX: usize = 11 + 5;

/// Matrices of fewer cells run on one thread: they take less time than waking another.
const SMALL: usize = 1 << 15;

/// Gives each row of `out` with its number to `f`, in parallel where there are many cells. `f` has to be
/// `#[inline(always)]` to be compiled for the processor's best instruction set.
pub(super) fn each_row(out: MatMut<'_>, f: impl Fn(usize, &mut [f32]) + Sync + Send) {
    each_block(out, |first, mut block| {
        vectorize(
            #[inline(always)]
            || {
                for r in 0..block.rows {
                    f(first + r, block.row(r));
                }
            },
        );
    });
}

/// `out = table[id, :]`, words of either type; zeros for an id past the table.
#[inline(always)]
pub(super) fn copy_row(table: &Mat<'_>, id: u32, out: &mut [u32]) {
    if (id as usize) < table.rows {
        out.copy_from_slice(table.row_u32(id as usize));
    } else {
        out.fill(0);
    }
}

/// First cell of row `id`; 0 for an id past the table.
#[inline(always)]
pub(super) fn cell_or_zero(table: &Mat<'_>, id: u32) -> f32 {
    if (id as usize) < table.rows { table.row(id as usize)[0] } else { 0.0 }
}

/// Gives blocks of rows of `out`, with the first row of each, to `f`, in parallel where there are many cells.
pub(super) fn each_block(out: MatMut<'_>, f: impl Fn(usize, MatMut<'_>) + Sync + Send) {
    let block = block(&out);
    out.par_blocks(block, f);
}

/// Rows of a block, by shapes alone.
fn block(out: &MatMut<'_>) -> usize {
    let few = out.rows * out.cols <= SMALL;
    if few { out.rows.max(1) } else { (SMALL / 2 / out.cols.max(1)).max(1) }
}

/// Block of rows of an output and of a second one, if it was given.
type OnBoth<'f> = dyn Fn(usize, MatMut<'_>, Option<MatMut<'_>>) + Sync + 'f;

/// [`each_block`] of an output and, if it was given, a second one with as many rows.
pub(super) fn each_block_of_both(out: MatMut<'_>, also: Option<MatMut<'_>>, f: &OnBoth<'_>) {
    fn halve(first: usize, block: usize, out: MatMut<'_>, also: Option<MatMut<'_>>, f: &OnBoth<'_>) {
        if out.rows <= block {
            return f(first, out, also);
        }
        let at = out.rows.div_ceil(block) / 2 * block;
        let (a, b) = out.split_rows(at);
        let (also_a, also_b) = also.map(|m| m.split_rows(at)).unzip();
        join(|| halve(first, block, a, also_a, f), || halve(first + at, block, b, also_b, f));
    }
    let block = block(&out);
    halve(0, block, out, also, f);
}

/// Offset and stride of each operand; zeros for one that was not given.
pub(super) fn places(operands: &[Option<Operand>]) -> impl Iterator<Item = u32> {
    operands.iter().flat_map(|o| o.map_or([0, 0], |o| [o.offset as u32, o.stride as u32]))
}

/// A dispatch of `invocations` in workgroups of 64, whose params are `attributes` and then the place of each operand,
/// reads before writes. For a shader without loops; others say [`Dispatch::looping`].
pub(super) fn dispatch(
    shader: &'static str,
    attributes: &[u32],
    reads: &[Option<Operand>],
    writes: &[Option<Operand>],
    invocations: usize,
) -> Dispatch {
    let mut params = attributes.to_vec();
    params.extend(places(reads));
    params.extend(places(writes));
    let read = reads.iter().map(|o| Binding::read(*o));
    let write = writes.iter().map(|o| Binding::write(*o));
    Dispatch {
        shader,
        constants: Vec::new(),
        params,
        step: false,
        bindings: read.chain(write).collect(),
        workgroups: invocations.div_ceil(64),
        iterations: 0,
    }
}
