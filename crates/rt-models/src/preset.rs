//! Published recipes as settings: `--preset NAME`, over the defaults and under a file and `--set`.
//!
//! A preset has a paper's architecture, loss and negatives, by the keys that everything else uses. What a paper states is set,
//! even if it is nothing (dropout), so that no rule over the data replaces it. What it does not say keeps this project's
//! default. What of it is not done, or done otherwise, each entry lists.

use crate::config::{Config, ModelKind};
use crate::{Error, Result};

/// A published recipe.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its model.
    pub model: ModelKind,
    /// Where it comes from.
    pub source: &'static str,
    /// Keys and values.
    pub settings: &'static [(&'static str, &'static str)],
    /// What of its source it does not do, or does otherwise.
    pub left_out: &'static [&'static str],
}

/// All presets.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "youtube-2016",
        model: ModelKind::YoutubeDnn,
        source: "Covington et al., RecSys 2016, section 3: 256-wide embeddings, the mean of 50 watches, ReLU layers of 1024, \
                 512 and 256, an output table of its own, thousands of sampled negatives corrected by importance, example \
                 age, a fixed number of examples a user, and where searches are given the mean of the last 50 as words and \
                 pairs of words.",
        settings: &[
            ("dim", "256"),
            ("history", "50"),
            ("windows", "50"),
            ("user_hidden", "1024,512"),
            ("activation", "relu"),
            ("last_activation", "relu"),
            ("dropout", "0"),
            ("history_dropout", "0"),
            ("skip", "false"),
            ("user_id", "off"),
            ("session", "0"),
            ("ema", "0"),
            ("item_table", "separate"),
            ("normalize", "false"),
            ("temperature", "1"),
            ("loss", "sampled"),
            ("mask_own", "false"),
            ("negatives", "4096"),
            ("sampler", "zipf"),
            ("logq", "all"),
            ("mask_hits", "false"),
            ("example_age", "true"),
            ("examples_per_user", "100"),
            ("searches", "auto"),
            ("search_tokens", "1000000"),
        ],
        left_out: &[
            "the ranking network, and features of its kind (earlier impressions, counts of watches)",
            "age and other numbers scaled to [0, 1]: standardised here",
            "a watch counts when it was completed: name a label or weight column",
            "what the paper does not give: 100 examples a user, log-uniform negatives, optimiser, rates and batch are ours",
        ],
    },
    Preset {
        name: "dssm-2013",
        model: ModelKind::Dssm,
        source: "Huang et al., CIKM 2013, on features: tanh layers 300, 300 and 128, the last one too, cosine, softmax over the \
                 clicked and four random unclicked documents, batches of 1,024, at most 20 epochs.",
        settings: &[
            ("dim", "128"),
            ("batch", "1024"),
            ("epochs", "20"),
            ("windows", "50"),
            ("user_hidden", "300,300"),
            ("item_hidden", "300,300"),
            ("activation", "tanh"),
            ("last_activation", "tanh"),
            ("dropout", "0"),
            ("history_dropout", "0"),
            ("skip", "false"),
            ("session", "0"),
            ("ema", "0"),
            ("temperature", "0.1"),
            ("loss", "list"),
            ("negatives", "4"),
            ("sampler", "uniform"),
            ("logq", "off"),
            ("exclude_own", "true"),
        ],
        left_out: &[
            "letter trigrams of query and document: user, history and item columns replace them (--model dssm-text has them)",
            "plain gradient descent, whose rate the paper does not give: Adam here",
            "initial weights uniform in sqrt(6 / (inputs + outputs)): 1 / sqrt(inputs) here",
            "gamma, which the paper tunes and does not give: 10 here",
        ],
    },
    Preset {
        name: "yi-2019",
        model: ModelKind::Dssm,
        source: "Yi et al., RecSys 2019: in-batch softmax, every column corrected by the logarithm of its frequency, which is \
                 estimated from the stream (algorithm 2), cosine with a small temperature, Adagrad.",
        settings: &[
            ("dim", "64"),
            ("windows", "50"),
            ("user_hidden", "512,128"),
            ("item_hidden", "512,128"),
            ("activation", "relu"),
            ("dropout", "0"),
            ("history_dropout", "0"),
            ("skip", "false"),
            ("session", "0"),
            ("ema", "0"),
            ("temperature", "0.05"),
            ("loss", "in-batch"),
            ("mask_own", "false"),
            ("logq", "all"),
            ("mask_hits", "false"),
            ("frequency", "stream"),
            ("frequency_rate", "0.01"),
            ("optimizer", "adagrad"),
            ("lr_rows", "0.05"),
        ],
        left_out: &[
            "features of the seed video and of the page that is watched: the data's own columns replace them",
            "rewards of examples: those of a weight column, if the data has one",
            "training day by day along a stream that does not end: epochs over the log here",
            "the sizes of its systems (layers, batches, rates): towers 512-128-64 here, and Adagrad for tables alone",
        ],
    },
    Preset {
        name: "ebr-2020",
        model: ModelKind::Dssm,
        source: "Huang et al., KDD 2020 (embedding-based retrieval in Facebook search): triplet hinge loss over cosines, random \
                 negatives, and one from ranks 101 to 500 of the current model for every hundred random ones.",
        settings: &[
            ("dim", "64"),
            ("windows", "50"),
            ("dropout", "0"),
            ("history_dropout", "0"),
            ("skip", "false"),
            ("session", "0"),
            ("ema", "0"),
            ("temperature", "1"),
            ("loss", "hinge"),
            ("margin", "0.2"),
            ("negatives", "20"),
            ("sampler", "uniform"),
            ("mine", "1"),
            ("mine_share", "100"),
        ],
        left_out: &[
            "character and word n-grams of query and result, embeddings of places and of the social graph: what columns the data has \
             stand in their place",
            "hard positives, ensembles of models by weighted concatenation or cascade",
            "quantised approximate search: exact search here",
            "what the paper does not give: margin, widths, 20 negatives, optimiser, rates and batch are ours",
        ],
    },
    Preset {
        name: "rechub-dssm",
        model: ModelKind::Dssm,
        source: "torch-rechub 0.9.0, examples/matching/run_ml_dssm.py: embeddings of 16, towers 256-128-64 of linear, batch norm \
                 and PReLU, binary cross-entropy over the positive and three negatives by count^0.75, temperature 0.02.",
        settings: &[
            ("dim", "64"),
            ("column_dims", "item_id=16,user_id=16,*=16"),
            ("user_id", "on"),
            ("batch", "4096"),
            ("epochs", "10"),
            ("patience", "10"),
            ("weight_decay", "1e-6"),
            ("history", "50"),
            ("windows", "50"),
            ("user_hidden", "256,128"),
            ("item_hidden", "256,128"),
            ("activation", "prelu"),
            ("norm", "batch"),
            ("dropout", "0"),
            ("history_dropout", "0"),
            ("skip", "false"),
            ("session", "0"),
            ("ema", "0"),
            ("temperature", "0.02"),
            ("loss", "pointwise"),
            ("negatives", "3"),
            ("sampler", "popularity"),
            ("alpha", "0.75"),
        ],
        left_out: &[
            "batch norm and PReLU on the last layer: linear here (--set last_activation=prelu has them)",
            "its temperature is stored and never used: it is applied here (--set temperature=1 takes it away)",
            "padding is averaged into the history: only items are here",
            "embeddings start at deviation 0.0001 and the rate is 0.0001: 0.05 and 0.002 here (init_std, lr)",
            "the first genre alone as the item's category: all of them here",
            "the last epoch is the model: here the best of the ten on validation",
        ],
    },
    Preset {
        name: "rechub-youtube",
        model: ModelKind::YoutubeDnn,
        source: "torch-rechub 0.9.0, examples/matching/run_ml_youtube_dnn.py: embeddings of 16, tower 128-64-16 of linear, batch \
                 norm and ReLU, a softmax over the positive and three negatives of its own by count^0.75, temperature 0.02.",
        settings: &[
            ("dim", "16"),
            ("column_dims", "*=16"),
            ("user_id", "on"),
            ("batch", "2048"),
            ("epochs", "10"),
            ("patience", "10"),
            ("weight_decay", "1e-6"),
            ("history", "50"),
            ("windows", "50"),
            ("user_hidden", "128,64"),
            ("activation", "relu"),
            ("norm", "batch"),
            ("dropout", "0"),
            ("history_dropout", "0"),
            ("skip", "false"),
            ("session", "0"),
            ("ema", "0"),
            ("temperature", "0.02"),
            ("loss", "list"),
            ("negatives", "3"),
            ("sampler", "popularity"),
            ("alpha", "0.75"),
            ("logq", "negatives"),
        ],
        left_out: &[
            "batch norm and ReLU on the last layer, so that no user vector has a negative number: linear here (--set \
             last_activation=relu has them)",
            "negatives by popularity are not corrected: logQ here (--set logq=off leaves it out)",
            "padding is averaged into the history: only items are here",
            "embeddings start at deviation 0.0001 and the rate is 0.0001: 0.05 and 0.002 here (init_std, lr)",
            "the last epoch is the model: here the best of the ten on validation",
        ],
    },
];

