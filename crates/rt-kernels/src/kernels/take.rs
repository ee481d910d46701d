//! Rows by number: words of either type.

use super::Lookup;
use super::cells::{copy_row, dispatch, each_block};
use crate::{Cost, CpuIo, Dispatch, Dtype, Kernel, Made, Operands, Signature, Slot};

/// `out[i, :] = table[ids[i], :]`, zeros for an id past the table, words of either type: table `[any, cols]`, ids `[rows, 1]` u32, out `[rows, cols]`.
/// Moves `2 * rows * cols + rows` words.
#[derive(Debug, Clone, PartialEq)]
pub struct Take {
    /// Rows taken.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

impl Kernel for Take {
    fn name(&self) -> &'static str {
        "take"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![Slot::u32("table", None, self.cols).either(), Slot::u32("ids", self.rows, 1)],
            writes: vec![Slot::u32("out", self.rows, self.cols).either()],
        }
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 4.0 * (2 * self.rows * self.cols + self.rows) as f64, flops: 0.0 }
    }

    fn lookup(&self) -> Option<Lookup> {
        // Words of either type are words.
        Some(Lookup { rows: self.rows, cols: self.cols, dtype: Dtype::U32 })
    }

    fn made(&self, write: usize, reads: &[Option<[usize; 2]>]) -> Option<Made> {
        let _ = (write, reads);
        Some(Made::rows(0))
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (table, ids) = (io.read(0), io.read(1));
        each_block(io.write(0), |first, mut out| {
            for r in 0..out.rows {
                copy_row(&table, ids.id(first + r), out.row_u32(r));
            }
        });
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows, self.cols, operands.read(0).rows].map(|x| x as u32);
        vec![dispatch("take", &attributes, &operands.reads, &operands.writes, self.rows * self.cols)]
    }
}
