//! Sum of a column, kept in a ring by step.

use super::cells::places;
use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// `out[step % ring] = sum of x`: x `[rows, 1]`, out `[ring, 1]`, whose other cells stay. Eight runs of rows are summed on
/// their own, ascending, then added in order. Reads `rows` words.
#[derive(Debug, Clone, PartialEq)]
pub struct Sum {
    /// Rows.
    pub rows: usize,
    /// Steps that are kept; 1 for a plain sum.
    pub ring: usize,
}

/// Partial sums.
const PARTS: usize = 8;

impl Kernel for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn signature(&self) -> Signature {
        let out = Slot::f32("out", self.ring, 1);
        // The other rows of a ring stay.
        let out = if self.ring == 1 { out } else { out.in_place() };
        Signature { reads: vec![Slot::f32("x", self.rows, 1)], writes: vec![out] }
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 4.0 * (self.rows + 1) as f64, flops: self.rows as f64 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let x = io.read(0);
        let place = io.step.step as usize % self.ring.max(1);
        let run = self.rows.div_ceil(PARTS).max(1);
        let mut total = 0.0;
        for part in 0..PARTS {
            let rows = (part * run).min(self.rows)..((part + 1) * run).min(self.rows);
            let mut sum = 0.0;
            for r in rows {
                sum += x.row(r)[0];
            }
            total += sum;
        }
        io.write(0).row(place)[0] = total;
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let mut params = vec![self.rows as u32, self.ring as u32];
        params.extend(places(&operands.reads));
        params.extend(places(&operands.writes));
        let bindings = vec![Binding::read(operands.reads[0]), Binding::write(operands.writes[0])];
        vec![Dispatch { shader: "sum", constants: Vec::new(), params, step: true, bindings, workgroups: 1 }]
    }
}
