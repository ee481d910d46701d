//! Parameters as plain data: name, shape, how they start. Tapes that share parameters share this list.

use crate::{Error, Result};

/// How a parameter starts. Draws come from Philox, so that every device starts alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All zero.
    Zeros,
    /// All the same.
    Constant(f32),
    /// Normal with mean 0 and this deviation.
    Normal(f32),
    /// Uniform in [-bound, bound).
    Uniform(f32),
    /// Evenly spaced from the first of these to the second, in the order of the cells.
    Spread(f32, f32),
    /// So many runs of equal length, cell k of run h at `-k / 2^(6 h / (runs - 1))`: from steep to nearly flat.
    Slopes(usize),
}

/// How a parameter is stored and updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamKind {
    /// Rows looked up by id; only the rows a step touches are updated. Row 0 (unknown, padding) is zero and stays so.
    Table,
    /// All cells take part in every step; lives in one arena with the other dense parameters.
    Dense,
    /// Values that steps write themselves, without gradient or optimiser, and that are saved with the parameters: running
    /// statistics.
    State,
}

/// One parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// Its name, unique.
    pub name: String,
    /// Rows and columns.
    pub shape: [usize; 2],
    /// How it starts.
    pub init: Init,
    /// Table or dense.
    pub kind: ParamKind,
    /// Dense: first word in the arena.
    pub(crate) offset: usize,
}

/// The parameters of a model, in the order of declaration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Params {
    list: Vec<Param>,
    dense_words: usize,
}

/// Dense parameters start at multiples of this many words: a cache line.
const ALIGN: usize = 16;

impl Params {
    /// The parameters.
    #[must_use]
    pub fn list(&self) -> &[Param] {
        &self.list
    }

    /// Words of the arena of dense parameters.
    #[must_use]
    pub fn dense_words(&self) -> usize {
        self.dense_words
    }

    /// Numbers of learned values: (in tables, in dense layers).
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let count = |kind| self.list.iter().filter(|p| p.kind == kind).map(|p| p.shape[0] * p.shape[1]).sum();
        (count(ParamKind::Table), count(ParamKind::Dense))
    }

    /// Number of a parameter by name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.list.iter().position(|p| p.name == name)
    }

    /// Declares a parameter, or finds it where it was declared before.
    ///
    /// # Errors
    ///
    /// [`Error::Declared`] where it was declared with another shape or kind.
    pub fn declare(&mut self, name: &str, shape: [usize; 2], kind: ParamKind, init: Init) -> Result<usize> {
        if let Some(i) = self.find(name) {
            let p = &self.list[i];
            if p.shape != shape || p.kind != kind {
                return Err(Error::Declared { name: name.into(), first: p.shape, again: shape });
            }
            return Ok(i);
        }
        let offset = self.dense_words;
        if kind == ParamKind::Dense {
            self.dense_words += (shape[0] * shape[1]).next_multiple_of(ALIGN);
        }
        self.list.push(Param { name: name.into(), shape, init, kind, offset });
        Ok(self.list.len() - 1)
    }
}

impl Param {
    /// Its values at the start, row-major, for parameter number `number` of seed `seed`.
    #[must_use]
    pub fn initial(&self, seed: u64, number: usize) -> Vec<f32> {
        let mut values = vec![0.0; self.shape[0] * self.shape[1]];
        self.initial_from(seed, number, 0, &mut values);
        values
    }

    /// Of these the cells from `first`, a multiple of 4, on: a table need not be held twice.
    pub(crate) fn initial_from(&self, seed: u64, number: usize, first: usize, out: &mut [f32]) {
        let n = self.shape[0] * self.shape[1];
        let parameter = number as u32;
        let each = |out: &mut [f32], value: &dyn Fn(usize) -> f32| {
            for (i, out) in out.iter_mut().enumerate() {
                *out = value(first + i);
            }
        };
        match self.init {
            Init::Zeros => out.fill(0.0),
            Init::Constant(c) => out.fill(c),
            Init::Normal(deviation) => rt_kernels::philox::normal_from(seed, parameter, first, deviation, out),
            Init::Uniform(bound) => rt_kernels::philox::uniform_from(seed, parameter, first, bound, out),
            Init::Spread(from, to) => {
                let step = (to - from) / n.saturating_sub(1).max(1) as f32;
                each(out, &|i| from + step * i as f32);
            }
            Init::Slopes(runs) => {
                let length = (n / runs.max(1)).max(1);
                let flatter = 6.0 / runs.saturating_sub(1).max(1) as f32;
                each(out, &|i| -((i % length) as f32) / ((i / length) as f32 * flatter).exp2());
            }
        }
        if self.kind == ParamKind::Table {
            let row = self.shape[1].saturating_sub(first).min(out.len());
            out[..row].fill(0.0);
        }
    }
}
