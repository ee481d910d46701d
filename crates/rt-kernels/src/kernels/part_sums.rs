//! Products that were cut along k, put together: what a GPU program makes of the second halves of several products, once
//! somebody wants them.

use super::cells::each_row;
use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// One product's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartSum {
    /// How many.
    pub parts: usize,
    /// Rows of each.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

/// `out = sum over p of parts[p, :, :]`, ascending p from zero, for each of several products.
///
/// Reads `parts` `[parts, rows * cols]` of each, dense; writes `out` `[rows, cols]` of each. Moves `(parts + 1) * rows * cols`
/// words a product. On the GPU one dispatch for up to 16 whose parts lie in one buffer and whose outs lie in one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PartSums {
    /// The products.
    pub list: Vec<PartSum>,
}

/// Products of a dispatch, as in the shader.
const PRODUCTS: usize = 16;

impl Kernel for PartSums {
    fn name(&self) -> &'static str {
        "part_sums"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: self.list.iter().map(|s| Slot::f32("parts", s.parts, s.rows.saturating_mul(s.cols))).collect(),
            writes: self.list.iter().map(|s| Slot::f32("out", s.rows, s.cols)).collect(),
        }
    }

    fn cost(&self) -> Cost {
        let of = |f: fn(&PartSum) -> usize| self.list.iter().map(f).sum::<usize>() as f64;
        Cost { bytes: 4.0 * of(|s| (s.parts + 1) * s.rows * s.cols), flops: of(|s| s.parts * s.rows * s.cols) }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        for (i, s) in self.list.iter().enumerate() {
            let parts = io.read(i);
            each_row(
                io.write(i),
                #[inline(always)]
                |r, out| {
                    out.fill(0.0);
                    for p in 0..s.parts {
                        for (out, x) in out.iter_mut().zip(&parts.row(p)[r * s.cols..]) {
                            *out += x;
                        }
                    }
                },
            );
        }
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        // The buffers of each dispatch, the cells that it has and its words.
        let mut open: Vec<([Binding; 2], usize, Vec<u32>)> = Vec::new();
        for (i, s) in self.list.iter().enumerate() {
            let (parts, out) = (operands.read(i), operands.write(i));
            let bindings = [Binding::Read(parts.buffer), Binding::Write(out.buffer)];
            let room = |o: &([Binding; 2], usize, Vec<u32>)| o.0 == bindings && o.2.len() < 8 * PRODUCTS;
            let place = open.iter().position(room).unwrap_or_else(|| {
                open.push((bindings, 0, Vec::new()));
                open.len() - 1
            });
            let (_, first, words) = &mut open[place];
            let cells = s.rows * s.cols;
            words.extend([*first, cells, s.cols, s.parts, parts.offset, out.offset, out.stride, 0].map(|x| x as u32));
            *first += cells;
        }
        let most = self.list.iter().map(|s| s.parts).max().unwrap_or(0);
        let dispatch = |(bindings, cells, words): ([Binding; 2], usize, Vec<u32>)| {
            let mut params = vec![(words.len() / 8) as u32, 0, 0, 0];
            params.extend(words);
            params.resize(4 + 8 * PRODUCTS, 0);
            Dispatch {
                shader: "part_sums",
                constants: vec![],
                params,
                step: false,
                bindings: bindings.to_vec(),
                workgroups: cells.div_ceil(64),
                iterations: PRODUCTS + most + 1,
            }
        };
        open.into_iter().filter(|(_, cells, _)| *cells > 0).map(dispatch).collect()
    }
}
