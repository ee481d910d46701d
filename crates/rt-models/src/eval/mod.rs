//! Evaluation: exact ranks over the whole catalogue, metrics with standard errors, baselines, rows of a table.
//!
//! The way of a figure: a [`Scorer`] scores cases, [`rank_cases`] turns scores into places under one or more masks,
//! [`Figures`] are means over the cases, a [`Row`] is one line of the table and of `--json`.
//!
//! ```
//! use rt_data::{Mask, SplitKind, SplitOptions, Synthetic, split};
//! use rt_models::eval::{ItemKnn, Popularity, Row, paired, rank_cases};
//!
//! let (data, _) = Synthetic::parse("synthetic:users=60,items=80,events=12,seed=3")?.generate();
//! let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default())?;
//!
//! let popular = Popularity::new(&data, &split);
//! let knn = ItemKnn::fit(&data, &split)?;
//! let masks = [split.mask, Mask::None];
//! let a = rank_cases(&data, &split.test, &popular, &masks)?;
//! let b = rank_cases(&data, &split.test, &knn, &masks)?;
//! let row = Row::new("item-knn", &data, &split, &split.test, &b[0], &b[1]);
//! let gain = paired(&b[0], &a[0])?;
//! println!(
//!     "item-knn, h = {}: HR@10 {:.4}, {:+.4} ± {:.4} over most-popular",
//!     knn.last(),
//!     row.metrics.get("HR@10").unwrap(),
//!     gain.difference,
//!     gain.stderr
//! );
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```

mod baselines;
mod cooccurrence;
mod metrics;
mod rank;
mod ranker;
mod report;
#[cfg(test)]
mod tests;
mod top;

pub use baselines::{ItemKnn, LASTS, Last, Popularity};
pub use metrics::{
    Figures, Paired, Place, average_precision, coverage, diversity, figures, hit_rate, mrr, ndcg, novelty, paired,
    precision, recall,
};
pub use rank::{CaseRank, CaseRanks, Scorer, rank_cases};
pub use report::{DeviceName, Protocol, Report, Row, Segment, peak_memory_bytes};

/// Lengths of list that metrics are given for.
pub const KS: [usize; 4] = [10, 20, 50, 100];

/// Why an evaluation failed.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Result of this module.
pub type Result<T> = std::result::Result<T, Error>;
