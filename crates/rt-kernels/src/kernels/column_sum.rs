//! Sums of columns: the gradient of a bias.

use super::sums::{FEW, GROUP, Order, eight};
use crate::parallel::chunks_f32;
use crate::simd::vectorize;
use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, Mat, Operands, Signature, Slot, Target};

/// `out[0, c] = sum over r of x[r, c]`: x `[rows, cols]`, out `[1, cols]`. Up to 16,384 rows eight runs are summed on their own,
/// ascending, then added in order; more are cut into 32 parts, in the order that `sums.rs` states. Reads `rows * cols` words.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnSum {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

/// Partial sums of many rows: with eight columns the lanes of a workgroup.
const MANY: usize = 32;

impl ColumnSum {
    fn order(&self) -> Order {
        Order::new(self.rows, MANY)
    }

    /// Words of a part on the CPU: its sums and, of a long one, those of the block that it is at.
    fn part_words(&self) -> usize {
        if self.order().is_long() { 2 * self.cols } else { self.cols }
    }

    /// Sums a part. For use inside [`vectorize`].
    #[inline(always)]
    fn part(&self, order: &Order, x: &Mat<'_>, part: usize, words: &mut [f32]) {
        let (sums, block) = words.split_at_mut(self.cols);
        let rows = order.part(part);
        sums.fill(0.0);
        if !order.is_long() {
            for r in rows {
                plus(sums, x.row(r));
            }
            return;
        }
        block.fill(0.0);
        let mut filled = 0;
        for first in rows.clone().step_by(GROUP) {
            if first + GROUP <= rows.end {
                let x: [&[f32]; GROUP] = std::array::from_fn(|i| &x.row(first + i)[..sums.len()]);
                for (c, block) in block.iter_mut().enumerate() {
                    *block += eight(std::array::from_fn(|i| x[i][c]));
                }
            } else {
                for (c, block) in block.iter_mut().enumerate() {
                    let cell = |i: usize| if first + i < rows.end { x.row(first + i)[c] } else { 0.0 };
                    *block += eight(std::array::from_fn(cell));
                }
            }
            filled += 1;
            if filled == order.block {
                plus(sums, block);
                block.fill(0.0);
                filled = 0;
            }
        }
        plus(sums, block);
    }
}

#[inline(always)]
fn plus(sums: &mut [f32], x: &[f32]) {
    for (sum, x) in sums.iter_mut().zip(x) {
        *sum += x;
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
            Target::Cpu => vec![self.order().parts * self.part_words()],
            Target::Gpu => Vec::new(),
        }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (x, mut out, order, stride) = (io.read(0), io.write(0), self.order(), self.part_words());
        let words = order.parts * stride;
        let mut local;
        let parts: &mut [f32] = if io.scratch.is_empty() {
            local = vec![0.0; words]; // outside a program
            &mut local
        } else {
            io.scratch(0).into_f32()
        };
        let parts = &mut parts[..words];
        let sum = |part: usize, words: &mut [f32]| {
            vectorize(
                #[inline(always)]
                || self.part(&order, &x, part, words),
            );
        };
        if self.rows * self.cols < 1 << 16 {
            parts.chunks_mut(stride.max(1)).enumerate().for_each(|(part, words)| sum(part, words));
        } else {
            chunks_f32(parts, stride, &sum);
        }
        order.join(parts, self.cols, stride);
        out.row(0).copy_from_slice(&parts[..self.cols]);
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::column_sum(self, io);
        true
    }

    fn column_sum(&self) -> Option<Self> {
        Some(self.clone())
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        ColumnSums { list: vec![self.clone()] }.dispatches(operands)
    }
}

/// [`ColumnSum`] of several matrices.
///
/// Reads x and writes out of each in turn. On the GPU one dispatch for up to 16 whose x lie in six buffers and whose outs lie in
/// one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnSums {
    /// The sums.
    pub list: Vec<ColumnSum>,
}

/// Sums of a dispatch, and the matrices that it binds, as in the shader.
const SUMS: usize = 16;
const SLOTS: usize = 6;

/// Sums that share a dispatch.
struct Together {
    /// Partial sums of each: those of long sums are more lanes.
    parts: usize,
    reads: Vec<usize>,
    out: usize,
    groups: usize,
    iterations: usize,
    words: Vec<u32>,
}

impl Together {
    /// The place of a buffer among those that are read, if there is one for it.
    fn slot(&self, buffer: usize) -> Option<usize> {
        let known = self.reads.iter().position(|b| *b == buffer);
        known.or((self.reads.len() < SLOTS).then_some(self.reads.len()))
    }

    fn dispatch(self) -> Dispatch {
        let mut params = vec![(self.words.len() / 8) as u32, 0, 0, 0];
        params.extend(self.words);
        params.resize(4 + 8 * SUMS, 0);
        let mut bindings: Vec<Binding> = self.reads.into_iter().map(Binding::Read).collect();
        bindings.resize(SLOTS, Binding::NoRead);
        bindings.push(Binding::Write(self.out));
        let constants = if self.parts == FEW { vec![] } else { vec![("PARTS", self.parts as f64)] };
        let (workgroups, iterations) = (self.groups, self.iterations);
        Dispatch { shader: "column_sum", constants, params, step: false, bindings, workgroups, iterations }
    }
}

impl Kernel for ColumnSums {
    fn name(&self) -> &'static str {
        "column_sum"
    }

    fn signature(&self) -> Signature {
        let mut all = Signature::default();
        for one in self.list.iter().map(Kernel::signature) {
            all.reads.extend(one.reads);
            all.writes.extend(one.writes);
        }
        all
    }

    fn cost(&self) -> Cost {
        self.list.iter().fold(Cost::default(), |sum, one| sum + one.cost())
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        for (i, one) in self.list.iter().enumerate() {
            one.run(&mut CpuIo::new(io.step, vec![io.read_opt(i)], vec![io.write_opt(i)]));
        }
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        for (i, one) in self.list.iter().enumerate() {
            one.run_naive(&mut CpuIo::new(io.step, vec![io.read_opt(i)], vec![io.write_opt(i)]));
        }
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let mut open: Vec<Together> = Vec::new();
        for (i, one) in self.list.iter().enumerate().filter(|(_, one)| one.cols > 0) {
            let (x, out, order) = (operands.read(i), operands.write(i), one.order());
            let room = |t: &Together| {
                t.parts == order.parts && t.out == out.buffer && t.words.len() < 8 * SUMS && t.slot(x.buffer).is_some()
            };
            let place = open.iter().position(room).unwrap_or_else(|| {
                open.push(Together {
                    parts: order.parts,
                    reads: vec![],
                    out: out.buffer,
                    groups: 0,
                    iterations: 0,
                    words: vec![],
                });
                open.len() - 1
            });
            let some = &mut open[place];
            let slot = some.slot(x.buffer).unwrap_or_default();
            if slot == some.reads.len() {
                some.reads.push(x.buffer);
            }
            let words = [some.groups, one.rows, one.cols, slot, x.offset, x.stride, out.offset, order.block];
            some.words.extend(words.map(|x| x as u32));
            some.groups += one.cols.div_ceil(8);
            some.iterations = some.iterations.max(SUMS + order.iterations());
        }
        open.into_iter().map(Together::dispatch).collect()
    }
}
