//! Matrix product with bias, addend and activation.

use super::{Activation, PartSum};
use crate::matmul::{Precision, Tile, View};
use crate::simd::vectorize;
use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, MatMut, Operands, Signature, Slot, Target, Variant};

/// `out = act(op(a) op(b) + bias + add)`, where `op` transposes if `trans_a` / `trans_b` says so.
///
/// Reads `a` `[m, k]` (`[k, m]` if `trans_a`), `b` `[k, n]` (`[n, k]` if `trans_b`), `bias` `[1, n]` or none, `add`
/// `[m, n]` or none; writes `out` `[m, n]`. `2 m n k` operations. A product that is deep and narrow (the gradient
/// of a layer's weights) is cut along k into at most [`Gemm::PARTS`] parts, added in order; the others sum over k in
/// the order of the micro-kernel (CPU: the `gemm` crate's, in bf16 ascending pairs; GPU: ascending, in every variant, which
/// have equal bits but for [`Variant::F16`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Gemm {
    /// Rows of the output.
    pub m: usize,
    /// Columns of the output.
    pub n: usize,
    /// Length of the sums.
    pub k: usize,
    /// `a` is `[k, m]`.
    pub trans_a: bool,
    /// `b` is `[n, k]`.
    pub trans_b: bool,
    /// Applied to each cell last.
    pub activation: Activation,
}

/// Products that run the same variant on a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Product {
    /// As in the [`Gemm`].
    pub trans_a: bool,
    /// As in the [`Gemm`].
    pub trans_b: bool,
    /// Has the output, all parts of a cut k together, enough cells to fill a GPU with wide tiles?
    pub big: bool,
}

/// How the CPU cuts the work; by shapes alone, so that results do not depend on the number of threads.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cut {
    /// One thread.
    Whole,
    /// Blocks of the output: rows, columns.
    Blocks(usize, usize),
    /// Ranges of k, of this length.
    Depth(usize),
}

impl Gemm {
    /// Most parts that k is cut into, but for a GPU whose parts would be longer than it bears.
    pub const PARTS: usize = 8;
    /// The longest range of k on the GPU.
    const DEEPEST: usize = 1 << 15;
    /// Products with fewer multiply-adds run on one thread: they take less time than waking another.
    const SMALL: usize = 1 << 18;
    /// Side of a tile of the GPU's kernel.
    const TILE: usize = 64;
    /// Fewest cells of a big [`Product`]: 64 wide tiles.
    const BIG: usize = 1 << 20;

    fn cut(&self) -> Cut {
        let Self { m, n, k, .. } = *self;
        if m * n * k <= Self::SMALL {
            Cut::Whole
        } else if k >= 1024 && m * n <= 1 << 16 {
            Cut::Depth(k.div_ceil(Self::PARTS).next_multiple_of(16))
        } else if m >= 64 {
            Cut::Blocks(m.div_ceil(16).next_multiple_of(8).clamp(32, 256), n.max(1))
        } else {
            Cut::Blocks(m.max(1), n.div_ceil(16).next_multiple_of(64).clamp(64, 1024))
        }
    }

    /// Ranges of k on the GPU: enough of them to keep it busy where the output has few tiles; and their length.
    fn gpu_parts(&self) -> (usize, usize) {
        let tiles = self.m.div_ceil(Self::TILE) * self.n.div_ceil(Self::TILE);
        let parts = (256 / tiles.max(1)).min(self.k / 256).clamp(1, Self::PARTS);
        // One f32 that takes more loses digits, and a driver may end the loop.
        let parts = parts.max(self.k.div_ceil(Self::DEEPEST));
        let depth = self.k.div_ceil(parts).next_multiple_of(16).max(16);
        (self.k.div_ceil(depth).max(1), depth)
    }

    /// Do these operands lie in whole vec4s?
    fn by_fours(operands: [&crate::Operand; 2]) -> bool {
        operands.iter().all(|o| o.offset % 4 == 0 && o.stride % 4 == 0)
    }

    /// Adds bias and addend to a block of the output whose first cell is (row, column), and applies the activation.
    fn finish(&self, io: &Epilogue<'_>, (row, column): (usize, usize), out: &mut Tile<'_>) {
        if io.bias.is_none() && io.add.is_none() && self.activation == Activation::None {
            return;
        }
        vectorize(
            #[inline(always)]
            || {
                for r in 0..out.rows() {
                    let out = out.row(r);
                    if let Some(bias) = io.bias {
                        plus(out, &bias[column..]);
                    }
                    if let Some(add) = &io.add {
                        plus(out, &add.row(row + r)[column..]);
                    }
                    self.activation.apply(out);
                }
            },
        );
    }

