//! How often each candidate is expected among the negatives, as a logarithm.

use super::cells::{cell_or_zero, dispatch};
use crate::{Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// Logit of a candidate that is left out: larger than any logarithm, so that kernels know padding by it.
const LEFT_OUT: f32 = 1e30;

/// `out[i] = table[ids[i]] + constant`, of an id past the table `0 + constant`; with `batch` also + ln(valid - 1), and 1e30 (left out) from row `valid` on, where
/// `valid` = the examples among the `n` of the step from `first` on: table
/// `[any, 1]` of ln q, ids `[n, 1]` u32, out `[n, 1]`. Source: Bengio and Senecal 2008; Yi et al. 2019. Moves `3 n` words.
#[derive(Debug, Clone, PartialEq)]
pub struct LogQ {
    /// Candidates.
    pub n: usize,
    /// Are the candidates the batch's own targets?
    pub batch: bool,
    /// Added: ln of the number of draws.
    pub constant: f32,
    /// The batch's first example in the step; not 0 where a step has several.
    pub first: usize,
}

impl Kernel for LogQ {
    fn name(&self) -> &'static str {
        "logq"
    }

    fn signature(&self) -> Signature {
        Signature {
            reads: vec![Slot::f32("table", None, 1), Slot::u32("ids", self.n, 1)],
            writes: vec![Slot::f32("out", self.n, 1)],
        }
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 12.0 * self.n as f64, flops: self.n as f64 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (table, ids, step) = (io.read(0), io.read(1), *io.step);
        let mut out = io.write(0);
        let (valid, ln_negatives) = step.part(self.first, self.n);
        for i in 0..self.n {
            let value = cell_or_zero(&table, ids.id(i)) + self.constant;
            out.row(i)[0] = match self.batch {
                false => value,
                true if i < valid => value + ln_negatives,
                true => LEFT_OUT,
            };
        }
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let sizes = [self.first, operands.read(0).rows].map(|x| x as u32);
        let attributes = [self.n as u32, u32::from(self.batch), self.constant.to_bits(), sizes[0], sizes[1]];
        let mut d = dispatch("logq", &attributes, &operands.reads, &operands.writes, self.n);
        d.step = true;
        vec![d]
    }
}
