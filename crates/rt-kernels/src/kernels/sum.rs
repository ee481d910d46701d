//! Sum of a column, kept in a ring by step.

use super::cells::places;
use super::fit;
use super::sums::{Order, SHORT};
use crate::parallel::chunks_f32;
use crate::simd::vectorize;
use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// `out[step % ring] = sum of x`: x `[rows, 1]`, out `[ring, 1]`, whose other cells stay. Up to 16,384 rows eight runs are summed
/// on their own, ascending, then added in order; more are cut into 256 parts, in the order that `sums.rs` states. Reads `rows`
/// words.
#[derive(Debug, Clone, PartialEq)]
pub struct Sum {
    /// Rows.
    pub rows: usize,
    /// Steps that are kept; 1 for a plain sum.
    pub ring: usize,
}

/// Partial sums of many rows: the lanes of a workgroup.
const MANY: usize = 256;

impl Sum {
    fn order(&self) -> Order {
        Order::new(self.rows, MANY)
    }
}

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

    fn mismatch(&self, _: &Operands) -> Option<String> {
        fit::unless(self.ring > 0, || "a ring of no place".to_owned())
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 4.0 * (self.rows + 1) as f64, flops: self.rows as f64 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let x = io.read(0);
        let place = io.step.step as usize % self.ring.max(1);
        let order = self.order();
        let mut parts = [0.0f32; MANY];
        let part = |first: usize, parts: &mut [f32]| {
            vectorize(
                #[inline(always)]
                || {
                    let dense = x.is_dense().then(|| x.f32());
                    for (p, sum) in parts.iter_mut().enumerate() {
                        *sum = match dense {
                            Some(x) => order.sum_part(first + p, |r| x[r]),
                            None => order.sum_part(first + p, |r| x.row(r)[0]),
                        };
                    }
                },
            );
        };
        if self.rows <= SHORT {
            part(0, &mut parts[..order.parts]);
        } else {
            chunks_f32(&mut parts, MANY / 16, &|i, parts| part(i * (MANY / 16), parts));
        }
        order.join(&mut parts, 1, 1);
        let total = parts[0];
        io.write(0).row(place)[0] = total;
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let order = self.order();
        let mut params = vec![self.rows as u32, self.ring as u32, order.run as u32, order.block as u32];
        params.extend(places(&operands.reads));
        params.extend(places(&operands.writes));
        let bindings = vec![Binding::read(operands.reads[0]), Binding::write(operands.writes[0])];
        let constants = vec![("PARTS", order.parts as f64)];
        let (workgroups, iterations) = (1, order.iterations());
        vec![Dispatch { shader: "sum", constants, params, step: true, bindings, workgroups, iterations }]
    }
}
