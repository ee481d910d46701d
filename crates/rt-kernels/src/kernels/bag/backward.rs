//! Gradient rows of a bag.

use super::{BLOCK, MAX_WINDOWS, Slices, as_word, longest, positions, slice_params, slice_slots, window_ends};
use crate::kernels::fit;
use crate::simd::vectorize;
use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// Gradient rows of a [`Bag`](super::Bag): one row for each zone of a slice, instead of one for each item.
///
/// Zone z of row i holds the positions from `windows[z - 1]` to `windows[z]`, counted as there; all its items have the same gradient,
/// `zones[i * W + z, :] = sum over windows y >= z of dout[i, y * dim ..] / count_y` (no division for sums, 0 where
/// `count_y` is 0), added from the last window down to z. For a bag of `zones`, whose windows do not overlap, it is
/// `dout[i, z * dim ..] / count_z` alone, `count_z` the kept positions of the zone. [`Group`](crate::kernels::Group) makes the items of a zone refer to its
/// row.
///
/// Reads `dout` `[rows, W * dim]`, `items`, `slice`, optional `mask`, optional `hole` as in [`Bag`](super::Bag); writes `zones`
/// `[rows * W, dim]`. Cost: `2 * rows * W * dim` words and, for means, `rows * positions` ids.
#[derive(Debug, Clone, PartialEq)]
pub struct BagBackward {
    /// Rows of the batch.
    pub rows: usize,
    /// Columns of the table.
    pub dim: usize,
    /// Rows of the table: ids from here on are not kept.
    pub vocab: usize,
    /// Window lengths, ascending.
    pub windows: Vec<usize>,
    /// As [`Bag::max_len`](super::Bag::max_len).
    pub max_len: usize,
    /// Mean instead of sum.
    pub mean: bool,
    /// As [`Bag::zones`](super::Bag::zones).
    pub zones: bool,
}

impl Kernel for BagBackward {
    fn name(&self) -> &'static str {
        "bag_backward"
    }

    fn signature(&self) -> Signature {
        let mut reads = vec![Slot::f32("dout", self.rows, self.windows.len().saturating_mul(self.dim))];
        reads.extend(slice_slots(self.rows));
        Signature { reads, writes: vec![Slot::f32("zones", self.rows.saturating_mul(self.windows.len()), self.dim)] }
    }

    fn mismatch(&self, _: &Operands) -> Option<String> {
        fit::windows(&self.windows)
    }

    fn cost(&self) -> Cost {
        let cells = self.rows * self.windows.len() * self.dim;
        let ids = if self.mean { self.rows * (positions(&self.windows) + 2) } else { 0 };
        Cost {
            bytes: 4.0 * (2 * cells + ids) as f64,
            flops: (if self.mean && !self.zones { 2 * cells } else { cells }) as f64,
        }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let ends = window_ends(&self.windows);
        let (w, dim, mean, alone) = (self.windows.len(), self.dim, self.mean, self.zones);
        let (dout, zones) = (io.read(0), io.write(0));
        let slices = Slices::of(io, 1, self.vocab, self.max_len);
        zones.par_blocks(BLOCK * w, |first, mut zones| {
            vectorize(
                #[inline(always)]
                || {
                    for r in 0..zones.rows / w {
                        let row = slices.row(first / w + r);
                        let mut scale = [1.0f32; MAX_WINDOWS];
                        if mean {
                            let (mut count, mut k) = (0u32, 0u32);
                            for (scale, end) in scale.iter_mut().zip(&ends[..w]) {
                                if alone {
                                    count = 0;
                                }
                                let to = row.span(*end);
                                count += (k..to).filter(|k| row.kept(&slices, *k)).count() as u32;
                                k = to;
                                *scale = if count > 0 { 1.0 / count as f32 } else { 0.0 };
                            }
                        }
                        let dout = dout.row(first / w + r);
                        let stride = zones.stride;
                        let words = &mut zones.f32()[r * w * stride..];
                        for z in (0..w).rev() {
                            let (head, above) = words.split_at_mut((z * stride + dim).min(words.len()));
                            let out = &mut head[z * stride..];
                            let from = &dout[z * dim..][..dim];
                            if alone || z + 1 == w {
                                for (o, d) in out.iter_mut().zip(from) {
                                    *o = d * scale[z];
                                }
                            } else {
                                let above = &above[stride - dim..][..dim];
                                for ((o, d), a) in out.iter_mut().zip(from).zip(above) {
                                    *o = d * scale[z] + a;
                                }
                            }
                        }
                    }
                },
            );
        });
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::bag_backward(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let (dout, zones) = (operands.read(0), operands.write(0));
        let (mut params, slices) =
            slice_params(self.rows, self.dim, &self.windows, self.mean, self.vocab, &operands.reads[1..]);
        for o in [dout, zones] {
            params.extend([o.offset as u32, o.stride as u32]);
        }
        params.extend([u32::from(self.zones), as_word(self.max_len), 0, 0]); // windows start on 16 bytes
        params.extend(window_ends(&self.windows));
        let mut bindings = vec![Binding::Read(dout.buffer)];
        bindings.extend(slices);
        bindings.push(Binding::Write(zones.buffer));
        vec![Dispatch {
            shader: "bag_backward",
            constants: vec![],
            params,
            step: false,
            bindings,
            workgroups: (self.rows * self.dim).div_ceil(64),
            iterations: longest(&self.windows, self.max_len, operands.reads[1]) + 4 * MAX_WINDOWS + 3,
        }]
    }
}
