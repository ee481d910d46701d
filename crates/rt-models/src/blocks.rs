//! Parts of towers: normalised layers, residual connections, squeeze-and-excitation.

use crate::config::{Config, Hidden, Norm};
use crate::towers::Towers;
use crate::{Error, Result};
use rt_tensor::{Activation, Init, Tape, Var};

/// What a recording keeps while the towers are built.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Built {
    /// Weights of the rows of the tower that is recorded next: rows of weight 0 are padding.
    pub weight: Option<Var>,
    residuals: usize,
    reweighted: usize,
}

impl Towers<'_> {
    /// Says which rows of the next tower are padding: those with weight 0. Batch normalisation asks.
    pub(crate) fn rows_have(&mut self, weight: Var) {
        self.built.weight = Some(weight);
    }

    /// Says that all `n` rows of the next tower count.
    pub(crate) fn all_rows(&mut self, tape: &mut Tape, n: usize) -> Result<()> {
        if self.config.norm == Norm::Batch {
            self.built.weight = Some(tape.constant(&vec![1.0; n], n, 1)?);
        }
        Ok(())
    }

    /// Says that the next tower has `k` rows for each row of `weight`.
    pub(crate) fn each_row(&mut self, tape: &mut Tape, weight: Var, k: usize) -> Result<()> {
        if self.config.norm == Norm::Batch {
            let rows = tape.shape(weight)[0];
            let index: Vec<u32> = (0..rows * k).map(|i| (i / k) as u32).collect();
            let index = tape.constant_ids(&index, rows * k, 1)?;
            self.built.weight = Some(tape.take(weight, index)?);
        }
        Ok(())
    }

    /// The activation of a layer, with normalisation before it: y is the linear layer.
    pub(crate) fn normed(&self, tape: &mut Tape, name: &str, y: Var, hidden: Hidden) -> Result<Var> {
        let width = tape.shape(y)[1];
        let mut y = y;
        if self.config.norm != Norm::None {
            let gain = tape.param(&format!("{name}.norm.gain"), [1, width], Init::Constant(1.0))?;
            let bias = tape.param(&format!("{name}.norm.bias"), [1, width], Init::Zeros)?;
            y = match self.config.norm {
                Norm::Batch => {
                    let weight = if self.training { self.built.weight } else { None };
                    tape.batch_norm(y, gain, bias, weight, &format!("{name}.norm"))?
                }
                Norm::Layer | Norm::None => tape.layer_norm(y, gain, bias)?,
            };
        }
        Ok(match hidden {
            Hidden::Relu => tape.activation(y, Activation::Relu)?,
            Hidden::Tanh => tape.activation(y, Activation::Tanh)?,
            Hidden::Sigmoid => tape.activation(y, Activation::Sigmoid)?,
            Hidden::Gelu => tape.gelu(y)?,
            Hidden::Prelu => {
                let slope = tape.param(&format!("{name}.slope"), [1, width], Init::Constant(0.25))?;
                tape.prelu(y, slope)?
            }
        })
    }

    /// A hidden layer's output plus its input, where they are equally wide (He et al. 2016).
    pub(crate) fn residual(&mut self, tape: &mut Tape, input: Var, output: Var) -> Result<Var> {
        if !self.config.residual || tape.shape(input) != tape.shape(output) {
            return Ok(output);
        }
        self.built.residuals += 1;
        Ok(tape.add(output, input)?)
    }

    /// Squeeze-and-excitation over the fields of a tower's input (FiBiNET, Huang et al. 2019, sec. 3.2): each field's mean,
    /// two layers of which the inner has a third as many units, and every field times its own weight. The last
    /// activation is 2 sigmoid, so that fields start about as they are, and none can die.
    pub(crate) fn senet(&mut self, tape: &mut Tape, name: &str, x: Var, widths: &[usize]) -> Result<Var> {
        let fields = widths.len();
        if !self.config.senet || fields < 2 {
            return Ok(x);
        }
        self.built.reweighted += 1;
        let inner = (fields / 3).max(1);
        let mut z = tape.field_mean(x, widths)?;
        for (layer, shape, f) in
            [("squeeze", [fields, inner], Activation::Relu), ("excite", [inner, fields], Activation::Sigmoid)]
        {
            let init = Init::Uniform(1.0 / (shape[0] as f32).sqrt());
            let w = tape.param(&format!("{name}.senet.{layer}.weight"), shape, init)?;
            let b = tape.param(&format!("{name}.senet.{layer}.bias"), [1, shape[1]], init)?;
            z = tape.linear(z, w, Some(b), None, f)?;
        }
        let factors = tape.scale(z, 2.0)?;
        Ok(tape.field_scale(x, factors, widths)?)
    }
}

impl Built {
    /// Refuses settings that met nothing in either tower.
    pub(crate) fn check(&self, config: &Config) -> Result<()> {
        if config.residual && self.residuals == 0 {
            let what = "residual: no hidden layer is as wide as its input; repeat a width, such as user_hidden=128,128";
            return Err(Error::Config(what.into()));
        }
        if config.senet && self.reweighted == 0 {
            let what = "senet: no tower's input has two fields to weigh; it needs user or item features";
            return Err(Error::Config(what.into()));
        }
        Ok(())
    }
}
