//! Sums and factors of fields: runs of columns of different widths, each the embedding of one feature.

use super::cells::{dispatch, each_row};
use crate::{Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// `out[r, f] = sum over the columns c of field f of x[r, c] y[r, c]`; without y the mean of x over the field. x, y
/// `[rows, cols]`, starts `[1, fields + 1]` u32 = first column of each field, ascending from 0 to cols, out
/// `[rows, fields]`. Moves up to `2 * rows * cols + rows * fields` words.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldDot {
    /// Rows.
    pub rows: usize,
    /// Columns of all fields.
    pub cols: usize,
    /// Fields.
    pub fields: usize,
}

/// `out[r, c] = a[r, f] x[r, c]` with f the field of column c; without x `a[r, f] / width of f`, the gradient of the mean.
/// a `[rows, fields]`, x, out `[rows, cols]`, starts `[1, fields + 1]` u32. Moves up to `2 * rows * cols + rows * fields`
/// words.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldScale {
    /// Rows.
    pub rows: usize,
    /// Columns of all fields.
    pub cols: usize,
    /// Fields.
    pub fields: usize,
}

fn starts(fields: usize) -> Slot {
    Slot::u32("starts", 1, fields.saturating_add(1))
}

fn cost(rows: usize, cols: usize, fields: usize) -> Cost {
    let (rows, cols, fields) = (rows as f64, cols as f64, fields as f64);
    Cost { bytes: 4.0 * (2.0 * rows * cols + rows * fields), flops: 2.0 * rows * cols }
}

impl Kernel for FieldDot {
    fn name(&self) -> &'static str {
        "field_dot"
    }

    fn signature(&self) -> Signature {
        let cells = |name| Slot::f32(name, self.rows, self.cols);
        Signature {
            reads: vec![cells("x"), cells("y").optional(), starts(self.fields)],
            writes: vec![Slot::f32("out", self.rows, self.fields)],
        }
    }

    fn cost(&self) -> Cost {
        cost(self.rows, self.cols, self.fields)
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (x, other, starts) = (io.read(0), io.read_opt(1), io.read(2).row_u32(0));
        each_row(
            io.write(0),
            #[inline(always)]
            |r, out| {
                for (out, run) in out.iter_mut().zip(starts.windows(2)) {
                    let last = (run[1] as usize).min(x.cols);
                    let first = (run[0] as usize).min(last);
                    let x = &x.row(r)[first..last];
                    *out = match other {
                        Some(y) => x.iter().zip(&y.row(r)[first..last]).map(|(x, y)| x * y).sum(),
                        None => x.iter().sum::<f32>() / (last - first) as f32,
                    };
                }
            },
        );
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive_norm::field_dot(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let has_y = u32::from(operands.reads[1].is_some());
        let attributes = [self.rows as u32, self.fields as u32, has_y, self.cols as u32];
        vec![
            dispatch("field_dot", &attributes, &operands.reads, &operands.writes, self.rows * self.fields)
                .looping(self.cols + 1),
        ]
    }
}

impl Kernel for FieldScale {
    fn name(&self) -> &'static str {
        "field_scale"
    }

    fn signature(&self) -> Signature {
        let cells = |name| Slot::f32(name, self.rows, self.cols);
        Signature {
            reads: vec![Slot::f32("a", self.rows, self.fields), cells("x").optional(), starts(self.fields)],
            writes: vec![cells("out")],
        }
    }

    fn cost(&self) -> Cost {
        cost(self.rows, self.cols, self.fields)
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (a, x, starts, fields) = (io.read(0), io.read_opt(1), io.read(2).row_u32(0), self.fields);
        each_row(
            io.write(0),
            #[inline(always)]
            |r, out| {
                let mut first = 0;
                for (f, (a, run)) in a.row(r).iter().zip(starts.windows(2)).enumerate() {
                    // A column is of the first field that ends past it, else of the last one, for any `starts`.
                    let last = if f + 1 == fields { out.len() } else { (run[1] as usize).min(out.len()) };
                    let own = first..last.max(first);
                    first = own.end;
                    match x {
                        Some(x) => out[own.clone()].iter_mut().zip(&x.row(r)[own]).for_each(|(out, x)| *out = a * x),
                        None => out[own].fill(a / run[1].wrapping_sub(run[0]) as f32),
                    }
                }
            },
        );
    }

    #[cfg(feature = "naive")]
    fn run_naive(&self, io: &mut CpuIo<'_>) -> bool {
        crate::naive_norm::field_scale(self, io);
        true
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let has_x = u32::from(operands.reads[1].is_some());
        let attributes = [self.rows as u32, self.cols as u32, self.fields as u32, has_x];
        vec![
            dispatch("field_scale", &attributes, &operands.reads, &operands.writes, self.rows * self.cols)
                .looping(self.fields.max(1)),
        ]
    }
}
