//! Configuration: one flat list of keys, the same in TOML files and in `key=value` settings.

use crate::{Error, Result};
use rt_kernels::kernels::MAX_WINDOWS;

/// Which model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelKind {
    /// Two towers (Huang et al., CIKM 2013).
    Dssm,
    /// A user tower over the watch history, and a table of items (Covington et al., RecSys 2016).
    YoutubeDnn,
}

impl ModelKind {
    /// Its name on the command line and in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dssm => "dssm",
            Self::YoutubeDnn => "youtube-dnn",
        }
    }
}

/// A choice among names.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Its name in settings.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl Value for $name {
            fn parse(key: &str, text: &str) -> Result<Self> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(bad(key, text, concat!("one of", $(" ", $text),+))),
                }
            }
            fn show(&self) -> String {
                match self { $(Self::$variant => format!("\"{}\"", $text)),+ }
            }
        }
    };
}

macro_rules! config {
    ($($(#[doc = $doc:literal])+ $key:ident: $type:ty = ($dssm:expr, $youtube:expr)),+ $(,)?) => {
        /// Everything that can be set, with the defaults that measured best on the data sets that the documentation names.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Config {
            /// Which model.
            pub model: ModelKind,
            $($(#[doc = $doc])+ pub $key: $type),+
        }

        impl Config {
            /// The defaults of a model.
            #[must_use]
            pub fn new(model: ModelKind) -> Self {
                match model {
                    ModelKind::Dssm => Self { model, $($key: $dssm),+ },
                    ModelKind::YoutubeDnn => Self { model, $($key: $youtube),+ },
                }
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
                let text = value::without_auto(key, text)?;
                match key {
                    $(stringify!($key) => self.$key = Value::parse(key, text)?,)+
                    "model" if text == self.model.name() => {}
                    "model" => {
                        let have = self.model.name();
                        return Err(Error::Config(format!("the file is for model `{text}`, the model is `{have}`")));
                    }
                    _ => return Err(crate::keys::unknown(key, Self::KEYS)),
                }
                Ok(())
            }

            pub(super) fn check_numbers(&self) -> Result<()> {
                $(Value::check(&self.$key, stringify!($key))?;)+
                Ok(())
            }

            /// The whole configuration as TOML.
            #[must_use]
            pub fn to_toml(&self) -> String {
                let mut out = format!("model = \"{}\"\n", self.model.name());
                $(let _ = writeln!(out, "{} = {}", stringify!($key), value::with_auto(stringify!($key), self.$key.show()));)+
                out
            }
        }
    };
}

mod choices;
mod keys;
mod value;

pub use choices::{
    Frequency, Gap, Hidden, ItemTable, Label, LogQ, Loss, NegativesFrom, Norm, Numbers, OptimizerKind, Pool, Sampler,
    Schedule, SearchTime, Switch,
};
pub use keys::Config;
pub(crate) use value::{Value, bad};

impl Config {
    /// Reads a TOML file's keys over this configuration.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for text that is no TOML, for tables, and as [`Config::set`]. Values are not held against each other:
    /// more settings may follow ([`Config::check`]).
    pub fn read_toml(&mut self, text: &str) -> Result<()> {
        for (key, value) in crate::keys::toml_pairs(text)? {
            self.set(&key, &value)?;
        }
        Ok(())
    }

    /// Sets `key=value`.
    ///
    /// # Errors
    ///
    /// As [`Config::set`], and for text without `=`.
    pub fn set_pair(&mut self, pair: &str) -> Result<()> {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(Error::Config(format!("`{pair}`: has to be key=value")));
        };
        self.set(key.trim(), value.trim())
    }

    /// Checks values against each other.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] naming the key, its value and what it has to be.
    pub fn check(&self) -> Result<()> {
        self.check_numbers()?;
        let positive = [("accumulate", self.accumulate), ("history", self.history)];
        for (key, value) in positive {
            if value == 0 {
                return Err(bad(key, "0", "at least 1"));
            }
        }
        let at_most = [
            ("batch", self.batch, 1 << 24),
            ("accumulate", self.accumulate, 64),
            ("dim", self.dim, value::MOST_WIDE),
            ("history", self.history, 1 << 20),
        ];
        for (key, value, most) in at_most {
            if value > most {
                return Err(bad(key, &value.to_string(), &format!("at most {most}")));
            }
        }
        if !(0.0..1.0).contains(&self.ema) {
            return Err(bad("ema", &self.ema.to_string(), "at least 0 and below 1"));
        }
        for (key, value) in [("dropout", self.dropout), ("history_dropout", self.history_dropout)] {
            let value = value.unwrap_or(0.0);
            if !(0.0..1.0).contains(&value) {
                return Err(bad(key, &value.to_string(), "at least 0 and below 1"));
            }
        }
        if self.lr <= 0.0 {
            return Err(bad("lr", &self.lr.to_string(), "above 0"));
        }
        if let Some(value) = self.temperature.filter(|value| *value <= 0.0) {
            return Err(bad("temperature", &value.to_string(), "above 0"));
        }
        for (key, value) in [
            ("lr_rows", self.lr_rows),
            ("weight_decay", self.weight_decay),
            ("init_std", self.init_std),
            ("alpha", self.alpha),
        ] {
            if value < 0.0 {
                return Err(bad(key, &value.to_string(), "at least 0"));
            }
        }
        self.check_training()?;
        let w = &self.windows;
        if w.first() == Some(&0) || w.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(bad("windows", &w.show(), "ascending whole numbers from 1"));
        }
        if w.len() > MAX_WINDOWS {
            return Err(bad("windows", &w.show(), &format!("at most {MAX_WINDOWS}")));
        }
        let user_hidden = self.user_hidden.as_deref().unwrap_or_default();
        for (key, widths) in [("user_hidden", user_hidden), ("item_hidden", &self.item_hidden)] {
            if widths.iter().any(|n| *n == 0 || *n > 1 << 16) {
                return Err(bad(key, &widths.to_vec().show(), "widths from 1 to 65536"));
            }
        }
        crate::features::check(self)?;
        crate::negatives::check_values(self)?;
        self.check_history()?;
        self.check_searches()?;
        self.check_losses()
    }

    /// The temperature, or that of much data where none is set and the data has not been looked at.
    pub(crate) fn softmax_temperature(&self) -> f32 {
        self.temperature.unwrap_or(0.1)
    }

    /// Examples of a step: those of all its batches.
    #[must_use]
    pub fn step_examples(&self) -> usize {
        self.batch * self.accumulate
    }

    /// These settings for so many examples: a batch is no larger than all of them, and a step has no batch without an example.
    pub(crate) fn within(mut self, examples: usize) -> Self {
        self.batch = self.batch.min(examples).max(1);
        self.accumulate = self.accumulate.min(examples.div_ceil(self.batch)).max(1);
        self
    }

    /// Seconds that end a session; 0 where sessions are not used or not resolved yet.
    #[must_use]
    pub fn session_seconds(&self) -> usize {
        self.session.unwrap_or(0)
    }

    /// Learning rate of table rows.
    #[must_use]
    pub fn row_rate(&self) -> f32 {
        if self.lr_rows > 0.0 { self.lr_rows } else { self.lr }
    }
}

impl std::str::FromStr for ModelKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "dssm" => Ok(Self::Dssm),
            "youtube-dnn" => Ok(Self::YoutubeDnn),
            _ => Err(Error::Config(format!(
                "unknown model `{text}`: dssm or youtube-dnn, and in `recall train` dssm-text"
            ))),
        }
    }
}

#[cfg(test)]
mod tests;