    /// Partial products over ranges of k, then their sum in order.
    fn run_deep(&self, io: &Epilogue<'_>, depth: usize, parts: MatMut<'_>, out: Tile<'_>) {
        let Self { m, n, k, .. } = *self;
        let count = k.div_ceil(depth);
        let words = parts.into_f32();
        let stacked = Tile::new(&mut words[..count * m * n], count * m, n, n);
        stacked.par_tiles((m, n), &|row, _, mut part| {
            let first = row / m * depth;
            let length = depth.min(k - first);
            let (a, b) = (io.a.cols(first, length), io.b.rows(first, length));
            io.precision.multiply(&mut part, a, b, 1.0, false);
        });
        let words = &words[..count * m * n];
        out.par_tiles(((1 << 14) / n + 1, n), &|row, column, mut out| {
            vectorize(
                #[inline(always)]
                || {
                    for r in 0..out.rows() {
                        let out = out.row(r);
                        let cells = |p: usize| &words[(p * m + row + r) * n..][..n];
                        out.copy_from_slice(cells(0));
                        (1..count).for_each(|p| plus(out, cells(p)));
                    }
                },
            );
            self.finish(io, (row, column), &mut out);
        });
    }
}

struct Epilogue<'a> {
    precision: Precision,
    a: View<'a>,
    b: View<'a>,
    bias: Option<&'a [f32]>,
    add: Option<crate::Mat<'a>>,
}

#[inline(always)]
fn plus(out: &mut [f32], x: &[f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out += x;
    }
}

