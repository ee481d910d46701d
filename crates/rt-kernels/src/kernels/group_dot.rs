//! Dot products of rows with their own groups of rows.

use super::cells::{dispatch, each_block};
use crate::simd::{axpy, dot, vectorize};
use crate::{Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// `z[i, j] = scale * u_i . v_{i * group + j}`: u `[rows, dim]`, v `[rows * group, dim]`, z `[rows, group]`. A group of one
/// is the dot product of row pairs. Moves `rows * (1 + group) * dim` words.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupDot {
    /// Rows of u.
    pub rows: usize,
    /// Rows of v for each row of u.
    pub group: usize,
    /// Columns.
    pub dim: usize,
    /// Factor.
    pub scale: f32,
}

/// `du_i = scale * sum_j dz_ij v_{i * group + j}` (j ascending), `dv_{i * group + j} = scale * dz_ij u_i`; either may be left
/// out.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupDotBackward {
    /// Rows of u.
    pub rows: usize,
    /// Rows of v for each row of u.
    pub group: usize,
    /// Columns.
    pub dim: usize,
    /// Factor.
    pub scale: f32,
}

impl Kernel for GroupDot {
    fn name(&self) -> &'static str {
        "group_dot"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![
                Slot::f32("u", self.rows, self.dim),
                Slot::f32("v", self.rows.saturating_mul(self.group), self.dim),
            ],
            writes: vec![Slot::f32("z", self.rows, self.group)],
        }
    }

    fn cost(&self) -> Cost {
        let (rows, group, dim) = (self.rows as f64, self.group as f64, self.dim as f64);
        Cost { bytes: 4.0 * rows * (dim + group * dim + group), flops: 2.0 * rows * group * dim }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (u, v) = (io.read(0), io.read(1));
        let (group, scale) = (self.group, self.scale);
        // Each cell of z costs a row of v.
        let block = (16_384 / group.saturating_mul(self.dim).max(1)).max(1);
        io.write(0).par_blocks(block, |first, mut z| {
            vectorize(
                #[inline(always)]
                || {
                    for r in 0..z.rows {
                        let i = first + r;
                        for (j, z) in z.row(r).iter_mut().enumerate() {
                            *z = scale * dot(u.row(i), v.row(i * group + j));
                        }
                    }
                },
            );
        });
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::group_dot(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.group as u32, self.dim as u32, self.scale.to_bits()];
        vec![
            dispatch("group_dot", &attributes, &operands.reads, &operands.writes, self.rows * self.group * 64)
                .looping(self.dim.div_ceil(64) + 8),
        ]
    }
}

impl Kernel for GroupDotBackward {
    fn name(&self) -> &'static str {
        "group_dot_backward"
    }

    fn signature(&self) -> Signature {
        let (u, v) = (self.rows, self.rows.saturating_mul(self.group));
        Signature {
            reads: vec![
                Slot::f32("u", u, self.dim),
                Slot::f32("v", v, self.dim),
                Slot::f32("dz", self.rows, self.group),
            ],
            writes: vec![Slot::f32("du", u, self.dim).optional(), Slot::f32("dv", v, self.dim).optional()],
        }
    }

    fn cost(&self) -> Cost {
        let (rows, group, dim) = (self.rows as f64, self.group as f64, self.dim as f64);
        Cost { bytes: 4.0 * rows * (2.0 * dim + 2.0 * group * dim + group), flops: 3.0 * rows * group * dim }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (u, v, dz) = (io.read(0), io.read(1), io.read(2));
        let (group, scale) = (self.group, self.scale);
        if let Some(du) = io.write_opt(0) {
            each_block(du, |first, mut du| {
                vectorize(
                    #[inline(always)]
                    || {
                        for r in 0..du.rows {
                            let i = first + r;
                            let du = du.row(r);
                            du.fill(0.0);
                            for (j, dz) in dz.row(i).iter().enumerate() {
                                axpy(scale * dz, v.row(i * group + j), du);
                            }
                        }
                    },
                );
            });
        }
        if let Some(dv) = io.write_opt(1) {
            each_block(dv, |first, mut dv| {
                vectorize(
                    #[inline(always)]
                    || {
                        for r in 0..dv.rows {
                            let (i, j) = ((first + r) / group, (first + r) % group);
                            let factor = scale * dz.row(i)[j];
                            for (dv, u) in dv.row(r).iter_mut().zip(u.row(i)) {
                                *dv = factor * u;
                            }
                        }
                    },
                );
            });
        }
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive::group_dot_backward(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let attributes = [self.rows as u32, self.group as u32, self.dim as u32, self.scale.to_bits()];
        let (u, v, dz) = (operands.reads[0], operands.reads[1], operands.reads[2]);
        let mut list = Vec::new();
        if operands.writes[0].is_some() {
            let cells = self.rows * self.dim;
            list.push(
                dispatch("group_dot_du", &attributes, &[v, dz], &operands.writes[..1], cells).looping(self.group + 1),
            );
        }
        if operands.writes[1].is_some() {
            let cells = self.rows * self.group * self.dim;
            list.push(dispatch("group_dot_dv", &attributes, &[u, dz], &operands.writes[1..], cells));
        }
        list
    }
}