impl Preset {
    /// The preset of this name.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with all names for an unknown one.
    pub fn find(name: &str) -> Result<&'static Self> {
        PRESETS.iter().find(|p| p.name == name).ok_or_else(|| {
            let names: Vec<&str> = PRESETS.iter().map(|p| p.name).collect();
            Error::Config(format!("unknown preset `{name}`: there are {}", names.join(", ")))
        })
    }

    /// What of its source it does not do, or does otherwise, in one line.
    #[must_use]
    pub fn limits(&self) -> String {
        format!("preset {} follows its source but for: {}", self.name, self.left_out.join("; "))
    }

    /// The defaults of its model with its settings over them.
    ///
    /// # Errors
    ///
    /// As [`Config::set`].
    pub fn config(&self) -> Result<Config> {
        let mut config = Config::new(self.model);
        for (key, value) in self.settings {
            config.set(key, value)?;
        }
        config.check()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Hidden, Norm};

    #[test]
    fn every_preset_is_a_configuration_of_its_own() {
        for (i, preset) in PRESETS.iter().enumerate() {
            let config = preset.config().unwrap_or_else(|e| panic!("{}: {e}", preset.name));
            assert_ne!(config, Config::new(preset.model), "{}", preset.name);
            let converges = config.logq != crate::config::LogQ::All || !config.mask_hits;
            assert!(converges, "{}: with every column corrected, equal ids stay", preset.name);
            assert!(
                !preset.left_out.is_empty() && preset.left_out.iter().all(|what| !what.is_empty()),
                "{}",
                preset.name
            );
            assert!(!preset.limits().contains('\n') && preset.limits().contains(preset.name));
            // No rule over the data stands in for what none of them has: noise, a session, a temperature, many windows.
            assert_eq!((config.dropout, config.history_dropout), (Some(0.0), Some(0.0)), "{}", preset.name);
            assert_eq!((config.session, &config.windows[..]), (Some(0), &[50][..]), "{}", preset.name);
            let softmax = matches!(config.loss, crate::Loss::InBatch | crate::Loss::Full | crate::Loss::Sampled);
            assert!(!softmax || config.mask_own == Some(false), "{}", preset.name);
            assert!(config.temperature.is_some() && config.ema == 0.0 && !config.skip, "{}", preset.name);
            assert!(PRESETS[..i].iter().all(|p| p.name != preset.name));
        }
        let of = |name| Preset::find(name).unwrap().config().unwrap();
        assert_eq!(of("dssm-2013").last_activation, Some(Hidden::Tanh));
        assert_eq!((of("dssm-2013").batch, of("rechub-dssm").batch, of("rechub-youtube").batch), (1024, 4096, 2048));
        assert!(
            [of("rechub-dssm"), of("rechub-youtube")]
                .iter()
                .all(|c| c.norm == Norm::Batch && c.last_activation.is_none())
        );
        assert!(Preset::find("youtube-2061").unwrap_err().to_string().contains("youtube-2016"));
    }
}
