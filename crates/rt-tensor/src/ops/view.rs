//! Rows and columns of a value: nothing runs.
//!
//! The gradient of a view is that of an area of the value. If the views of a value make up all of it, what makes their gradients
//! writes them where they belong; else the tape adds, copies or fills the other cells.

use super::{Case, Needs, Op};
use crate::Result;
use crate::grads::{Area, Grad, Grads};
use crate::params::Init;
use crate::reference::Env;
use crate::tape::{Kind, Tape, Var};

#[derive(Debug, Clone)]
pub(crate) struct ViewOp {
    x: Var,
    area: Area,
}

impl Tape {
    /// Rows `first .. first + rows` of a value: nothing runs.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] past its last row.
    pub fn rows(&mut self, of: Var, first: usize, rows: usize) -> Result<Var> {
        let [height, cols] = self.shape(of);
        check_range("rows", first, rows, height)?;
        Ok(self.view(of, Area { row: first, col: 0, rows, cols }))
    }

    /// Columns `first .. first + cols` of a value (one category of a matrix of ids): nothing runs.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Shape`] past its last column.
    pub fn columns(&mut self, of: Var, first: usize, cols: usize) -> Result<Var> {
        let [rows, width] = self.shape(of);
        check_range("columns", first, cols, width)?;
        Ok(self.view(of, Area { row: 0, col: first, rows, cols }))
    }

    fn view(&mut self, of: Var, area: Area) -> Var {
        let kind = Kind::View { of, row: area.row, col: area.col };
        self.alias(of, [area.rows, area.cols], kind, Op::View(ViewOp { x: of, area }))
    }
}

fn check_range(op: &'static str, first: usize, n: usize, of: usize) -> Result<()> {
    if first.checked_add(n).is_some_and(|end| end <= of) {
        return Ok(());
    }
    Err(crate::error::shape(op, format!("{n} {op} from {first} on, of {of}")))
}

impl ViewOp {
    pub(super) fn backward(&self, _: &mut Tape, out: Grad, _: Needs<'_>, grads: &mut Grads) -> Result<()> {
        grads.add_to(self.x, self.area, out);
        Ok(())
    }

    pub(super) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        let Area { row, col, rows, cols } = self.area;
        let width = env.shape(self.x)[1];
        (row..row + rows).flat_map(|r| env.f(self.x)[r * width + col..][..cols].to_vec()).collect()
    }
}

/// What the gradient checker records.
pub(super) fn cases(seed: u64) -> Vec<Case> {
    let x = |t: &mut Tape| -> Result<Var> {
        let x = t.param("x", [7, 5], Init::Normal(0.7))?;
        t.scale(x, 0.5)
    };
    vec![
        Case::new("rows of a parameter", move |t| {
            let x = t.param("x", [7, 5], Init::Normal(0.7))?;
            let y = t.rows(x, 2, 3)?;
            super::weighted(t, y, seed)
        }),
        Case::new("columns that make up the value", move |t| {
            let x = x(t)?;
            let (a, b) = (t.columns(x, 0, 2)?, t.columns(x, 2, 3)?);
            let (a, b) = (t.gelu(a)?, t.scale(b, -1.5)?);
            let turned = t.concat(&[b, a])?;
            super::weighted(t, turned, seed)
        }),
        Case::new("rows and columns that overlap, and the value", move |t| {
            let x = x(t)?;
            let (a, b) = (t.rows(x, 1, 4)?, t.columns(x, 3, 2)?);
            let (a, b, x) = (t.gelu(a)?, t.gelu(b)?, t.gelu(x)?);
            let parts = [super::weighted(t, a, seed)?, super::weighted(t, b, seed)?, super::weighted(t, x, seed)?];
            t.concat_rows(&parts)
        }),
    ]
}
