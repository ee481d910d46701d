//! Fields: runs of columns of different widths, each the embedding of one feature. Their means, and factors for them: what
//! squeeze-and-excitation needs (SENet in FiBiNET, Huang et al. 2019).

use super::{Needs, Op};
use crate::Result;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Tape, Var};
use rt_kernels::kernels::{FieldDot, FieldScale};

#[derive(Debug, Clone)]
pub(crate) struct FieldMeanOp {
    x: Var,
    y: Var,
    starts: Var,
    field: Vec<usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct FieldScaleOp {
    x: Var,
    factors: Var,
    y: Var,
    starts: Var,
    field: Vec<usize>,
}

impl Tape {
    /// Records the mean of each field: `[n, fields]` of `x` `[n, sum of widths]`.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the widths are not those of `x`, or one is 0.
    pub fn field_mean(&mut self, x: Var, widths: &[usize]) -> Result<Var> {
        let (starts, field) = self.fields("field_mean", x, widths)?;
        let ([rows, cols], fields) = (self.shape(x), widths.len());
        let y = self.temp(rows, fields);
        let op = Op::FieldMean(FieldMeanOp { x, y, starts, field });
        let reads = vec![Some(x), None, Some(starts)];
        self.push(FieldDot { rows, cols, fields }, reads, vec![Some(y)], Some(op))?;
        Ok(y)
    }

    /// Records every field of `x` `[n, sum of widths]` times its column of `factors` `[n, fields]`.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] where the widths are not those of `x`, or one is 0, or the factors do not fit.
    pub fn field_scale(&mut self, x: Var, factors: Var, widths: &[usize]) -> Result<Var> {
        let (starts, field) = self.fields("field_scale", x, widths)?;
        let ([rows, cols], fields) = (self.shape(x), widths.len());
        let y = self.temp(rows, cols);
        let op = Op::FieldScale(FieldScaleOp { x, factors, y, starts, field });
        let reads = vec![Some(factors), Some(x), Some(starts)];
        self.push(FieldScale { rows, cols, fields }, reads, vec![Some(y)], Some(op))?;
        Ok(y)
    }

    /// First columns of the fields, as a constant, and the field of each column.
    fn fields(&mut self, op: &'static str, x: Var, widths: &[usize]) -> Result<(Var, Vec<usize>)> {
        let cols = self.shape(x)[1];
        if widths.iter().sum::<usize>() != cols || widths.contains(&0) {
            return Err(crate::error::shape(op, format!("fields of widths {widths:?} in {cols} columns")));
        }
        let mut starts = vec![0u32];
        for width in widths {
            starts.push(starts[starts.len() - 1] + *width as u32);
        }
        let field = widths.iter().enumerate().flat_map(|(f, width)| vec![f; *width]).collect();
        Ok((self.constant_ids(&starts, 1, widths.len() + 1)?, field))
    }
}

impl FieldMeanOp {
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, _: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let dy = tape.grad_var(out, self.y)?;
        let ([rows, cols], fields) = (tape.shape(self.x), tape.shape(self.y)[1]);
        let dx = tape.temp(rows, cols);
        let reads = vec![Some(dy), None, Some(self.starts)];
        tape.push(FieldScale { rows, cols, fields }, reads, vec![Some(dx)], None)?;
        grads.add(self.x, Grad::Dense(dx));
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let ([_, cols], [rows, fields]) = (env.shape(self.x), env.shape(self.y));
        let mut means = vec![0.0; rows * fields];
        let mut widths = vec![0.0; fields];
        self.field.iter().for_each(|f| widths[*f] += 1.0);
        for (i, x) in env.f(self.x).iter().enumerate() {
            let f = self.field[i % cols];
            means[i / cols * fields + f] += x / widths[f];
        }
        means
    }
}

impl FieldScaleOp {
    pub(super) fn backward(&self, tape: &mut Tape, out: Grad, needs: Needs<'_>, grads: &mut Grads) -> Result<()> {
        let dy = tape.grad_var(out, self.y)?;
        let ([rows, cols], fields) = (tape.shape(self.x), tape.shape(self.factors)[1]);
        if needs(self.factors) {
            let da = tape.temp(rows, fields);
            let reads = vec![Some(self.x), Some(dy), Some(self.starts)];
            tape.push(FieldDot { rows, cols, fields }, reads, vec![Some(da)], None)?;
            grads.add(self.factors, Grad::Dense(da));
        }
        if needs(self.x) {
            let dx = tape.temp(rows, cols);
            let reads = vec![Some(self.factors), Some(dy), Some(self.starts)];
            tape.push(FieldScale { rows, cols, fields }, reads, vec![Some(dx)], None)?;
            grads.add(self.x, Grad::Dense(dx));
        }
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let (cols, fields) = (env.shape(self.x)[1], env.shape(self.factors)[1]);
        let factors = env.f(self.factors);
        let cell = |(i, x): (usize, &f64)| x * factors[i / cols * fields + self.field[i % cols]];
        env.f(self.x).iter().enumerate().map(cell).collect()
    }
}