impl Kernel for Gemm {
    fn name(&self) -> &'static str {
        "gemm"
    }

    fn signature(&self) -> Signature {
        let Self { m, n, k, .. } = *self;
        let shape = |transposed, r, c| if transposed { (c, r) } else { (r, c) };
        let (a, b) = (shape(self.trans_a, m, k), shape(self.trans_b, k, n));
        Signature {
            reads: vec![
                Slot::f32("a", a.0, a.1),
                Slot::f32("b", b.0, b.1),
                Slot::f32("bias", 1, n).optional(),
                Slot::f32("add", m, n).optional(),
            ],
            writes: vec![Slot::f32("out", m, n)],
        }
    }

    fn cost(&self) -> Cost {
        let (m, n, k) = (self.m as f64, self.n as f64, self.k as f64);
        Cost { bytes: 4.0 * (m * k + k * n + m * n), flops: 2.0 * m * n * k }
    }

    fn scratch(&self, target: Target) -> Vec<usize> {
        let parts = match (target, self.cut()) {
            (Target::Cpu, Cut::Depth(depth)) => self.k.div_ceil(depth),
            (Target::Cpu, _) => 0,
            (Target::Gpu, _) => self.gpu_parts().0,
        };
        if parts > 1 { vec![parts * self.m * self.n] } else { vec![] }
    }

    fn product(&self) -> Option<Product> {
        let big = self.m * self.n * self.gpu_parts().0 >= Self::BIG;
        Some(Product { trans_a: self.trans_a, trans_b: self.trans_b, big })
    }

    fn later(&self, operands: &Operands) -> Option<PartSum> {
        let (parts, _) = self.gpu_parts();
        let plain = operands.reads[2].is_none() && operands.reads[3].is_none() && self.activation == Activation::None;
        (parts > 1 && plain).then_some(PartSum { parts, rows: self.m, cols: self.n })
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (a, b) = (View::from(io.read(0)), View::from(io.read(1)));
        let epilogue = Epilogue {
            precision: io.precision,
            a: if self.trans_a { a.transposed() } else { a },
            b: if self.trans_b { b.transposed() } else { b },
            bias: io.read_opt(2).map(|bias| bias.row(0)),
            add: io.read_opt(3),
        };
        let mut out = Tile::from(io.write(0));
        let block = |row, column, out: &mut Tile<'_>| {
            let a = epilogue.a.rows(row, out.rows());
            let b = epilogue.b.cols(column, out.cols());
            epilogue.precision.multiply(out, a, b, 1.0, false);
            self.finish(&epilogue, (row, column), out);
        };
        match self.cut() {
            Cut::Whole => block(0, 0, &mut out),
            Cut::Blocks(rows, columns) => {
                out.par_tiles((rows, columns), &|r, c, mut out| block(r, c, &mut out));
            }
            Cut::Depth(depth) if self.k > depth => {
                if io.has_scratch(0) {
                    return self.run_deep(&epilogue, depth, io.scratch(0), out);
                }
                // By hand, without a program.
                let words = self.scratch(Target::Cpu).iter().sum();
                let mut own = vec![0; words];
                self.run_deep(&epilogue, depth, MatMut::new(&mut own, 1, words, words), out);
            }
            Cut::Depth(_) => block(0, 0, &mut out),
        }
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::gemm(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        self.dispatches_as(operands, Variant::Portable)
    }

    fn variants(&self) -> Vec<Variant> {
        vec![Variant::Subgroup, Variant::Vec4, Variant::Wide, Variant::F16]
    }

    fn dispatches_as(&self, operands: &Operands, variant: Variant) -> Vec<Dispatch> {
        let (a, b, out) = (operands.read(0), operands.read(1), operands.write(0));
        let (bias, add) = (operands.reads[2], operands.reads[3]);
        let (parts, depth) = self.gpu_parts();
        let epilogue = vec![
            ("HAS_BIAS", f64::from(bias.is_some())),
            ("HAS_ADD", f64::from(add.is_some())),
            ("ACTIVATION", f64::from(self.activation.code())),
        ];
        let places = [bias.map_or(0, |o| o.offset), add.map_or(0, |o| o.offset), add.map_or(0, |o| o.stride)];
        let words = |list: &[usize]| list.iter().map(|x| *x as u32).collect::<Vec<u32>>();
        let (m, n) = (self.m, self.n);
        let mut transposed = vec![("TRANS_A", f64::from(self.trans_a)), ("TRANS_B", f64::from(self.trans_b))];
        let (shader, rows, columns) = match variant {
            // A wide tile on an output that is no wider than half of it would be mostly idle.
            Variant::Wide if Self::by_fours([&a, &b]) && m > Self::TILE && n > Self::TILE => ("gemm_wide", 128, 128),
            Variant::Vec4 | Variant::Wide if Self::by_fours([&a, &b]) => ("gemm_vec4", Self::TILE, Self::TILE),
            Variant::F16 if Self::by_fours([&a, &b]) => ("gemm_f16", Self::TILE, Self::TILE),
            Variant::Portable | Variant::Vec4 | Variant::Wide | Variant::F16 => ("gemm", Self::TILE, Self::TILE),
            Variant::Subgroup => {
                let columns = if n <= 16 {
                    16
                } else if n <= 32 {
                    32
                } else {
                    64
                };
                transposed.push(("COLUMNS", columns as f64));
                ("gemm_subgroup", 32, columns)
            }
        };
        let tiles = m.div_ceil(rows) * n.div_ceil(columns);
        let product = |constants, (buffer, offset, stride): (usize, usize, usize), bindings| {
            let mut params = words(&[m, n, self.k, parts, depth, m * n]);
            params.extend(words(&[a.offset, a.stride, b.offset, b.stride]));
            params.extend(words(&places));
            params.extend(words(&[offset, stride, 0]));
            let [bias, add]: [Binding; 2] = bindings;
            Dispatch {
                shader,
                constants,
                params,
                step: false,
                bindings: vec![Binding::Read(a.buffer), Binding::Read(b.buffer), bias, add, Binding::Write(buffer)],
                workgroups: tiles * parts,
                // Of a tile 16 at a time, one by one, and what the columns of the output take.
                iterations: depth.div_ceil(16) * 18 + 128,
            }
        };
        let extras = [Binding::read(bias), Binding::read(add)];
        if parts == 1 {
            let constants = [transposed, epilogue].concat();
            return vec![product(constants, (out.buffer, out.offset, out.stride), extras)];
        }
        let scratch = operands.scratch[0];
        let mut params = words(&[m, n, parts]);
        params.extend(words(&places));
        params.extend(words(&[out.offset, out.stride]));
        vec![
            product(transposed, (scratch.buffer, scratch.offset, n), [Binding::NoRead; 2]),
            Dispatch {
                shader: "gemm_sum",
                constants: epilogue,
                params,
                step: false,
                bindings: vec![Binding::Read(scratch.buffer), extras[0], extras[1], Binding::Write(out.buffer)],
                workgroups: (m * n).div_ceil(64),
                iterations: parts + 1,
            },
        ]
    }
}
