//! Settings of the text model: flat keys, as the other models have.

use crate::config::{Hidden, OptimizerKind, Value, bad};
use crate::{Error, Result, keys};
use rt_tensor::Optimizer;
use std::fmt::Write as _;

/// What is minimised: both are a softmax over cosines / temperature, by the negatives they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextLoss {
    /// Against the documents of the batch's other pairs.
    InBatch,
    /// Against `negatives` documents of its own (Huang et al. 2013: four).
    List,
}

impl Value for TextLoss {
    fn parse(key: &str, text: &str) -> Result<Self> {
        match text {
            "in-batch" => Ok(Self::InBatch),
            "list" => Ok(Self::List),
            _ => Err(bad(key, text, "one of in-batch list")),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::InBatch => "\"in-batch\"".into(),
            Self::List => "\"list\"".into(),
        }
    }
}

macro_rules! text_config {
    ($($(#[doc = $doc:literal])+ $key:ident: $type:ty = $default:expr),+ $(,)?) => {
        /// Everything that can be set of `dssm-text`, with the defaults that measured best on validation (docs/text.md).
        #[derive(Debug, Clone, PartialEq)]
        pub struct TextConfig {
            $($(#[doc = $doc])+ pub $key: $type),+
        }

        impl TextConfig {
            /// The defaults.
            #[must_use]
            pub fn new() -> Self {
                Self { $($key: $default),+ }
            }

            /// Every key with its documentation.
            pub const KEYS: &'static [(&'static str, &'static str)] =
                &[$((stringify!($key), concat!($($doc),+))),+];

            /// Sets a key from text, as `--set key=value` and TOML files do.
            ///
            /// # Errors
            ///
            /// [`Error::Config`] naming the nearest key for an unknown one, and what a value has to be.
            pub fn set(&mut self, key: &str, text: &str) -> Result<()> {
                match key {
                    $(stringify!($key) => self.$key = Value::parse(key, text)?,)+
                    "model" if text == super::NAME => {}
                    "model" => {
                        let have = super::NAME;
                        return Err(Error::Config(format!("the file is for model `{text}`, the model is `{have}`")));
                    }
                    _ => return Err(keys::unknown(key, Self::KEYS)),
                }
                Ok(())
            }

            fn check_numbers(&self) -> Result<()> {
                $(Value::check(&self.$key, stringify!($key))?;)+
                Ok(())
            }

            /// The whole configuration as TOML.
            #[must_use]
            pub fn to_toml(&self) -> String {
                let mut out = format!("model = \"{}\"\n", super::NAME);
                $(let _ = writeln!(out, "{} = {}", stringify!($key), self.$key.show());)+
                out
            }
        }
    };
}

text_config! {
    /// Passes over the training pairs, at most.
    epochs: usize = 40,
    /// Pairs a step.
    batch: usize = 1024,
    /// Learning rate of dense parameters.
    lr: f32 = 3e-3,
    /// Learning rate of table rows; 0 = the same as `lr`.
    lr_rows: f32 = 0.0,
    /// Optimiser: adam, adagrad (row-wise, for tables) or sgd.
    optimizer: OptimizerKind = OptimizerKind::Adam,
    /// Decoupled weight decay of dense parameters.
    weight_decay: f32 = 0.0,
    /// Epochs without a better validation recall@10 (of equal ones: MRR) after which training stops.
    patience: usize = 4,
    /// Widths of the hidden layers; the first layer's width is that of the trigram table.
    hidden: Vec<usize> = vec![],
    /// Width of the vectors.
    dim: usize = 300,
    /// Activation of all layers, the last one too (the paper's figure): tanh, relu, prelu or sigmoid.
    activation: Hidden = Hidden::Tanh,
    /// A trigram table of width `dim` whose sum is added to the last layer, before its activation.
    skip: bool = false,
    /// One tower for queries and documents, or one each.
    shared_towers: bool = true,
    /// Share of a text's trigrams that are dropped in training.
    dropout: f32 = 0.2,
    /// Deviation of the normal distribution that trigram tables start from.
    init_std: f32 = 0.05,
    /// Letter trigrams of a text that count, at most: the first known ones.
    max_trigrams: usize = 512,
    /// Temperature that cosines are divided by; the paper's gamma is 1 / temperature.
    temperature: f32 = 0.1,
    /// Loss: in-batch or list.
    loss: TextLoss = TextLoss::InBatch,
    /// Is ln of a document's share of the training pairs taken off its logit as a negative of the batch (logQ)? in-batch alone.
    logq: bool = true,
    /// Negatives of a pair (list): documents at random that were not clicked for its query; documents that were shown and
    /// not clicked take up to half of the places.
    negatives: usize = 4,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl TextConfig {
    /// Reads a TOML file's keys over this configuration.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for text that is no TOML, for tables, and as [`TextConfig::set`].
    pub fn read_toml(&mut self, text: &str) -> Result<()> {
        for (key, value) in keys::toml_pairs(text)? {
            self.set(&key, &value)?;
        }
        Ok(())
    }

    /// Sets `key=value`.
    ///
    /// # Errors
    ///
    /// As [`TextConfig::set`], and for text without `=`.
    pub fn set_pair(&mut self, pair: &str) -> Result<()> {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(Error::Config(format!("`{pair}`: has to be key=value")));
        };
        self.set(key.trim(), value.trim())
    }

    /// Checks values.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] naming the key, its value and what it has to be.
    pub fn check(&self) -> Result<()> {
        self.check_numbers()?;
        let bounds = [
            ("epochs", self.epochs, usize::MAX),
            ("batch", self.batch, 1 << 24),
            ("patience", self.patience, usize::MAX),
            ("dim", self.dim, 4096),
            ("max_trigrams", self.max_trigrams, 1 << 14),
            ("negatives", self.negatives, 1 << 12),
        ];
        for (key, value, most) in bounds {
            if value == 0 {
                return Err(bad(key, "0", "at least 1"));
            }
            if value > most {
                return Err(bad(key, &value.to_string(), &format!("at most {most}")));
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(bad("dropout", &self.dropout.to_string(), "at least 0 and below 1"));
        }
        for (key, value) in [("lr", self.lr), ("temperature", self.temperature)] {
            if value <= 0.0 {
                return Err(bad(key, &value.to_string(), "above 0"));
            }
        }
        for (key, value) in
            [("lr_rows", self.lr_rows), ("weight_decay", self.weight_decay), ("init_std", self.init_std)]
        {
            if value < 0.0 {
                return Err(bad(key, &value.to_string(), "at least 0"));
            }
        }
        if self.hidden.iter().any(|n| *n == 0 || *n > 4096) {
            return Err(bad("hidden", &self.hidden.show(), "widths from 1 to 4096"));
        }
        if self.skip && self.hidden.is_empty() {
            return Err(bad("skip", "true", "false where there is no hidden layer: there is nothing to skip"));
        }
        Ok(())
    }

    /// Learning rate of table rows.
    #[must_use]
    pub fn row_rate(&self) -> f32 {
        if self.lr_rows > 0.0 { self.lr_rows } else { self.lr }
    }

    /// The optimiser that the settings name.
    pub(crate) fn optimizer(&self) -> Optimizer {
        Optimizer { weight_decay: self.weight_decay, ..self.optimizer.optimizer() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_round_trips_and_errors_name_the_key() {
        let mut config = TextConfig::new();
        for pair in ["hidden=64", "loss=list", "shared_towers=true", "dropout=0.25", "activation=relu"] {
            config.set_pair(pair).unwrap();
        }
        let mut again = TextConfig::new();
        again.read_toml(&config.to_toml()).unwrap();
        assert_eq!(again, config);
        let text = |r: Result<()>| r.unwrap_err().to_string();
        assert!(text(config.set("shared_tower", "1")).contains("nearest is `shared_towers`"));
        assert!(text(config.set("loss", "full")).contains("one of in-batch list"));
        assert!(text(config.set("model", "dssm")).contains("the model is `dssm-text`"));
        for (pair, want) in [
            ("negatives=0", "at least 1"),
            ("hidden=300,0", "widths from 1"),
            ("dropout=1", "below 1"),
            ("temperature=0", "above 0"),
        ] {
            let mut config = TextConfig::new();
            config.set_pair(pair).unwrap();
            assert!(text(config.check()).contains(want), "{pair}");
        }
        let config = TextConfig { weight_decay: f32::NAN, ..TextConfig::new() };
        assert!(text(config.check()).contains("`weight_decay = NaN`: has to be a number"));
    }
}
