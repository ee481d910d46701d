//! Averaged weights: kept by the tape, read from the store.

use crate::grads::RowGrads;
use crate::params::ParamKind;
use crate::store::Store;
use crate::tape::{Kind, Tape, Var};
use crate::{Error, Result};
use rt_kernels::Dtype;
use rt_kernels::kernels::{EmaDecay, EmaPart, EmaRows};

/// State of the dense parameters' average.
const DENSE: &str = "dense.ema";

impl Tape {
    /// Appends the average of the touched rows of table `number`, ahead of their update.
    pub(crate) fn average_rows(&mut self, rows: &RowGrads, number: usize, decay: f32) -> Result<()> {
        let t = &rows.tables[number];
        let [vocab, dim] = self.shape(t.table);
        let name = self.param_name(t.table);
        let average = self.value([vocab, dim], Dtype::F32, Kind::State { name: format!("{name}.ema") });
        let seen = self.value([vocab, 1], Dtype::F32, Kind::State { name: format!("{name}.ema.seen") });
        let kernel = EmaRows {
            decay: EmaDecay::new(decay),
            part: EmaPart::Whole,
            table: number,
            base: t.base,
            capacity: t.capacity,
            dim,
            tables: rows.tables.len(),
        };
        let reads = [rows.keys, rows.first, t.table].map(Some).to_vec();
        self.push(kernel, reads, vec![Some(average), Some(seen)], None)
    }

    /// The average of the dense parameters, which their update keeps.
    pub(crate) fn dense_average(&mut self) -> Var {
        let n = self.params().dense_words();
        self.value([n, 1], Dtype::F32, Kind::State { name: DENSE.into() })
    }
}

impl Store {
    /// The moving averages of all parameters after step `step`, each row-major, in the order of the parameters. Rows that
    /// no step touched have the value that they have.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuch`] where no program with [`crate::Optimizer::ema`] was compiled on this store, [`Error::Data`] for a
    /// `decay` that is not above 0 and below 1; device errors.
    pub fn averages(&self, decay: f32, step: u32) -> Result<Vec<Vec<f32>>> {
        if !(decay > 0.0 && decay < 1.0) {
            let what = format!("decay {decay}: it has to be above 0 and below 1");
            return Err(Error::Data { name: "averages".into(), what });
        }
        let decay = EmaDecay::new(decay);
        let floats =
            |name: &str| -> Result<Vec<f32>> { Ok(self.read(name)?.into_iter().map(f32::from_bits).collect()) };
        let mut dense: Option<Vec<f32>> = None;
        let mut all = Vec::new();
        for p in self.params().list() {
            let [rows, cols] = p.shape;
            if p.kind == ParamKind::State {
                // Running statistics are averages already.
                all.push(self.get(&p.name)?);
                continue;
            }
            if p.kind == ParamKind::Dense {
                let arena = match &dense {
                    Some(arena) => arena,
                    None => dense.insert(floats(DENSE)?),
                };
                let cells = arena.get(p.offset..p.offset + rows * cols);
                all.push(cells.ok_or_else(|| Error::NoSuch { what: "average", name: p.name.clone() })?.to_vec());
                continue;
            }
            let mut average = floats(&format!("{}.ema", p.name))?;
            let (values, seen) = (self.get(&p.name)?, floats(&format!("{}.ema.seen", p.name))?);
            for (r, seen) in seen.iter().enumerate() {
                let stays = decay.over(*seen, step as f32);
                for c in r * cols..(r + 1) * cols {
                    average[c] = values[c] + stays * (average[c] - values[c]);
                }
            }
            all.push(average);
        }
        Ok(all)
    }
}
