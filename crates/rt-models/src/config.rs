//! Configuration: one flat list of keys, the same in TOML files and in `key=value` settings.

use crate::{Error, Result};
use rt_kernels::kernels::MAX_WINDOWS;
use std::collections::BTreeMap;
use std::fmt::Write as _;

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

choice! {
    /// What is minimised.
    Loss {
        /// Softmax over the batch's targets (in-batch negatives).
        InBatch = "in-batch",
        /// Softmax over the whole catalogue.
        Full = "full",
        /// Softmax over the positive and negatives that the batch shares.
        Sampled = "sampled",
        /// Softmax over the positive and negatives of its own (label 0, as the tutorial's class).
        List = "list",
        /// Binary cross-entropy over the positive and negatives of its own (as torch-rechub's DSSM).
        Pointwise = "pointwise",
    }
}

choice! {
    /// Where negatives come from.
    Sampler {
        /// All items alike.
        Uniform = "uniform",
        /// By (training targets)^alpha.
        Popularity = "popularity",
    }
}

choice! {
    /// The correction for how often a negative is drawn.
    LogQ {
        /// None.
        Off = "off",
        /// Negatives' logits are corrected, the positive's is not.
        Negatives = "negatives",
        /// All logits are corrected (Yi et al. 2019).
        All = "all",
    }
}

choice! {
    /// How parameters follow their gradients.
    OptimizerKind {
        /// Adam, lazy for tables.
        Adam = "adam",
        /// Adam for dense parameters, row-wise Adagrad for tables.
        Adagrad = "adagrad",
        /// Plain gradient descent.
        Sgd = "sgd",
    }
}

choice! {
    /// Activation of a tower's hidden layers.
    Hidden {
        /// max(x, 0).
        Relu = "relu",
        /// PReLU, a slope learned for each column.
        Prelu = "prelu",
        /// Hyperbolic tangent (DSSM 2013).
        Tanh = "tanh",
        /// Logistic function.
        Sigmoid = "sigmoid",
    }
}

choice! {
    /// On, off, or decided by a rule that reads the data.
    Switch {
        /// Always.
        On = "on",
        /// Never.
        Off = "off",
        /// By the rule that the key's documentation states.
        Auto = "auto",
    }
}

mod choices;

pub use choices::{Gap, ItemTable, Label, NegativesFrom};

trait Value: Sized {
    fn parse(key: &str, text: &str) -> Result<Self>;
    fn show(&self) -> String;
}

fn bad(key: &str, text: &str, want: &str) -> Error {
    Error::Config(format!("`{key} = {text}`: has to be {want}"))
}

