//! Published recipes as settings: `--preset NAME`, over the defaults and under a file and `--set`.
//!
//! A preset has a paper's architecture, loss and negatives, by the keys that everything else uses. What a paper does not
//! say stays at this project's default, and where it would carry a fault over, the fault stays out; each entry says so.

use crate::config::{Config, ModelKind};
use crate::{Error, Result};

/// A published recipe.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its model.
    pub model: ModelKind,
    /// Where it comes from, and what differs.
    pub source: &'static str,
    /// Keys and values.
    pub settings: &'static [(&'static str, &'static str)],
}

/// All presets.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "youtube-2016",
        model: ModelKind::YoutubeDnn,
        source: "Covington et al., RecSys 2016, section 3: 256-wide embeddings, the mean of 50 watches, ReLU layers of 1024, \
                 512 and 256, an output table of its own, thousands of sampled negatives corrected by importance, example \
                 age, a fixed number of examples a user, and where searches are given the mean of the last 50 as words and \
                 pairs of words. The last layer is linear here: a ReLU there makes all user vectors non-negative.",
        settings: &[
            ("dim", "256"),
            ("history", "50"),
            ("windows", "50"),
            ("user_hidden", "1024,512"),
            ("activation", "relu"),
            ("skip", "false"),
            ("user_id", "off"),
            ("session", "0"),
            ("ema", "0"),
            ("item_table", "separate"),
            ("normalize", "false"),
            ("temperature", "1"),
            ("loss", "sampled"),
            ("negatives", "4096"),
            ("sampler", "zipf"),
            ("logq", "all"),
            ("mask_hits", "false"),
            ("example_age", "true"),
            ("examples_per_user", "100"),
            ("searches", "auto"),
            ("search_tokens", "1000000"),
        ],
    },
    Preset {
        name: "dssm-2013",
        model: ModelKind::Dssm,
        source: "Huang et al., CIKM 2013, on features in place of letter trigrams (those: --model dssm-text): tanh layers 300, \
                 300 and 128, cosine, softmax with gamma 10 over the clicked and four random unclicked documents.",
        settings: &[
            ("dim", "128"),
            ("windows", "50"),
            ("user_hidden", "300,300"),
            ("item_hidden", "300,300"),
            ("activation", "tanh"),
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
            ("skip", "false"),
            ("session", "0"),
            ("ema", "0"),
            ("temperature", "0.05"),
            ("loss", "in-batch"),
            ("logq", "all"),
            ("mask_hits", "false"),
            ("frequency", "stream"),
            ("optimizer", "adagrad"),
            ("lr_rows", "0.05"),
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
    },
    Preset {
        name: "rechub-dssm",
        model: ModelKind::Dssm,
        source: "torch-rechub's DSSM example: towers 256-128-64, binary cross-entropy over the positive and three negatives. Its \
                 faults stay out: the temperature is applied, the last layer is linear, padding is not averaged in, ids are \
                 embedded as wide as the output.",
        settings: &[
            ("dim", "64"),
            ("batch", "4096"),
            ("windows", "50"),
            ("user_hidden", "256,128"),
            ("item_hidden", "256,128"),
            ("activation", "prelu"),
            ("skip", "false"),
            ("session", "0"),
            ("ema", "0"),
            ("loss", "pointwise"),
            ("negatives", "3"),
            ("sampler", "popularity"),
        ],
    },
    Preset {
        name: "rechub-youtube",
        model: ModelKind::YoutubeDnn,
        source: "torch-rechub's YoutubeDNN example: embeddings of 16, tower 128-64-16, a softmax over the positive and three \
                 negatives of its own. Its faults stay out: negatives are corrected by logQ, the last layer is linear, \
                 padding is not averaged in.",
        settings: &[
            ("dim", "16"),
            ("batch", "2048"),
            ("windows", "50"),
            ("user_hidden", "128,64"),
            ("skip", "false"),
            ("session", "0"),
            ("ema", "0"),
            ("loss", "list"),
            ("negatives", "3"),
            ("sampler", "popularity"),
            ("logq", "negatives"),
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

    #[test]
    fn every_preset_is_a_configuration_of_its_own() {
        for (i, preset) in PRESETS.iter().enumerate() {
            let config = preset.config().unwrap_or_else(|e| panic!("{}: {e}", preset.name));
            assert_ne!(config, Config::new(preset.model), "{}", preset.name);
            let converges = config.logq != crate::config::LogQ::All || !config.mask_hits;
            assert!(converges, "{}: with every column corrected, equal ids stay", preset.name);
            assert!(PRESETS[..i].iter().all(|p| p.name != preset.name));
        }
        assert!(Preset::find("youtube-2061").unwrap_err().to_string().contains("youtube-2016"));
    }
}
