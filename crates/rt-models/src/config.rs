//! Configuration: one flat list of keys, the same in TOML files and in `key=value` settings.

use crate::select::Select;
use crate::{Error, Result};
use rt_kernels::kernels::MAX_WINDOWS;
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
        /// Mean of -ln sigmoid(positive - negative) over negatives of its own (Rendle et al. 2009).
        Bpr = "bpr",
        /// Mean of max(0, margin - positive + negative) over negatives of its own (Huang et al. 2020).
        Hinge = "hinge",
    }
}

choice! {
    /// Where negatives come from.
    Sampler {
        /// All items alike.
        Uniform = "uniform",
        /// By (training targets)^alpha.
        Popularity = "popularity",
        /// By ln(training targets + 1).
        Log = "log",
        /// Log-uniform by popularity rank.
        Zipf = "zipf",
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
        /// GELU, tanh form (Hendrycks, Gimpel 2016).
        Gelu = "gelu",
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

choice! {
    /// The time since the last event, as a category.
    Gap {
        /// Not used.
        Off = "off",
        /// Within an hour, within a day, more.
        Coarse = "coarse",
        /// Octaves of seconds: only for comparisons with papers that use the target's own time.
        Fine = "fine",
    }
}

choice! {
    /// Where the q of an in-batch logQ comes from.
    Frequency {
        /// The training targets, counted.
        Train = "train",
        /// The steps between batches with an item, while training runs (Yi et al. 2019).
        Stream = "stream",
    }
}

choice! {
    /// Which items are scored against a user of YoutubeDNN.
    ItemTable {
        /// The table that the history uses.
        Shared = "shared",
        /// A table of their own.
        Separate = "separate",
    }
}

choice! {
    /// How learning rates change over the steps.
    Schedule {
        /// Not at all, after the warm-up.
        Constant = "constant",
        /// Down along half a cosine, to `lr_floor` at the last step.
        Cosine = "cosine",
        /// Times `lr_decay` every `lr_decay_epochs` epochs.
        Step = "step",
    }
}

choice! {
    /// How the items of a window of the history are pooled.
    Pool {
        /// Their mean.
        Mean = "mean",
        /// Their sum.
        Sum = "sum",
        /// The largest value of each column.
        Max = "max",
    }
}

mod choices;
pub use choices::{Norm, Numbers};

pub(crate) trait Value: Sized {
    fn parse(key: &str, text: &str) -> Result<Self>;
    fn show(&self) -> String;
}

pub(crate) fn bad(key: &str, text: &str, want: &str) -> Error {
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

/// A whole number, or `auto`: by the rule that the key's documentation states.
impl Value for Option<usize> {
    fn parse(key: &str, text: &str) -> Result<Self> {
        if text == "auto" { Ok(None) } else { usize::parse(key, text).map(Some) }
    }
    fn show(&self) -> String {
        self.map_or_else(|| "\"auto\"".into(), |x| x.show())
    }
}

impl Value for Select {
    fn parse(key: &str, text: &str) -> Result<Self> {
        Self::parse(text).ok_or_else(|| bad(key, text, &Self::wanted()))
    }
    fn show(&self) -> String {
        format!("\"{}\"", self.name())
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

impl Value for String {
    fn parse(_: &str, text: &str) -> Result<Self> {
        Ok(text.to_owned())
    }
    fn show(&self) -> String {
        format!("{self:?}")
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
                    _ => return Err(crate::keys::unknown(key, Self::KEYS)),
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
    /// Epochs without a better validation metric (`select`) after which training stops.
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
    /// Loss: in-batch, full, sampled, list, pointwise, bpr or hinge.
    loss: Loss = (Loss::InBatch, Loss::Full),
    /// Negatives: of each example for list, pointwise, bpr and hinge, shared by the batch for sampled. 0: 3 and 1024.
    negatives: usize = (0, 0),
    /// Where those are drawn: uniform, popularity, log (of the count) or zipf (log-uniform by rank).
    sampler: Sampler = (Sampler::Popularity, Sampler::Popularity),
    /// Exponent of the popularity.
    alpha: f32 = (0.75, 0.75),
    /// Correction for the drawing of negatives: off, negatives or all.
    logq: LogQ = (LogQ::Negatives, LogQ::Negatives),
    /// Are negatives that equal the target masked?
    mask_hits: bool = (true, true),
    /// Seconds without an event that end a session. The mean of the running session's items, its length and the time between
    /// the last two events enter the user tower; all three are known before the request. 0: not used; auto: 60 where the
    /// data has clock times.
    session: Option<usize> = (None, None),
    /// Are the user's own train items left out of the draws of list, pointwise, bpr and hinge?
    exclude_own: bool = (false, false),
    /// Margin of loss = hinge, in units of the score divided by the temperature.
    margin: f32 = (1.0, 1.0),
    /// Subsampling of hot targets: an example whose target has share f of the examples is kept in an epoch with probability
    /// sqrt(subsample / f). 0 = all are kept.
    subsample: f32 = (0.0, 0.0),
    /// Most examples of a user in an epoch, drawn anew each epoch. 0 = all.
    examples_per_user: usize = (0, 0),
    /// Does each user weigh the same, whatever the number of examples?
    user_weight: bool = (false, false),
    /// Where the q of the in-batch logQ comes from: train (targets counted) or stream (estimated while training runs).
    frequency: Frequency = (Frequency::Train, Frequency::Train),
    /// How fast the stream's estimate forgets, alpha of Yi et al.
    frequency_rate: f32 = (0.01, 0.01),
    /// Hash functions of the stream's estimate.
    frequency_hashes: usize = (1, 1),
    /// Slots of each hash of the stream's estimate; 0 = one for each item.
    frequency_slots: usize = (0, 0),
    /// Hard negatives of each example that are mined from the model, at most 2, for list, pointwise, bpr and hinge. 0 = none.
    mine: usize = (0, 0),
    /// Steps from one mining to the next; 0 = an epoch.
    mine_every: usize = (0, 0),
    /// First and last rank that mined negatives are drawn from, without the user's own items.
    mine_ranks: Vec<usize> = (vec![101, 500], vec![101, 500]),
    /// Drawn negatives for each mined one, on average.
    mine_share: f32 = (100.0, 100.0),
    /// Normalisation of hidden layers, between the linear layer and its activation: none, layer or batch.
    norm: Norm = (Norm::None, Norm::None),
    /// Does a hidden layer that is as wide as its input add its input?
    residual: bool = (false, false),
    /// Are the fields of a tower's input weighed by squeeze-and-excitation (FiBiNET)?
    senet: bool = (false, false),
    /// Does the age of the example enter the user tower (Covington et al. 2016)?
    example_age: bool = (false, false),
    /// The age that evaluation and recommendations use: 0 is the end of training, 1 its start.
    example_age_serving: f32 = (0.0, 0.0),
    /// Share of training rows whose user id is left out, so that users without one are served well.
    user_id_dropout: f32 = (0.0, 0.0),
    /// Share of training rows whose item id is left out (DSSM); items without an event in training then have none.
    item_id_dropout: f32 = (0.0, 0.0),
    /// Number columns: raw, standard (minus mean, over deviation) or quantile (ten buckets, embedded).
    numbers: Numbers = (Numbers::Standard, Numbers::Standard),
    /// Categories crossed into new ones: columns of one side, such as gender*age,occupation*gender.
    cross: String = (String::new(), String::new()),
    /// Rows that user ids are hashed into; 0: a row for each user.
    hash_rows: usize = (0, 0),
    /// Rows that a hashed id adds up: 1 or 2.
    hash_functions: usize = (1, 1),
    /// File of pretrained item vectors, .npy or .safetensors; read in training alone.
    item_vectors: String = (String::new(), String::new()),
    /// Do those vectors start the item table, to be trained on, instead of being features that stay?
    item_vectors_tune: bool = (false, false),
    /// Are the zones between the windows' ends pooled (items 1, 2, 3, 4 to 5, ...) instead of the nested windows? With
    /// windows = 1,2,3,4,5 that is the last five items' embeddings side by side.
    zones: bool = (false, false),
    /// How the items of a window are pooled: mean, sum or max (of each column).
    pool: Pool = (Pool::Mean, Pool::Mean),
    /// Weighted means of the history beside the windows, their weights learned by position from the newest; 0 = none.
    position_heads: usize = (0, 0),
    /// Weighted means of the history beside the windows, their weights falling as a learned power of the time between an
    /// event and the newest of the history; 0 = none. Needs clock times.
    decay_heads: usize = (0, 0),
    /// Label smoothing of the softmax losses: this share of the target, 0 to 1, is spread evenly over a row's candidates.
    label_smoothing: f32 = (0.0, 0.0),
    /// Is the temperature learned? It starts at `temperature` and stays at 0.01 or more (CLIP, Radford et al. 2021).
    learn_temperature: bool = (false, false),
    /// Is the in-batch loss the mean of the one from users to items and the one from items to users?
    symmetric: bool = (false, false),
    /// Are candidates masked that are other train items of the row's user? For in-batch, full and sampled.
    mask_own: bool = (false, false),
    /// Of each row's negatives that are left, only so many with the highest logits stay; 0: all. For in-batch, full and
    /// sampled.
    hard_negatives: usize = (0, 0),
    /// Rank of the first of those, from 1: 101 with hard_negatives = 400 keeps ranks 101 to 500 (Huang et al. 2020).
    hard_from: usize = (1, 1),
    /// Items drawn uniformly from the catalogue and shared by the batch, beside the in-batch negatives (Yang et al. 2020).
    mixed: usize = (0, 0),
    /// Batches before this one whose targets are in-batch negatives too, as they were then (Wang et al. 2021).
    queue: usize = (0, 0),
    /// Decay of an exponential moving average of all weights; validation, selection and the saved model use the average,
    /// training goes on with the weights themselves. 0: not kept.
    ema: f32 = (0.0, 0.0),
    /// Learning rates over the steps: constant, cosine (to `lr_floor` at the last step of all `epochs`) or step (times
    /// `lr_decay` every `lr_decay_epochs` epochs). Rates of tables alike.
    schedule: Schedule = (Schedule::Constant, Schedule::Constant),
    /// Steps over which the rates rise from 0, ahead of the schedule.
    warmup: usize = (0, 0),
    /// Share of the rates that cosine ends at, and that step does not go below.
    lr_floor: f32 = (0.0, 0.0),
    /// Factor of the step schedule.
    lr_decay: f32 = (0.5, 0.5),
    /// Epochs between two factors of the step schedule.
    lr_decay_epochs: usize = (1, 1),
    /// Validation metric that chooses the epoch and stops training: MRR, or HR, NDCG, Recall or Precision at 10, 20, 50 or
    /// 100.
    select: Select = (Select::default(), Select::default()),
    /// Largest norm of a step's gradient, all parameters and table rows together; larger ones are scaled down. 0: as they
    /// are.
    clip: f32 = (0.0, 0.0),
    /// Decoupled weight decay of table rows, at each step that touches the row.
    weight_decay_rows: f32 = (0.0, 0.0),
}

impl Config {
    /// Reads a TOML file's keys over this configuration.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for text that is no TOML, for tables, and as [`Config::set`].
    pub fn read_toml(&mut self, text: &str) -> Result<()> {
        for (key, value) in crate::keys::toml_pairs(text)? {
            self.set(&key, &value)?;
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
        if !(0.0..1.0).contains(&self.ema) {
            return Err(bad("ema", &self.ema.to_string(), "at least 0 and below 1"));
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
        self.check_training()?;
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
        crate::features::check(self)?;
        crate::negatives::check_values(self)?;
        self.check_history()?;
        self.check_losses()
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