impl Value for usize {
    fn parse(key: &str, text: &str) -> Result<Self> {
        text.parse().map_err(|_| bad(key, text, "a whole number"))
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for f32 {
    fn parse(key: &str, text: &str) -> Result<Self> {
        let value: Option<f32> = text.parse().ok().filter(|x: &f32| x.is_finite());
        value.ok_or_else(|| bad(key, text, "a number"))
    }
    fn show(&self) -> String {
        format!("{self:?}")
    }
}

/// A number, or `auto`: by the rule that the key's documentation states.
impl Value for Option<f32> {
    fn parse(key: &str, text: &str) -> Result<Self> {
        if text == "auto" { Ok(None) } else { f32::parse(key, text).map(Some) }
    }
    fn show(&self) -> String {
        self.map_or_else(|| "\"auto\"".into(), |x| x.show())
    }
}

impl Value for bool {
    fn parse(key: &str, text: &str) -> Result<Self> {
        match text {
            "true" | "on" | "1" => Ok(true),
            "false" | "off" | "0" => Ok(false),
            _ => Err(bad(key, text, "true or false")),
        }
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for Vec<usize> {
    fn parse(key: &str, text: &str) -> Result<Self> {
        let inner = text.trim().trim_start_matches('[').trim_end_matches(']').trim();
        if inner.is_empty() {
            return Ok(Vec::new());
        }
        let number = |part: &str| match part.trim() {
            "all" => Ok(usize::MAX),
            part => part.parse().map_err(|_| bad(key, text, "whole numbers between commas, such as 1,5,50")),
        };
        inner.split(',').map(number).collect()
    }
    fn show(&self) -> String {
        let all: Vec<String> =
            self.iter().map(|n| if *n == usize::MAX { "\"all\"".into() } else { n.to_string() }).collect();
        format!("[{}]", all.join(", "))
    }
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
                match key {
                    $(stringify!($key) => self.$key = Value::parse(key, text)?,)+
                    "model" if text == self.model.name() => {}
                    "model" => {
                        let have = self.model.name();
                        return Err(Error::Config(format!("the file is for model `{text}`, the model is `{have}`")));
                    }
                    _ => {
                        let distance = |k: &&str| strsim::damerau_levenshtein(k, key);
                        let near = Self::KEYS.iter().map(|(k, _)| *k).min_by_key(distance).unwrap_or("");
                        return Err(Error::Config(format!("unknown key `{key}`; the nearest is `{near}`")));
                    }
                }
                Ok(())
            }

            /// The whole configuration as TOML.
            #[must_use]
            pub fn to_toml(&self) -> String {
                let mut out = format!("model = \"{}\"\n", self.model.name());
                $(let _ = writeln!(out, "{} = {}", stringify!($key), self.$key.show());)+
                out
            }
        }
    };
}

config! {
    /// Passes over the training examples, at most.
    epochs: usize = (40, 40),
    /// Examples a step.
    batch: usize = (1024, 1024),
    /// Learning rate of dense parameters.
    lr: f32 = (2e-3, 2e-3),
    /// Learning rate of table rows; 0 = the same as `lr`.
    lr_rows: f32 = (0.0, 0.0),
    /// Optimiser: adam, adagrad (row-wise, for tables) or sgd.
    optimizer: OptimizerKind = (OptimizerKind::Adam, OptimizerKind::Adam),
    /// Decoupled weight decay of dense parameters.
    weight_decay: f32 = (0.0, 0.0),
    /// Epochs without a better validation NDCG@10 after which training stops.
    patience: usize = (4, 4),
    /// Width of id embeddings and of both output vectors.
    dim: usize = (64, 64),
    /// Deviation of the normal distribution that tables start from.
    init_std: f32 = (0.05, 0.05),
    /// Most items of a history that enter the tower.
    history: usize = (50, 50),
    /// Windows of the history that are pooled side by side: means of the last w items each. Empty: 1, 2, 3, 5, 10 and the
    /// whole history where events have an order, all items where a history is a set.
    windows: Vec<usize> = (vec![], vec![]),
    /// Share of history items that are dropped in training. auto: 0.2 for fewer than 200,000 training examples, else 0.1.
    history_dropout: Option<f32> = (None, None),
    /// Dropout on a tower's input and hidden layers. auto: 0.2 for fewer than 200,000 training examples, else 0.1.
    dropout: Option<f32> = (None, None),
    /// Widths of the user tower's hidden layers.
    user_hidden: Vec<usize> = (vec![128], vec![256, 256]),
    /// Widths of the item tower's hidden layers (DSSM).
    item_hidden: Vec<usize> = (vec![128], vec![]),
    /// Activation of hidden layers; the last layer is linear.
    activation: Hidden = (Hidden::Relu, Hidden::Relu),
    /// A linear skip from a tower's input to its output.
    skip: bool = (true, true),
    /// Does the user's id enter its tower? auto: where users have 20 training examples or more on average.
    user_id: Switch = (Switch::Auto, Switch::Auto),
    /// Do the other columns of the user file enter the user tower?
    user_features: bool = (true, true),
    /// Do the columns of the item file enter the item tower (DSSM)?
    item_features: bool = (true, true),
    /// Does the time since the last event enter the user tower? coarse: within an hour, a day, more; fine: by octaves of
    /// seconds, which no server knows in advance, so only with `--request-time exact`.
    gap: Gap = (Gap::Off, Gap::Off),
    /// Items scored against a user: the history's table or one of their own (YoutubeDNN).
    item_table: ItemTable = (ItemTable::Shared, ItemTable::Shared),
    /// Are output vectors L2-normalised, so that their product is the cosine?
    normalize: bool = (true, true),
    /// Temperature that scores are divided by in the loss.
    temperature: f32 = (0.1, 0.1),
    /// Loss: in-batch, full, sampled, list or pointwise.
    loss: Loss = (Loss::InBatch, Loss::Full),
    /// Negatives: of each example for list and pointwise, shared by the batch for sampled. 0: 3 and 1024.
    negatives: usize = (0, 0),
    /// Where those are drawn: uniform or popularity.
    sampler: Sampler = (Sampler::Popularity, Sampler::Popularity),
    /// Exponent of the popularity.
    alpha: f32 = (0.75, 0.75),
    /// Correction for the drawing of negatives: off, negatives or all.
    logq: LogQ = (LogQ::Negatives, LogQ::Negatives),
    /// Are negatives that equal the target masked?
    mask_hits: bool = (true, true),
    /// Steps after which training stops, in the middle of an epoch too; 0: no limit.
    max_steps: usize = (0, 0),
    /// Negatives of list and pointwise: sampler (drawn), data (shown and not clicked, nearest before the example first,
    /// filled up with draws) or both (half of each). data and both need data with a label column.
    negatives_from: NegativesFrom = (NegativesFrom::Sampler, NegativesFrom::Sampler),
    /// What is predicted in training: next (the next item from those before it) or heldout (an item from all others of the
    /// user's, later ones too). Evaluation always asks for the next.
    label: Label = (Label::Next, Label::Next),
}

impl Config {
    /// Reads a TOML file's keys over this configuration.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for text that is no TOML, for tables, and as [`Config::set`].
    pub fn read_toml(&mut self, text: &str) -> Result<()> {
        type Table = BTreeMap<String, serde_json::Value>;
        let table: Table = basic_toml::from_str(text).map_err(|e| Error::Config(e.to_string()))?;
        let show = |v: &serde_json::Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        for (key, value) in &table {
            let text = match value.as_array() {
                Some(list) => list.iter().map(show).collect::<Vec<_>>().join(","),
                None => show(value),
            };
            self.set(key, &text)?;
        }
        self.check()
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
        let positive = [
            ("epochs", self.epochs),
            ("batch", self.batch),
            ("dim", self.dim),
            ("history", self.history),
            ("patience", self.patience),
        ];
        for (key, value) in positive {
            if value == 0 {
                return Err(bad(key, "0", "at least 1"));
            }
        }
        let at_most = [("batch", self.batch, 1 << 24), ("dim", self.dim, 4096), ("history", self.history, 1 << 20)];
        for (key, value, most) in at_most {
            if value > most {
                return Err(bad(key, &value.to_string(), &format!("at most {most}")));
            }
        }
        for (key, value) in [("dropout", self.dropout), ("history_dropout", self.history_dropout)] {
            let value = value.unwrap_or(0.0);
            if !(0.0..1.0).contains(&value) {
                return Err(bad(key, &value.to_string(), "at least 0 and below 1"));
            }
        }
        for (key, value) in [("lr", self.lr), ("temperature", self.temperature)] {
            if value <= 0.0 {
                return Err(bad(key, &value.to_string(), "above 0"));
            }
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
        let w = &self.windows;
        if w.first() == Some(&0) || w.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(bad("windows", &w.show(), "ascending whole numbers from 1"));
        }
        if w.len() > MAX_WINDOWS {
            return Err(bad("windows", &w.show(), &format!("at most {MAX_WINDOWS}")));
        }
        for (key, widths) in [("user_hidden", &self.user_hidden), ("item_hidden", &self.item_hidden)] {
            if widths.iter().any(|n| *n == 0 || *n > 1 << 16) {
                return Err(bad(key, &widths.show(), "widths from 1 to 65536"));
            }
        }
        Ok(())
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
            _ => Err(Error::Config(format!("unknown model `{text}`: dssm or youtube-dnn"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_round_trips() {
        for model in [ModelKind::Dssm, ModelKind::YoutubeDnn] {
            let mut config = Config::new(model);
            config.set("windows", "1,3,all").unwrap();
            config.set("lr", "0.0125").unwrap();
            let mut again = Config::new(model);
            again.read_toml(&config.to_toml()).unwrap();
            assert_eq!(again, config);
        }
    }

    #[test]
    fn toml_files_are_read_as_people_write_them() {
        let mut config = Config::new(ModelKind::Dssm);
        let file = "# a comment\nlr = 1e-3\nuser_hidden = [\n  256, # wide\n  64,\n]\nwindows = [1, \"all\"]\nloss = 'full'\nskip = false\n";
        config.read_toml(file).unwrap();
        let mut want = Config::new(ModelKind::Dssm);
        for pair in ["lr=1e-3", "user_hidden=256,64", "windows=1,all", "loss=full", "skip=false"] {
            want.set_pair(pair).unwrap();
        }
        assert_eq!(config, want);
        let refuse = |text: &str| Config::new(ModelKind::Dssm).read_toml(text).unwrap_err().to_string();
        assert!(refuse("lr = 1e-3\nepochs = = 4").contains("line 2"));
        assert!(refuse("[training]\nlr = 1").contains("`training`"));
        assert!(refuse("lr = nan").contains("`lr"));
    }

    #[test]
    fn errors_name_the_key_and_what_would_be_right() {
        let mut config = Config::new(ModelKind::Dssm);
        let text = |r: Result<()>| r.unwrap_err().to_string();
        assert!(text(config.set("dropuot", "1")).contains("nearest is `dropout`"));
        assert!(text(config.set("lr", "banana")).contains("`lr = banana`: has to be a number"));
        assert!(text(config.set("lr", "NaN")).contains("has to be a number"));
        assert!(text(config.set("loss", "hinge")).contains("one of in-batch full"));
        assert!(text(config.set_pair("epochs")).contains("key=value"));
        config.set("batch", "0").unwrap();
        assert!(text(config.check()).contains("`batch = 0`: has to be at least 1"));
        let mut config = Config::new(ModelKind::Dssm);
        config.set("windows", "5,1").unwrap();
        assert!(text(config.check()).contains("ascending"));
    }
}
