//! Sums of columns: the gradient of a bias.

use crate::parallel::chunks_f32;
use crate::simd::vectorize;
use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, MatMut, Operands, Signature, Slot, Target};

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
        let sum = |part: usize, sums: &mut [f32]| {
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
            parts.chunks_mut(self.cols.max(1)).enumerate().for_each(|(part, sums)| sum(part, sums));
        } else {
            chunks_f32(parts, self.cols, &sum);
        }
        add_parts(parts, &mut out);
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
    reads: Vec<usize>,
    out: usize,
    groups: usize,
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
        Dispatch { shader: "column_sum", constants: vec![], params, step: false, bindings, workgroups: self.groups }
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
            let (x, out) = (operands.read(i), operands.write(i));
            let room = |t: &Together| t.out == out.buffer && t.words.len() < 8 * SUMS && t.slot(x.buffer).is_some();
            let place = open.iter().position(room).unwrap_or_else(|| {
                open.push(Together { reads: vec![], out: out.buffer, groups: 0, words: vec![] });
                open.len() - 1
            });
            let some = &mut open[place];
            let slot = some.slot(x.buffer).unwrap_or_default();
            if slot == some.reads.len() {
                some.reads.push(x.buffer);
            }
            let words = [some.groups, one.rows, one.cols, slot, x.offset, x.stride, out.offset, 0];
            some.words.extend(words.map(|x| x as u32));
            some.groups += one.cols.div_ceil(8);
        }
        open.into_iter().map(Together::dispatch).collect()
    }
}

fn add_parts(parts: &[f32], out: &mut MatMut<'_>) {
    let cols = out.cols;
    for (c, out) in out.row(0).iter_mut().enumerate() {
        *out = (0..PARTS).map(|p| parts[p * cols + c]).sum();
    }
}
