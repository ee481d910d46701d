//! Explicit negatives: what was shown and not clicked, filled up with draws.

use super::bag::Slices;
use super::cells::{cell_or_zero, dispatch};
use crate::{Cost, CpuIo, Dispatch, Kernel, Made, Operands, Signature, Slot};

/// Negatives of a row's own. For column j of row i: where `j < own` and `j < length_i`, `ids = items[start_i + length_i -
/// 1 - j]` (the last of the row's span first) and `logq = 0`; else `ids = drawn[i k + j]` and `logq = table[ids] +
/// constant` (0 in place of what an id past the table has; a span that does not lie in the items is empty), how often a draw is expected (Bengio and Senecal 2008). What was shown was not drawn, so nothing is corrected.
///
/// Reads `items` `[any, 1]`, `spans` `[rows, 2]` (start, length), `drawn` `[rows * k, 1]`, all u32, and optionally `table`
/// `[any, 1]` of ln q; writes `ids` `[rows * k, 1]` u32 and, with the table, `logq` `[rows * k, 1]`. Moves about `5 rows k`
/// words.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownNegatives {
    /// Rows.
    pub rows: usize,
    /// Negatives a row.
    pub k: usize,
    /// Of them, how many may come from what was shown.
    pub own: usize,
    /// Added to ln q: ln of the number of draws.
    pub constant: f32,
}

impl Kernel for ShownNegatives {
    fn name(&self) -> &'static str {
        "shown_negatives"
    }

    fn signature(&self) -> Signature {
        let n = self.rows.saturating_mul(self.k);
        Signature {
            reads: vec![
                Slot::u32("items", None, 1),
                Slot::u32("spans", self.rows, 2),
                Slot::u32("drawn", n, 1),
                Slot::f32("table", None, 1).optional(),
            ],
            writes: vec![Slot::u32("ids", n, 1), Slot::f32("logq", n, 1).optional()],
        }
    }

    fn cost(&self) -> Cost {
        let n = (self.rows * self.k) as f64;
        Cost { bytes: 4.0 * (5.0 * n + 2.0 * self.rows as f64), flops: n }
    }

    fn made(&self, write: usize, reads: &[Option<[usize; 2]>]) -> Option<Made> {
        let _ = reads;
        (write == 0).then(|| Made::passed(&[0, 2]))
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (items, spans, drawn, table) = (io.read(0), io.read(1), io.read(2), io.read_opt(3));
        let mut ids = io.write(0);
        let mut logq = io.write_opt(1).filter(|_| table.is_some());
        for i in 0..self.rows {
            let [length, end] = Slices::within(spans.row_u32(i)[0], spans.row_u32(i)[1], items.rows);
            for j in 0..self.k {
                let cell = i * self.k + j;
                let shown = j < self.own && (j as u32) < length;
                let id = if shown { items.id(end as usize - 1 - j) } else { drawn.id(cell) };
                ids.row_u32(cell)[0] = id;
                if let (Some(logq), Some(table)) = (&mut logq, &table) {
                    logq.row(cell)[0] = if shown { 0.0 } else { cell_or_zero(table, id) + self.constant };
                }
            }
        }
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let n = self.rows * self.k;
        let corrected = operands.reads[3].is_some() && operands.writes[1].is_some();
        let rows = [Some(operands.read(0)), operands.reads[3]].map(|o| o.map_or(0, |o| o.rows as u32));
        let sizes = [n, self.k, self.own, usize::from(corrected)].map(|x| x as u32);
        let attributes = [&sizes[..], &rows, &[self.constant.to_bits()]].concat();
        vec![dispatch("shown_negatives", &attributes, &operands.reads, &operands.writes, n)]
    }
}
