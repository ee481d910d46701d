//! Norms of gradients, table rows included: clipped by the global one, and looked at by the host.

use crate::Result;
use crate::tape::{Kind, Tape, Var};
use rt_kernels::Dtype;
use rt_kernels::kernels::{ClipFactor, GradientNorm, NORM_PARTS, ScaleBy, SegmentSum, SquaredNorm};

/// The output of [`Tape::optimize`] that says for each of the last steps how large the gradient was: the largest absolute value of a
/// cell, NaN if one is NaN. See there for its rows.
pub const GRADIENT_NORM: &str = "gradient.norm";

impl Tape {
    /// Appends the output [`GRADIENT_NORM`]. Of a table the gradient rows of its lookups count, as they are before those of one id
    /// are added up.
    pub(crate) fn log_gradient_norm(&mut self) -> Result<()> {
        let mut list: Vec<Var> = self.dense_grads.into_iter().collect();
        for table in self.row_grads.iter().flat_map(|rows| &rows.tables) {
            // Two tables may share the rows of a gradient.
            if !list.contains(&table.source) {
                list.push(table.source);
            }
        }
        let loss = self.outputs.iter().find(|(name, _)| name == "loss");
        let ring = loss.map_or(1, |(_, v)| self.shape(*v)[0].max(1)) + 1;
        let out = self.value([ring, 1], Dtype::F32, Kind::State { name: GRADIENT_NORM.into() });
        let kernel = GradientNorm { list: list.iter().map(|v| self.shape(*v)).collect(), ring };
        self.push(kernel, list.into_iter().map(Some).collect(), vec![Some(out)], None)?;
        self.output(GRADIENT_NORM, out);
        Ok(())
    }

    /// Appends the factor `[1, 1]` that brings the norm of the whole gradient to at most `clip`; of a NaN norm NaN. The gradient of a table is
    /// one row for each distinct id, the sum of the id's source rows: the same sums as the updates make.
    pub(crate) fn clip_factor(&mut self, clip: f32) -> Result<Var> {
        let tables = self.row_grads.as_ref().map_or(0, |rows| rows.tables.len());
        let n = (tables + usize::from(self.dense_grads.is_some())) * NORM_PARTS;
        let parts = self.temp(n, 2);
        let mut next = 0;
        let mut part = |tape: &mut Self| {
            next += NORM_PARTS;
            tape.value([NORM_PARTS, 2], Dtype::F32, Kind::View { of: parts, row: next - NORM_PARTS, col: 0 })
        };
        if let Some(rows) = self.row_grads.clone() {
            let sources: Vec<Var> = rows.tables.iter().map(|t| t.source).collect();
            let segments = self.segments(&rows, &sources)?;
            for (table, (t, segment)) in rows.tables.iter().zip(segments).enumerate() {
                let dim = self.shape(t.table)[1];
                let sums = self.temp(t.capacity, dim);
                let kernel = SegmentSum { rows: t.capacity, entries: t.entries, dim };
                self.push(kernel, segment.reads(&rows, t.source), vec![Some(sums)], None)?;
                let out = part(self);
                let kernel = SquaredNorm { rows: t.capacity, cols: dim, table, tables };
                self.push(kernel, vec![Some(sums), Some(rows.first)], vec![Some(out)], None)?;
            }
        }
        if let Some(grads) = self.dense_grads {
            let [rows, cols] = self.shape(grads);
            let out = part(self);
            let kernel = SquaredNorm { rows, cols, table: 0, tables };
            self.push(kernel, vec![Some(grads), None], vec![Some(out)], None)?;
        }
        let factor = self.temp(1, 1);
        self.push(ClipFactor { n, clip }, vec![Some(parts)], vec![Some(factor)], None)?;
        Ok(factor)
    }

    /// `factor x`, in a value of its own: two tables may share the rows of a gradient. Without a factor `x` itself.
    pub(crate) fn times(&mut self, x: Var, factor: Option<Var>) -> Result<Var> {
        let Some(factor) = factor else { return Ok(x) };
        let [rows, cols] = self.shape(x);
        let out = self.temp(rows, cols);
        self.push(ScaleBy { rows, cols }, vec![Some(x), Some(factor)], vec![Some(out)], None)?;
        Ok(out)
    }
}
