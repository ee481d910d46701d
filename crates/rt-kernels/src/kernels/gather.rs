//! Rows of a table by id.

use super::Lookup;
use super::cells::copy_row;
use super::prefetch::prefetch_row;
use crate::simd::vectorize;
use crate::slabs::each_slab;
use crate::{Binding, Cost, CpuIo, Dispatch, Dtype, Kernel, Operands, Signature, SlabCall, Slot};
use std::ops::Range;

/// Row lookup: `out[i, :] = table[ids[i], :]`, zeros for an id past the table.
///
/// Reads `table` `[any, dim]`, `ids` `[rows, 1]` u32; writes `out` `[rows, dim]`.
/// Moves `2 * rows * dim + rows` words, no arithmetic.
#[derive(Debug, Clone, PartialEq)]
pub struct Gather {
    /// Rows looked up.
    pub rows: usize,
    /// Columns of the table.
    pub dim: usize,
}

impl Kernel for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![Slot::f32("table", None, self.dim), Slot::u32("ids", self.rows, 1)],
            writes: vec![Slot::f32("out", self.rows, self.dim)],
        }
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 4.0 * (2 * self.rows * self.dim + self.rows) as f64, flops: 0.0 }
    }

    fn lookup(&self) -> Option<Lookup> {
        Some(Lookup { rows: self.rows, cols: self.dim, dtype: Dtype::F32 })
    }

    fn on_slabs(&self, slabs: &[Range<usize>]) -> Option<Vec<SlabCall>> {
        Some(each_slab(slabs, |dim| Self { dim, ..*self }))
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        const AHEAD: usize = 32;
        let (table, ids, out) = (io.read(0), io.read(1), io.write(0));
        let block = (16_384 / self.dim.max(1)).max(16);
        out.par_blocks(block, |first, mut out| {
            vectorize(
                #[inline(always)]
                || {
                    for r in 0..out.rows {
                        if r + AHEAD < out.rows {
                            prefetch_row(&table, ids.id(first + r + AHEAD));
                        }
                        copy_row(&table, ids.id(first + r), out.row_u32(r));
                    }
                },
            );
        });
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::gather(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let (table, ids, out) = (operands.read(0), operands.read(1), operands.write(0));
        let mut params = vec![self.rows as u32, self.dim as u32];
        for o in [table, ids, out] {
            params.extend([o.offset as u32, o.stride as u32]);
        }
        params.push(table.rows as u32);
        vec![Dispatch {
            shader: "gather",
            constants: vec![],
            params,
            step: false,
            bindings: vec![Binding::Read(table.buffer), Binding::Read(ids.buffer), Binding::Write(out.buffer)],
            workgroups: (self.rows * self.dim).div_ceil(64),
            iterations: 0,
        }]
    }
}
