//! A queue of the last batches that stays on the device.

use super::cells::{dispatch, each_block};
use super::fit;
use crate::{Cost, CpuIo, Dispatch, Kernel, Made, MatMut, Operands, Signature, Slot};

/// Rows `s * rows .. (s + 1) * rows` of the queue become x, words of either type, where s = (step - 1) % slots: the oldest of
/// `slots` batches makes room. x `[rows, cols]`; queue `[slots * rows, cols]`, updated in place. Moves `2 * rows * cols` words.
/// Source: Wang et al. 2021, "Cross-batch negative sampling for training two-tower recommenders".
#[derive(Debug, Clone, PartialEq)]
pub struct QueuePush {
    /// Rows of a batch.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Batches that the queue holds.
    pub slots: usize,
}

impl Kernel for QueuePush {
    fn name(&self) -> &'static str {
        "queue_push"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![Slot::u32("x", self.rows, self.cols).either()],
            writes: vec![Slot::u32("queue", self.slots.saturating_mul(self.rows), self.cols).either().in_place()],
        }
    }

    fn mismatch(&self, _: &Operands) -> Option<String> {
        fit::unless(self.slots > 0, || "a queue of no slot".to_owned())
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 8.0 * (self.rows * self.cols) as f64, flops: 0.0 }
    }

    fn made(&self, write: usize, reads: &[Option<[usize; 2]>]) -> Option<Made> {
        let _ = (write, reads);
        Some(Made::rows(0))
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (x, slots) = (io.read(0), self.slots.max(1));
        let first = (io.step.step.max(1) - 1) as usize % slots * self.rows;
        let queue = io.write(0);
        let (cols, stride) = (queue.cols, queue.stride);
        let words = queue.into_u32();
        let end = words.len().min((first + self.rows) * stride);
        each_block(MatMut::new(&mut words[first * stride..end], self.rows, cols, stride), |from, mut block| {
            for r in 0..block.rows {
                block.row_u32(r).copy_from_slice(x.row_u32(from + r));
            }
        });
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.cols as u32, self.slots as u32];
        let cells = self.rows * self.cols;
        let mut d = dispatch("queue_push", &attributes, &operands.reads, &operands.writes, cells);
        d.step = true;
        vec![d]
    }
}
