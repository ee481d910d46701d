//! Readers, vocabularies, histories, splits and built-in synthetic data of recall-tape.
//!
//! A [`Dataset`] is one array of events sorted by (user, time, order in the input), two vocabularies
//! and columns of features. A [`Split`] names which events train and which are targets; histories are
//! ranges of the event array, never copies.
//!
//! Built-in synthetic data needs the feature `synthetic`, which is on by default:
//!
#![cfg_attr(feature = "synthetic", doc = "```")]
#![cfg_attr(not(feature = "synthetic"), doc = "```ignore")]
//! use rt_data::{SplitKind, SplitOptions, Synthetic, split};
//!
//! let (data, latent) = Synthetic::parse("synthetic:users=50,items=80,events=12,seed=3")?.generate();
//! let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default())?;
//! let case = &split.test[0];
//! let target = case.targets[0] as usize;
//! println!("{} watched {}", data.users.raw(case.user), data.title(data.event_item[target]));
//!
//! // The best ranking that any model could make of this case: by the logits that the event was drawn from.
//! let mut scores = vec![0.0; data.items.rows()];
//! latent.scores(&data, case.user, case.history.clone(), data.time(target), &mut scores);
//! assert!(scores[data.event_item[target] as usize] > rt_data::NEVER);
//! # Ok::<(), rt_data::Error>(())
//! ```
//!
//! Real data is read by [`read`] (MovieLens folders, CSV and TSV, packed too with the feature `gzip`, JSON Lines with `json`, Parquet
//! with `parquet`) and [`read_files`] (three given files), what users searched for by [`read_searches`].

mod audit;
mod builder;
mod clock;
mod columns;
mod dataset;
mod error;
#[cfg(feature = "parquet")]
mod event_log;
mod exposed;
mod ids;
mod memory;
mod notes;
mod parse;
mod read;
mod searches;
mod split;
mod splitmix;
#[cfg(feature = "synthetic")]
mod synthetic;
mod times;
mod vocab;
mod words;

pub use audit::{Finding, Severity, audit};
pub use clock::TimeUnit;
pub use columns::FeatureKind;
pub use dataset::{Column, Dataset, Features, LeftOut};
pub use error::{Error, Result};
#[cfg(feature = "parquet")]
pub use event_log::EventLog;
pub use exposed::Exposed;
pub use read::{FeatureSpec, MissingIds, ReadOptions, SearchOptions, csv_fields, read, read_files, read_searches};
pub use searches::{Searches, SearchesLeftOut};
pub use split::{EvalCase, EvalHistory, Examples, Mask, Split, SplitKind, SplitOptions, Targets, is_tied, split};
#[cfg(feature = "synthetic")]
pub use synthetic::{Latent, NEVER, Synthetic};
pub use times::Times;
pub use vocab::Vocab;
pub use words::{query_tokens, words};
