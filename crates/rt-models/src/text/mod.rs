//! DSSM on text: queries and documents as bags of letter trigrams, two towers, exact search (`dssm-text`).
//!
//! The model of Huang et al., "Learning deep structured semantic models for web search using clickthrough data", CIKM
//! 2013. Word hashing turns a text into counts of letter trigrams; a tower maps the counts to a vector; the cosine of a
//! query's and a document's vector ranks. The paper's first layer, the count vector times a matrix, is an embedding bag
//! that sums: nothing of the vocabulary's size is ever made.
//!
//! ```
//! use rt_models::text::{Pairs, TextConfig, TextSplit, SplitBy, train};
//! use std::ops::ControlFlow;
//!
//! let tsv = "query\tdocument\nred shoe\tShoes, red\ngreen shoe\tShoes, green\nblue hat\tHats, blue\n";
//! let pairs = Pairs::parse("doc", tsv.as_bytes(), std::path::Path::new("pairs.tsv"))?;
//! let split = TextSplit::new(&pairs, SplitBy::Pairs, 1);
//! let mut config = TextConfig::new();
//! config.set_pair("epochs=2")?;
//! let device = rt_models::Device::cpu(1)?;
//! let (model, _) = train(&device, &config, &pairs, &split, 1, &mut |_| ControlFlow::Continue(()))?;
//! let best = model.search("red shoe", 2)?;
//! println!("{} {:.3}", best[0].text, best[0].score);
//! # assert_eq!(best.len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batches;
mod check;
mod config;
mod hashing;
mod held_out;
mod model;
mod noise;
mod pairs;
mod rank;
mod save;
mod tfidf;
mod tower;
mod train;

pub use check::check_text;
pub use config::{TextConfig, TextLoss};
pub use hashing::{trigrams, words};
pub use model::{Found, TextModel};
pub use noise::{Noise, title_pairs};
pub use pairs::{Pair, Pairs, SplitBy, TextSplit};
pub use rank::{TextFigures, TextScorer, rank_pairs};
pub use tfidf::TfIdf;
pub use train::{TextReport, train};

/// Its name on the command line, in tables and in saved folders.
pub const NAME: &str = "dssm-text";
